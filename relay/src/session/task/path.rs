//! Where a session stands with its agent, and what is on the way to it.

use std::time::Duration;

use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec::CodecError;
use podlatch_protocol::session::{Attached, ToAgent};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::Wake;
use crate::session::link::{HalfOpen, Link};

/// What an agent answers that is asked to hand a session over.
pub(super) type AttachAnswer = Result<(Attached, HalfOpen), Refusal>;

/// Where the session stands with its agent.
pub(super) enum Path {
    /// On a stream.
    Linked(Link),
    /// Broken off because its agent fell silent: what waits on the way to it must not arrive late. The last output that was on
    /// the way back is awaited.
    BrokenOff(Link),
    /// Being taken over.
    Attaching(oneshot::Receiver<AttachAnswer>),
    /// Its agent is not there, or has just failed to hand it over.
    Waiting { since: Instant, again: Option<Instant> },
}

/// What is due while the agent is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// It is to be asked once more to hand the session over.
    AskAgain,
    /// It was away for too long.
    Lost,
}

impl Path {
    pub(super) const fn is_linked(&self) -> bool {
        matches!(self, Self::Linked(_))
    }

    /// Puts a message on the way to the agent, if there is one; nothing that is told this way is lost on a reconnect.
    pub(super) fn tell(&mut self, message: &ToAgent) -> Result<(), CodecError> {
        match self {
            Self::Linked(link) => message.put(link.writer.buffer()),
            Self::BrokenOff(_) | Self::Attaching(_) | Self::Waiting { .. } => Ok(()),
        }
    }

    /// Forgets what could not be sent.
    pub(super) fn drop_pending(&mut self) {
        if let Self::Linked(link) = self {
            link.writer.buffer().clear();
        }
    }

    /// Takes back whatever was told to the agent and has not arrived. It answers by ending the stream, and gives the session
    /// over on another one.
    pub(super) fn break_off(&mut self, now: Instant) {
        let waiting = Self::Waiting { since: now, again: None };
        *self = match std::mem::replace(self, waiting) {
            Self::Linked(mut link) => {
                link.break_off();
                Self::BrokenOff(link)
            }
            other => other,
        };
    }

    /// Waits for the agent from now on, or goes on waiting; it is asked `again` by then.
    pub(super) fn wait(&mut self, again: Instant, now: Instant) {
        let since = match self {
            Self::Waiting { since, .. } => *since,
            Self::Linked(_) | Self::BrokenOff(_) | Self::Attaching(_) => now,
        };
        *self = Self::Waiting { since, again: Some(again) };
    }

    /// What is due at `now`, where an agent may be away for `grace`. It is said once that it is to be asked again.
    pub(super) fn due(&mut self, now: Instant, grace: Duration) -> Due {
        match self {
            Self::Waiting { since, .. } if now >= *since + grace => Due::Lost,
            Self::Waiting { again, .. } if again.is_some_and(|again| now >= again) => {
                *again = None;
                Due::AskAgain
            }
            Self::Waiting { .. } | Self::Linked(_) | Self::BrokenOff(_) | Self::Attaching(_) => Due::Nothing,
        }
    }

    /// When [`Self::due`] has to be asked next.
    pub(super) fn deadline(&self, grace: Duration) -> Option<Instant> {
        match self {
            Self::Waiting { since, again } => Some(again.unwrap_or(*since + grace)),
            Self::Linked(_) | Self::BrokenOff(_) | Self::Attaching(_) => None,
        }
    }

    /// What happens on the way to the agent. Cancel safe.
    pub(super) async fn wake(&mut self) -> Wake {
        match self {
            Self::Linked(link) => {
                let pending = !link.writer.buffer().is_empty();
                tokio::select! {
                    news = link.news.recv() => news.map_or(Wake::LinkLost, Wake::News),
                    flushed = link.writer.flush(), if pending => Wake::Flushed(flushed),
                }
            }
            Self::BrokenOff(link) => link.news.recv().await.map_or(Wake::LinkLost, Wake::News),
            Self::Attaching(answer) => {
                let gone = || Err(Refusal::new(RefusalCode::AgentOffline, ""));
                Wake::Attached(answer.await.unwrap_or_else(|_| gone()))
            }
            Self::Waiting { .. } => std::future::pending().await,
        }
    }

    /// Sends what was told, and ends the stream in order. Not cancel safe, and the last of a session.
    pub(super) async fn finish(&mut self, limit: Duration) {
        if let Self::Linked(link) = self
            && let Ok(Ok(())) = timeout(limit, link.writer.flush()).await
        {
            let _closed = link.writer.get_mut().finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_waited_for_since_it_went_and_asked_once_each_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let grace = Duration::from_mins(1);
        let mut path = Path::Waiting { since: start, again: None };
        assert_eq!((path.due(at(59), grace), path.deadline(grace)), (Due::Nothing, Some(at(60))));
        path.wait(at(11), at(10));
        assert_eq!((path.due(at(10), grace), path.deadline(grace)), (Due::Nothing, Some(at(11))));
        assert_eq!(path.due(at(11), grace), Due::AskAgain);
        assert_eq!((path.due(at(11), grace), path.deadline(grace)), (Due::Nothing, Some(at(60))));
        path.wait(at(61), at(20));
        assert_eq!(path.due(at(60), grace), Due::Lost, "asking again does not begin the wait anew");
    }
}
