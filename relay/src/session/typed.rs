//! When somebody last typed, of all sessions: gathered in memory, stored together every few seconds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use podlatch_protocol::id::{OrganisationId, SessionId};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::clock::UnixMillis;
use crate::store::{ActivityNote, Store, StoreError};

/// How old a stored moment may be.
const STORE_INTERVAL: Duration = Duration::from_secs(5);

/// Moments that are to be stored.
#[derive(Debug, Default)]
pub(super) struct Typed {
    waiting: Mutex<HashMap<SessionId, ActivityNote>>,
}

impl Typed {
    /// Somebody typed at `at`.
    pub(super) fn note(&self, organisation: OrganisationId, session: SessionId, at: UnixMillis) {
        let note = ActivityNote { organisation, session, last_at: at };
        // Nothing panics while it holds the lock; if it did, the table would still be whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(session, note);
    }

    /// Stores what is waiting. Cancel safe, but what was being stored may be lost.
    pub(super) async fn store(&self, store: &Store) -> Result<(), StoreError> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let notes: Vec<_> = waiting.into_values().collect();
        store.note_activity(&notes).await
    }

    /// Stores what is waiting, again and again. Cancel safe.
    pub(super) async fn run(&self, store: &Store) {
        let mut tick = interval(STORE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.store(store).await {
                // The next keystroke is stored all the same.
                warn!(%error, "it could not be stored when people last typed");
            }
        }
    }
}
