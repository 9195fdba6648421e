//! What is done about recordings in the background: noting those that are stored, deleting those that were kept long enough.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::clock::{Clock, UnixMillis};
use crate::domain::recording::StoredRecording;
use crate::recording::{Outcome, RecordingsStore, Sealed};
use crate::store::Store;

/// Between two looks for recordings that were kept long enough.
const RETENTION_INTERVAL: Duration = Duration::from_hours(1);

/// Before a note is tried again.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

/// Notes every recording that is stored whole. Ends with the recorder. Cancel safe: what is not noted is noted by the next
/// life of the relay.
pub(crate) async fn note_sealed(store: Store, clock: Clock, mut sealed: mpsc::Receiver<Sealed>) {
    while let Some(sealed) = sealed.recv().await {
        let recording = stored(&sealed, clock.now());
        while let Err(error) = store.recording_sealed(sealed.organisation, sealed.session, &recording).await {
            warn!(session.id = %sealed.session, %error, "a stored recording could not be noted; trying again");
            sleep(NOTE_AGAIN).await;
        }
        // An error means that the relay stops.
        let _over = sealed.noted.send(());
    }
}

fn stored(sealed: &Sealed, now: UnixMillis) -> StoredRecording {
    StoredRecording {
        truncation: match &sealed.outcome {
            Outcome::Complete => None,
            Outcome::Truncated { why } => Some(why.clone()),
        },
        segments: sealed.segments,
        bytes: sealed.bytes,
        duration_ms: sealed.duration_ms,
        head: sealed.head.as_str().to_owned(),
        sealed_at: now,
        deleted_at: None,
    }
}

/// Deletes recordings that were kept long enough, every hour. Cancel safe.
pub(crate) async fn keep_retention(store: Store, recordings: RecordingsStore, clock: Clock) {
    let mut ticks = interval(RETENTION_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match delete_old(&store, &recordings, clock.now()).await {
            Ok(0) => {}
            Ok(count) => info!(count, "deleted recordings that were kept long enough"),
            Err(error) => warn!(%error, "old recordings could not be deleted; trying again in an hour"),
        }
    }
}

/// Deletes what was kept long enough by `now`: first nobody may see it, then it is removed. Returns how many were removed.
async fn delete_old(store: &Store, recordings: &RecordingsStore, now: UnixMillis) -> anyhow::Result<usize> {
    while store.delete_old_recordings(now).await? > 0 {}
    let mut removed = 0;
    loop {
        let due = store.recordings_to_remove().await?;
        if due.is_empty() {
            return Ok(removed);
        }
        for (organisation, session) in due {
            recordings.remove(organisation, session).await?;
            store.recording_removed(organisation, session, now).await?;
            removed += 1;
        }
    }
}
