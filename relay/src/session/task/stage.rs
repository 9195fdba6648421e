//! Whether a session goes on: what ends it, and what time asks for.

use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::session::{Cleanup, ToAgent};
use tokio::time::Instant;
use tracing::info;

use super::path::Due;
use super::{Next, Owner};
use crate::session::flow::UNLIMITED;

/// How long the agent may take to end a session: five seconds for the killing, and the way there and back.
const END_TIMEOUT: Duration = Duration::from_secs(9);

/// How long an agent whose right was withdrawn has for it; then it is disconnected anyhow.
const REVOKED_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Wall time may jump; it is looked at this often at least.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Whether the session goes on.
pub(super) enum Stage {
    Live,
    /// The agent was asked to end it.
    Closing {
        cause: EndCause,
        deadline: Instant,
    },
}

impl Owner {
    /// Asks the agent to end the session, or notes that it has to.
    pub(super) fn close(&mut self, cause: EndCause) -> Next {
        if let Stage::Live = self.stage {
            info!(session.id = %self.session, cause = cause.slug(), "ending a session");
            self.stage = Stage::Closing { cause, deadline: Instant::now() + END_TIMEOUT };
            self.tell_close(cause);
        }
        Next::GoOn
    }

    /// The agent's right was withdrawn. While it is still there it gets a moment to end the processes; it is not waited for.
    pub(super) fn handle_revoked(&mut self, cause: EndCause) -> Next {
        if !self.path.is_linked() {
            return Next::Finish(self.end_without_agent(self.cause_or(cause), Cleanup::Unconfirmed));
        }
        let next = self.close(cause);
        if let Stage::Closing { deadline, .. } = &mut self.stage {
            *deadline = (*deadline).min(Instant::now() + REVOKED_TIMEOUT);
        }
        next
    }

    /// Tells a new link what its predecessor may not have carried.
    pub(super) fn close_again(&mut self) {
        if let Stage::Closing { cause, .. } = self.stage {
            self.tell_close(cause);
        }
    }

    fn tell_close(&mut self, cause: EndCause) {
        self.tell(&ToAgent::Credit(UNLIMITED));
        self.tell(&ToAgent::Close(cause));
    }

    /// The first cause stands.
    pub(super) fn cause_or(&self, cause: EndCause) -> EndCause {
        match self.stage {
            Stage::Closing { cause, .. } => cause,
            Stage::Live => cause,
        }
    }

    pub(super) fn handle_time(&mut self) -> Next {
        let now = Instant::now();
        if self.lease_at.is_some_and(|at| now >= at) {
            self.renew_lease();
        }
        match self.stage {
            Stage::Closing { cause, deadline } if now >= deadline => {
                return Next::Finish(self.end_without_agent(cause, Cleanup::Unconfirmed));
            }
            Stage::Closing { .. } => {}
            Stage::Live => {
                if let Some(cause) = self.end_due(now) {
                    return self.close(cause);
                }
            }
        }
        match self.path.due(now, self.shared.settings.grace) {
            Due::Nothing => {}
            Due::AskAgain => self.attach_again(),
            Due::Lost => {
                return Next::Finish(self.end_without_agent(self.cause_or(EndCause::AgentLost), Cleanup::Unconfirmed));
            }
        }
        Next::GoOn
    }

    /// Why a live session has to end at `now`, if it has to.
    fn end_due(&self, now: Instant) -> Option<EndCause> {
        if self.abandoned_at().is_some_and(|at| now >= at) {
            return Some(EndCause::Abandoned);
        }
        self.life.end_due(self.shared.clock.now())
    }

    /// When nobody will have looked for too long, if nobody looks.
    fn abandoned_at(&self) -> Option<Instant> {
        self.unwatched_since.map(|since| since + self.shared.settings.grace)
    }

    /// When [`Self::handle_time`] has to be called next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Closing { deadline, .. } => deadline,
            Stage::Live => self.live_deadline(),
        };
        let path = self.path.deadline(self.shared.settings.grace);
        let size = self.size.deadline().filter(|_| self.clerk.is_free());
        [Some(stage), path, size, self.lease_at, self.credit.deadline()].into_iter().flatten().min()
    }

    /// When a live session has to be looked at next.
    fn live_deadline(&self) -> Instant {
        let flag = self.clerk.is_free().then(|| self.life.flag_deadline()).flatten();
        let life = flag.map_or(self.life.end_deadline(), |flag| flag.min(self.life.end_deadline()));
        let life = Instant::now() + self.shared.clock.now().until(life).min(LONGEST_WAIT);
        self.abandoned_at().map_or(life, |abandoned| abandoned.min(life))
    }
}
