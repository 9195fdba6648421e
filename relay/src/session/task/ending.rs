//! How a session is seen to its end: everything is recorded, stored and told, in this order; then the agent may forget.

use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome, ToAgent};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::Owner;
use crate::domain::session::SessionEnd;
use crate::recording::{OutputEnd, Position};
use crate::session::Status;

/// How long the last output may take to become durable before its agent may forget it.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Attempts to write a session's end to the database, a second apart. After that the next start of the relay finds it.
const STORE_ATTEMPTS: u32 = 60;

impl Owner {
    /// An end of which the agent has not told.
    pub(super) fn end_without_agent(&self, cause: EndCause, cleanup: Cleanup) -> Ended {
        let output_length = *self.watermarks.written.borrow();
        Ended { cause, outcome: ExitOutcome::Unknown, cleanup, output_length }
    }

    /// Ends the session in the recording, in the database, for its viewers and at its agent. Not cancel safe.
    pub(super) async fn finish(mut self, ended: Ended) {
        let end = self.settle(&ended).await;
        // What the agent said counts what was taken out; what people are told does not.
        let ended = Ended { output_length: end.recorded, ..ended };
        self.store_end(&ended).await;
        self.recording.seal();
        info!(session.id = %self.session, cause = ended.cause.slug(), cleanup = ?ended.cleanup, "a session ended");
        self.tell_viewers(Status::Ended(ended.clone()));
        self.shared.remove(self.session);
        if let OutputEnd::Unknown = self.output_end {
            return self.give_up(&ended).await;
        }
        // Best effort: an agent that is not told forgets by itself after its grace time.
        drop(timeout(SETTLE_TIMEOUT, self.watermarks.durable.wait_for(|durable| *durable >= end.source)).await);
        self.tell(&ToAgent::Close(ended.cause));
        self.path.finish(SETTLE_TIMEOUT).await;
    }

    /// The agent has not said that the session is over. Nothing that waits on the way to it arrives any more; if it can be
    /// reached it is asked once more to end what it holds, otherwise it is when it can be.
    async fn give_up(mut self, ended: &Ended) {
        self.path.break_off(Instant::now());
        let Some(agent) = self.agent.clone().filter(|_| ended.cleanup == Cleanup::Unconfirmed) else {
            return;
        };
        if self.reap(&agent).await == Cleanup::Unconfirmed {
            return;
        }
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        if let Err(error) = store.cleanup_confirmed(self.organisation, self.session, now).await {
            error!(session.id = %self.session, %error, "it could not be stored that a session's processes are gone");
        }
    }

    /// Waits for the last output, the commands in it and the end to be recorded; returns where the recording ends.
    async fn settle(&mut self, ended: &Ended) -> Position {
        if let Some(follower) = self.follower.take() {
            self.last_output().await;
            follower.finish(self.session).await;
        }
        let finished = self.recording.finish(ended, self.output_end, self.shared.clock.now());
        if let Ok(Ok(end)) = timeout(SETTLE_TIMEOUT, finished).await {
            return end;
        }
        warn!(session.id = %self.session, "a session's last output was not recorded in time");
        self.recording.position()
    }

    /// Waits until everything that the agent sent is written.
    async fn last_output(&mut self) {
        if let OutputEnd::At(end) = self.output_end {
            // What is late is only not looked through for commands.
            drop(timeout(SETTLE_TIMEOUT, self.watermarks.reach(&self.recording, end)).await);
        }
    }

    async fn store_end(&self, ended: &Ended) {
        let end = SessionEnd { at: self.shared.clock.now(), ended: ended.clone() };
        for _ in 0..STORE_ATTEMPTS {
            match self.shared.store.session_ended(self.organisation, self.session, &end).await {
                Ok(_first) => return,
                Err(error) => {
                    error!(session.id = %self.session, %error, "a session's end could not be stored; trying again");
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}
