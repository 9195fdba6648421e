//! How an owner follows its agent: through silences and reconnects, with leases, until it cannot go on.

use std::time::Duration;

use podlatch_protocol::close::{EndCause, Refusal, RefusalCode};
use podlatch_protocol::request::{Attach, Reap};
use podlatch_protocol::session::{Attached, Cleanup, ToAgent};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, info};

use super::path::Path;
use super::{Next, Owner};
use crate::session::life::next_lease;
use crate::session::link::{self, Fault, HalfOpen};
use crate::session::{AgentNews, Status};
use crate::tunnel::AgentHandle;

/// Between two attempts to take a session over from an agent that is connected but does not hand it over.
const ATTACH_AGAIN: Duration = Duration::from_secs(1);

/// Between two attempts to give a lease to a session of which it is not known whether its right stands.
const RIGHT_AGAIN: Duration = Duration::from_millis(250);

impl Owner {
    pub(super) async fn handle_agent(&mut self, news: AgentNews) -> Next {
        match news {
            AgentNews::Connected { holds: true, handle } => {
                self.instance = Some(handle.instance());
                self.agent = Some(handle);
                if let Path::Waiting { .. } = self.path {
                    self.attach();
                }
            }
            AgentNews::Connected { holds: false, handle } => return self.handle_forgotten(&handle).await,
            AgentNews::Revoked(cause) => return self.handle_revoked(cause),
            AgentNews::Silent => {
                self.lease_at = None;
                self.path.break_off(Instant::now());
                self.tell_viewers(Status::AgentSilent);
            }
            AgentNews::Answering => {
                if self.path.is_linked() {
                    self.renew_lease();
                    self.tell_viewers(Status::Live);
                }
            }
        }
        Next::GoOn
    }

    /// The same life of the agent has forgotten the session; a new one never had it. Either way it cannot go on.
    async fn handle_forgotten(&mut self, handle: &AgentHandle) -> Next {
        let cause = match self.instance {
            Some(before) if before == handle.instance() => EndCause::ConnectionLost,
            Some(_) | None => EndCause::AgentRestarted,
        };
        let cleanup = Box::pin(self.reap(handle)).await;
        Next::Finish(self.end_without_agent(self.cause_or(cause), cleanup))
    }

    fn attach(&mut self) {
        let Some(agent) = self.agent.clone() else {
            return;
        };
        let (done, answer) = oneshot::channel();
        let credit = self.credit.flow.grant_anew(self.recording.position());
        let attach = Attach { session: self.session, have_offset: self.received, credit };
        self.shared.tracker.spawn(async move {
            // An error means that the owner is gone.
            let _over = done.send(link::attach(&agent, attach).await);
        });
        self.path = Path::Attaching(answer);
    }

    /// Asks the agent once more, where it is connected.
    pub(super) fn attach_again(&mut self) {
        let current = self.agent.as_ref().and_then(|agent| self.shared.agents.get(agent.agent()));
        // Another life of the agent is announced with what it holds, which is nothing of this.
        if let Some(agent) = current.filter(|agent| Some(agent.instance()) == self.instance) {
            self.agent = Some(agent);
            self.attach();
        }
    }

    pub(super) fn handle_attached(&mut self, attached: &Attached, half: HalfOpen) {
        info!(session.id = %self.session, offset = self.received, "took a session over from its agent");
        let clock = self.shared.clock.clone();
        let output = (self.recording.clone(), self.received);
        self.path = Path::Linked(half.start(output, self.marks, clock, &self.shared.tracker));
        self.held.clear();
        self.inputs.handle_attached(&attached.writers);
        let durable = *self.watermarks.durable.borrow();
        self.tell(&ToAgent::Recorded(durable));
        self.size.tell_again();
        // Before the lease, which may say that the time is up: the first cause stands.
        self.close_again();
        self.renew_lease();
        self.tell_viewers(Status::Live);
    }

    pub(super) async fn handle_not_attached(&mut self, refusal: &Refusal) -> Next {
        let cause = match refusal.code {
            RefusalCode::NoSuchSession => self.cause_or(EndCause::ConnectionLost),
            RefusalCode::BadRequest => {
                error!(session.id = %self.session, %refusal, "an agent cannot continue a session's output");
                EndCause::OutputLost
            }
            _ => {
                self.wait_for_agent(Instant::now() + ATTACH_AGAIN);
                return Next::GoOn;
            }
        };
        let cleanup = match self.agent.clone() {
            Some(agent) => Box::pin(self.reap(&agent)).await,
            None => Cleanup::Unconfirmed,
        };
        Next::Finish(self.end_without_agent(cause, cleanup))
    }

    pub(super) fn handle_closed(&mut self, received: u64, fault: Option<Fault>) -> Next {
        self.received = received;
        if let Some(cause) = self.agent.as_ref().and_then(AgentHandle::withdrawn) {
            return Next::Finish(self.end_without_agent(self.cause_or(cause), Cleanup::Unconfirmed));
        }
        self.wait_for_agent(Instant::now());
        match fault {
            None => Next::GoOn,
            Some(Fault::Protocol) => self.close(EndCause::ProtocolError),
            Some(Fault::Gap) => self.close(EndCause::OutputLost),
        }
    }

    fn wait_for_agent(&mut self, again: Instant) {
        self.path.wait(again, Instant::now());
        self.lease_at = None;
        self.tell_viewers(Status::AgentSilent);
    }

    /// Lets the agent go on with the session, if there is one, for as long as its right was seen to stand.
    pub(super) fn renew_lease(&mut self) {
        let now = Instant::now();
        let Some(valid_for) = self.shared.rights.lease(self.session, self.right_at, now) else {
            self.lease_at = Some(now + RIGHT_AGAIN);
            return;
        };
        let lease = self.life.lease(valid_for, self.shared.clock.now());
        self.tell(&ToAgent::Lease(lease));
        self.lease_at = Some(next_lease(self.shared.epoch, Instant::now()));
    }

    /// Has an agent kill what the session left.
    pub(super) async fn reap(&self, agent: &AgentHandle) -> Cleanup {
        if self.target.container.is_none() {
            return Cleanup::Unconfirmed;
        }
        let reap = Reap { session: self.session, target: self.target.clone(), process: self.process };
        link::reap(agent, reap).await
    }
}
