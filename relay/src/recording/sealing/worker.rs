//! Seals recordings: one task for each that has something to seal, few of them at work.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;
use tracing::{debug, info, warn};

use super::super::manifest::{Entry, Hash};
use super::super::store::{Durability, MANIFEST, RecordingsStore, StoreError, segment_name};
use super::super::{SessionKey, Shared};
use super::local;
use super::render::{Cursor, Rendered, Until, render};
use super::{Pace, Phase, Sealed};

/// Recordings that are rendered and stored at a time: each holds a segment or two in memory.
const AT_WORK: usize = 4;

/// Before the first new attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(250);

/// Between later attempts: a store that comes back is noticed within this.
const LONGEST_BACKOFF: Duration = Duration::from_secs(15);

/// Longest rest between two segments of a session that goes on.
const LONGEST_REST: Duration = Duration::from_secs(5);

/// Something could not be sealed now.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the hot log cannot be read or continued: {0}. Check the recordings folder: free space, owner, permissions"
    )]
    Log(#[from] io::Error),
    #[error("the relay is shutting down")]
    ShuttingDown,
}

/// Attempts that failed.
#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    backoff: Duration,
}

/// How far an attempt came.
enum Step {
    /// All that is durable is sealed.
    CaughtUp,
    /// The recording is stored whole.
    Done,
}

/// What all sealing shares.
pub(in crate::recording) struct Worker {
    pub(in crate::recording) store: RecordingsStore,
    pub(in crate::recording) pace: Pace,
    /// How long nothing may be stored before a session is ended.
    pub(in crate::recording) patience: Duration,
    pub(in crate::recording) sealed: mpsc::Sender<Sealed>,
    permits: Semaphore,
}

impl Worker {
    pub(in crate::recording) fn new(
        store: RecordingsStore,
        pace: Pace,
        patience: Duration,
        sealed: mpsc::Sender<Sealed>,
    ) -> Self {
        Self { store, pace, patience, sealed, permits: Semaphore::new(AT_WORK) }
    }

