//! How far a session's recording has come, as its owner watches it.

use std::sync::Arc;

use tokio::sync::watch;

use crate::recording::Recording;

/// What moves while a session is recorded.
pub(super) struct Watermarks {
    /// Output below this offset can be read.
    pub(super) written: watch::Receiver<u64>,
    /// So much was taken out of the output.
    pub(super) stripped: watch::Receiver<u64>,
    /// Output below this source offset may be forgotten by the agent.
    pub(super) durable: watch::Receiver<u64>,
    /// Why the recording failed.
    pub(super) failure: watch::Receiver<Option<Arc<str>>>,
}

impl Watermarks {
    pub(super) fn of(recording: &Recording) -> Self {
        Self {
            written: recording.written(),
            stripped: recording.stripped(),
            durable: recording.durable(),
            failure: recording.failure(),
        }
    }

    /// What was written and taken out up to now needs no wake any more.
    pub(super) fn note_seen(&mut self) {
        self.written.mark_unchanged();
        self.stripped.mark_unchanged();
    }

    /// Waits until the recording has come to the source offset `end`, or has failed. Cancel safe.
    pub(super) async fn reach(&mut self, recording: &Recording, end: u64) {
        while recording.position().source < end {
            tokio::select! {
                Ok(()) = self.written.changed() => {}
                Ok(()) = self.stripped.changed() => {}
                _ = self.failure.wait_for(Option::is_some) => return,
            }
        }
    }
}
