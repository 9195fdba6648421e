//! A disk that hangs: it neither does what it is asked nor says no.
//!
//! All hot logs are on one disk, and one thread writes them all. Where that thread, or the one that syncs, does not come back
//! from the disk for too long, every session that is being recorded ends: none goes on unrecorded. The two threads stay where
//! they are, and begin no others; when the disk answers after all, they go on, and new sessions are taken.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::error;

use super::Shared;
use super::sealing::Phase;

/// How long the disk may take for one thing.
pub(super) const DISK_DEADLINE: Duration = Duration::from_secs(10);

/// How often it is looked whether it took longer, in a deadline's time.
const LOOKS: u32 = 10;

/// Recordings that are begun or continued at a time. A disk that hangs keeps as many threads for good, and no more.
const OPENING: usize = 16;

/// What waits for the disk, and since when.
#[derive(Debug)]
pub(super) struct Disk {
    deadline: Duration,
    pub(super) writing: Pulse,
    pub(super) syncing: Pulse,
    opening: Arc<Semaphore>,
    recordings: Mutex<Vec<Weak<Shared>>>,
}

/// Since when a thread waits for the disk; `None` while it does not.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Option<Instant>>);

impl Pulse {
    /// Does something at the disk. Blocking.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        *self.since() = Some(Instant::now());
        let done = work();
        *self.since() = None;
        done
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    pub(super) fn new(deadline: Duration) -> Self {
        let opening = Arc::new(Semaphore::new(OPENING));
        Self { deadline, writing: Pulse::default(), syncing: Pulse::default(), opening, recordings: Mutex::default() }
    }

    /// The recording fails when the disk hangs.
    pub(super) fn watch_over(&self, recording: &Arc<Shared>) {
        let mut recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        recordings.retain(|recording| recording.strong_count() > 0);
        recordings.push(Arc::downgrade(recording));
    }

    /// Begins or continues something on the disk, on a thread of its own. Cancel safe in that the work is done whole or not at
    /// all, sooner or later.
    pub(super) async fn open<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        if self.hangs(Instant::now()) {
            return Err(self.no_answer());
        }
        let opened = async {
            let permit = Arc::clone(&self.opening).acquire_owned().await.map_err(io::Error::other)?;
            let work = move || {
                let _until_it_is_done = permit;
                work()
            };
            spawn_blocking(work).await.map_err(io::Error::other)?
        };
        timeout(self.deadline, opened).await.unwrap_or_else(|_| Err(self.no_answer()))
    }

    /// Looks after the disk while anybody works with it. Cancel safe.
    pub(super) async fn watch(disk: Weak<Self>) {
        while let Some(disk) = disk.upgrade() {
            if disk.hangs(Instant::now()) {
                disk.fail_recordings();
            }
            let pause = disk.deadline / LOOKS;
            drop(disk);
            sleep(pause).await;
        }
    }

    fn hangs(&self, now: Instant) -> bool {
        let hangs =
            |pulse: &Pulse| pulse.since().is_some_and(|since| now.saturating_duration_since(since) >= self.deadline);
        hangs(&self.writing) || hangs(&self.syncing)
    }

    fn fail_recordings(&self) {
        let recordings = self.recordings.lock().unwrap_or_else(PoisonError::into_inner);
        let live = |recording: &Arc<Shared>| *recording.phase.borrow() == Phase::Live;
        for recording in recordings.iter().filter_map(Weak::upgrade).filter(live) {
            // Whoever waits for room learns that there will be none.
            recording.room.close();
            if recording.fail(&self.no_answer().to_string()) {
                error!(session.id = %recording.key.session, "the disk of the recordings hangs; the session will be ended");
            }
        }
    }

    fn no_answer(&self) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, format!("the disk has not answered for {:.0?}", self.deadline))
    }
}