    /// Seals what is asked for, until nobody can ask any more.
    pub(in crate::recording) async fn run(self, mut queue: mpsc::Receiver<Arc<Shared>>) {
        let worker = Arc::new(self);
        let tasks = TaskTracker::new();
        while let Some(recording) = queue.recv().await {
            tasks.spawn(Arc::clone(&worker).seal_until_caught_up(recording));
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn seal_until_caught_up(self: Arc<Self>, recording: Arc<Shared>) {
        let mut failing = None;
        loop {
            match failing {
                None => self.wait_until_due(&recording).await,
                Some(Failing { backoff, .. }) => sleep(backoff).await,
            }
            match self.seal(&recording).await {
                Ok(Step::Done) | Err(SealError::ShuttingDown) => return,
                Ok(Step::CaughtUp) => {
                    failing = None;
                    if rest(&recording) {
                        return;
                    }
                }
                Err(error) => failing = Some(self.note_failure(&recording, failing, &error)),
            }
        }
    }

    /// Gathers a segment: until it is old enough, large enough, or the last. Cancel safe.
    async fn wait_until_due(&self, recording: &Shared) {
        let sealed = recording.cursor().as_ref().map_or(0, |cursor| cursor.position.recorded);
        let (mut synced, mut phase) = (recording.synced.subscribe(), recording.phase.subscribe());
        tokio::select! {
            () = sleep(self.pace.after) => {}
            _ = synced.wait_for(|end| end.position.recorded.saturating_sub(sealed) >= self.pace.at_bytes) => {}
            _ = phase.wait_for(|phase| *phase == Phase::Over) => {}
        }
    }

    async fn seal(&self, recording: &Arc<Shared>) -> Result<Step, SealError> {
        loop {
            let permit = self.permits.acquire().await.map_err(|_| SealError::ShuttingDown)?;
            let began = Instant::now();
            let cursor = cursor_of(recording).await?;
            let phase = *recording.phase.borrow();
            let until = match phase {
                Phase::Live => Until::Durable(recording.synced.borrow().timeline),
                Phase::Over => Until::End,
            };
            let rendered = blocking(recording, move |log| render(&log.folder, &cursor, until)).await?;
            let full = rendered.full;
            let cursor = self.store(recording, rendered).await?;
            *recording.cursor() = Some(cursor.clone());
            drop(permit);
            self.rest_after(began.elapsed(), recording).await;
            match (full, phase) {
                (true, _) => {}
                (false, Phase::Live) => return Ok(Step::CaughtUp),
                (false, Phase::Over) => return self.finish(recording, cursor).await,
            }
        }
    }

    /// Stores a segment, then says that it is sealed. Returns where sealing stands.
    /// Leaves the processors and the disk to the output that flows; what is over is sealed without a rest. Cancel safe.
    async fn rest_after(&self, took: Duration, recording: &Shared) {
        let mut phase = recording.phase.subscribe();
        let over = phase.wait_for(|phase| *phase == Phase::Over);
        let _in_time = timeout(took.saturating_mul(self.pace.rests).min(LONGEST_REST), over).await;
    }

    async fn store(&self, recording: &Arc<Shared>, rendered: Rendered) -> Result<Cursor, SealError> {
        let mut cursor = rendered.to.clone();
        if !rendered.cast.is_empty() {
            let line = Entry::Segment(rendered.entry()).line();
            let mut object = rendered.cast;
            object.extend_from_slice(format!("# {line}\n").as_bytes());
            self.store.put(recording.key.ids(), &segment_name(cursor.index), Bytes::from(object)).await?;
            cursor.index += 1;
            cursor.head = Hash::of(line.as_bytes());
            blocking(recording, move |log| local::append(&log.folder, &line)).await?;
        }
        if self.store.durability() == Durability::Stored {
            recording.durable.send_if_modified(|durable| {
                let news = cursor.position.source > *durable;
                *durable = cursor.position.source.max(*durable);
                news
            });
        }
        Ok(cursor)
    }

    /// The session is over and every segment stored: says so, and removes the hot log.
    async fn finish(&self, recording: &Arc<Shared>, cursor: Cursor) -> Result<Step, SealError> {
        let SessionKey { organisation, session } = recording.key;
        if cursor.exit.is_none() && cursor.position.source == 0 {
            // The session was never opened: there is nothing that could be shown.
            self.store.remove(organisation, session).await?;
        } else {
            let ended = move |log: &Shared| local::end(&log.folder, log.key, &cursor);
            let (manifest, lines) = blocking(recording, ended).await?;
            self.store.put(recording.key.ids(), MANIFEST, lines.into()).await?;
            let Some(end) = manifest.end else { return Err(io::Error::from(io::ErrorKind::InvalidData).into()) };
            let (noted, answer) = oneshot::channel();
            info!(session.id = %session, segments = end.segments, "a recording is stored");
            let sealed = Sealed {
                organisation,
                session,
                outcome: end.outcome,
                segments: end.segments,
                bytes: manifest.segments.iter().map(|segment| segment.bytes).sum(),
                duration_ms: manifest.segments.last().map_or(0, |segment| segment.to_ms),
                head: manifest.head,
                noted,
            };
            self.sealed.send(sealed).await.map_err(|_| SealError::ShuttingDown)?;
            answer.await.map_err(|_| SealError::ShuttingDown)?;
        }
        blocking(recording, |log| remove(&log.folder)).await?;
        Ok(Step::Done)
    }

    fn note_failure(&self, recording: &Shared, before: Option<Failing>, error: &SealError) -> Failing {
        let now = Instant::now();
        let failing = match before {
            None => Failing { since: now, backoff: FIRST_BACKOFF },
            Some(before) => Failing { backoff: (before.backoff * 2).min(LONGEST_BACKOFF), ..before },
        };
        let for_how_long = now - failing.since;
        if let Some(left) = self.patience.checked_sub(for_how_long).filter(|left| !left.is_zero()) {
            debug!(session.id = %recording.key.session, %error, "a segment could not be stored; trying again");
            return Failing { backoff: failing.backoff.min(left), ..failing };
        }
        if recording.fail(&format!("nothing could be stored for {for_how_long:.0?}: {error}")) {
            warn!(session.id = %recording.key.session, %error, "a recording cannot be stored; its session will be ended");
        }
        failing
    }
}

/// Nothing is left to seal: ends the task, unless there is more after all. Returns whether it ends.
fn rest(recording: &Shared) -> bool {
    recording.sealing.store(false, Ordering::Release);
    let sealed = recording.cursor().as_ref().map_or(0, |cursor| cursor.timeline);
    let more = recording.synced.borrow().timeline > sealed || *recording.phase.borrow() == Phase::Over;
    // Whoever asked meanwhile has begun another task.
    !more || recording.sealing.swap(true, Ordering::AcqRel)
}

async fn cursor_of(recording: &Arc<Shared>) -> io::Result<Cursor> {
    let known = recording.cursor().clone();
    if let Some(cursor) = known {
        return Ok(cursor);
    }
    let load = |log: &Shared| local::load(&log.folder, log.key);
    Ok(Cursor::after(&blocking(recording, load).await?))
}

async fn blocking<T: Send + 'static>(
    recording: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let recording = Arc::clone(recording);
    tokio::task::spawn_blocking(move || work(&recording)).await.map_err(io::Error::other)?
}

/// Removes a hot log. Its organisation's folder stays.
fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Shared {
    /// Where sealing stands; `None` before the first segment of this life of the relay.
    fn cursor(&self) -> std::sync::MutexGuard<'_, Option<Cursor>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
