//! The threads that write and sync recordings.

mod writing;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use podlatch_protocol::id::{OrganisationId, SessionId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::disk::{DISK_DEADLINE, Disk, Pulse};
use super::files::Files;
use super::sealing::{Pace, Phase, SealQueue, Sealed, Worker};
use super::store::{Durability, RecordingsStore};
use super::timeline::{Event, Exit, Mark};
use super::{NewRecording, Piece, Position, Recording, RecordingError, SessionKey, Shared};
use crate::clock::UnixMillis;
use writing::{Run, Work, Writer};

/// Jobs of all sessions that may wait for the writer.
const QUEUED_JOBS: usize = 1024;

/// Requests of all sessions that may wait for the syncer; each session has two at most.
const QUEUED_SYNCS: usize = 16 * 1024;

/// Jobs that the writer takes from the queue at once. In a flood, neighbours of one session become one write.
const BATCH_JOBS: usize = 32;

/// How long written output may stay without a sync.
const SYNC_AFTER: Duration = Duration::from_millis(100);

/// Written output after which a sync does not wait: the agent's holder keeps 4 MiB at most, and stops reading when it is full.
const SYNC_AT_BYTES: u64 = 512 * 1024;

/// What the writer has to do.
pub(super) enum Job {
    Output {
        recording: Arc<Shared>,
        piece: Piece,
    },
    Note {
        recording: Arc<Shared>,
        event: Event,
        at: UnixMillis,
    },
    Mark {
        recording: Arc<Shared>,
        mark: Mark,
        source_end: u64,
        at: UnixMillis,
    },
    /// Answers when it is written.
    Typed {
        recording: Arc<Shared>,
        how: Vec<u8>,
        at: UnixMillis,
        done: oneshot::Sender<()>,
    },
    /// The last event. Answers when it is written, with where the recording ends.
    Finish {
        recording: Arc<Shared>,
        exit: Exit,
        at: UnixMillis,
        done: oneshot::Sender<Position>,
    },
    /// What an earlier life of the relay wrote may not be durable.
    Sync {
        recording: Arc<Shared>,
    },
    /// What could not be written a moment ago is to be tried once more.
    Again {
        recording: Arc<Shared>,
    },
}

impl Job {
    /// Whether it is output of this recording.
    fn follows(&self, output_of: &Arc<Shared>) -> bool {
        matches!(self, Self::Output { recording, .. } if Arc::ptr_eq(recording, output_of))
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Terminal bytes must not reach a log by way of a debug print.
        f.write_str(match self {
            Self::Output { .. } => "Job::Output",
            Self::Note { .. } => "Job::Note",
            Self::Mark { .. } => "Job::Mark",
            Self::Typed { .. } => "Job::Typed",
            Self::Finish { .. } => "Job::Finish",
            Self::Sync { .. } => "Job::Sync",
            Self::Again { .. } => "Job::Again",
        })
    }
}

/// What the syncer was asked for already: a bit for "some time", a bit for "at once".
#[derive(Debug, Default)]
pub(super) struct SyncState(AtomicU64);

const SOON: u64 = 1;
const NOW: u64 = 2;

impl SyncState {
    /// Notes the request; returns whether it is new.
    fn ask(&self, bit: u64) -> bool {
        self.0.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Release);
    }
}

enum SyncRequest {
    Soon(Arc<Shared>),
    Now(Arc<Shared>),
}

/// What a recorder works with.
#[derive(Debug)]
pub struct RecorderParts {
    /// The folder of hot logs, which must exist.
    pub hot: PathBuf,
    /// Where recordings are kept for good.
    pub store: RecordingsStore,
    /// How long nothing may be stored before a session is ended.
    pub patience: Duration,
    /// Where it is told that a recording is stored whole.
    pub sealed: mpsc::Sender<Sealed>,
}

/// Makes recordings. Cheap to clone; its threads end when the last clone and the last recording are gone.
#[derive(Debug, Clone)]
pub struct Recorder {
    hot: Arc<PathBuf>,
    jobs: mpsc::Sender<Job>,
    sealing: SealQueue,
    durability: Durability,
    disk: Arc<Disk>,
}

impl Recorder {
    /// Starts the threads, and the task that seals. To be called in a runtime.
    pub fn start(parts: RecorderParts) -> io::Result<Self> {
        let pace = Pace::of(parts.store.durability());
        Self::start_paced(parts, pace, DISK_DEADLINE)
    }

    pub(super) fn start_paced(parts: RecorderParts, pace: Pace, deadline: Duration) -> io::Result<Self> {
        let durability = parts.store.durability();
        let (jobs, queue) = mpsc::channel(QUEUED_JOBS);
        let (sync, sync_queue) = std_mpsc::sync_channel(QUEUED_SYNCS);
        let (sealing, seal_queue) = SealQueue::new();
        let seal = sealing.clone();
        let (weak, runtime) = (jobs.downgrade(), Handle::current());
        let writer = Writer::new(sync, weak, runtime);
        let disk = Arc::new(Disk::new(deadline));
        tokio::spawn(Disk::watch(Arc::downgrade(&disk)));
        let (to_write, to_sync) = (Arc::clone(&disk), Arc::clone(&disk));
        std::thread::Builder::new()
            .name("recording-writer".into())
            .spawn(move || write_all(queue, writer, &to_write.writing))?;
        std::thread::Builder::new()
            .name("recording-syncer".into())
            .spawn(move || sync_all(&sync_queue, |recording| to_sync.syncing.during(|| sync_one(&recording, &seal))))?;
        tokio::spawn(Worker::new(parts.store, pace, parts.patience, parts.sealed).run(seal_queue));
        Ok(Self { hot: Arc::new(parts.hot), jobs, sealing, durability, disk })
    }

    /// Begins a session's recording. Cancel safe in that nothing depends on what a cancelled one leaves behind.
    pub async fn create(&self, new: NewRecording) -> Result<Recording, RecordingError> {
        let key = SessionKey { organisation: new.organisation, session: new.session };
        self.open(key, Phase::Live, move |folder| {
            let mut files = Files::create(folder)?;
            files.note(Event::Resize(new.size), new.at)?;
            Ok(files)
        })
        .await
    }

    /// Continues a session's recording where it ends. Cancel safe.
    pub async fn resume(&self, organisation: OrganisationId, session: SessionId) -> Result<Recording, RecordingError> {
        let recording = self.open(SessionKey { organisation, session }, Phase::Live, Files::resume).await?;
        recording.send(Job::Sync { recording: Arc::clone(&recording.shared) }).await?;
        Ok(recording)
    }

    /// Seals what a killed relay left of sessions that are over: every hot log but those of sessions that `go_on`. To be
    /// called once, before new sessions begin. Returns how many there are. Not cancel safe.
    pub async fn seal_leftovers(&self, go_on: impl Fn(SessionId) -> bool) -> Result<usize, RecordingError> {
        let hot = Arc::clone(&self.hot);
        let found =
            tokio::task::spawn_blocking(move || hot_logs(&hot)).await.map_err(|_| RecordingError::ShuttingDown)?;
        let found = found.map_err(|source| RecordingError::Io { path: self.hot.to_path_buf(), source })?;
        let mut leftovers = 0;
        for key in found.into_iter().filter(|key| !go_on(key.session)) {
            leftovers += 1;
            match self.open(key, Phase::Over, Files::reopen).await {
                Ok(recording) => recording.seal(),
                Err(error) => error!(session.id = %key.session, %error, "what is left of a recording cannot be stored"),
            }
        }
        Ok(leftovers)
    }

    async fn open(
        &self,
        key: SessionKey,
        phase: Phase,
        open: impl FnOnce(&Path) -> io::Result<Files> + Send + 'static,
    ) -> Result<Recording, RecordingError> {
        let folder = key.folder(&self.hot);
        let path = folder.clone();
        let opened = self.disk.open(move || open(&path)).await;
        let files = opened.map_err(|source| RecordingError::Io { path: folder.clone(), source })?;
        let shared = Arc::new(Shared::new(key, folder, files, self.durability, phase));
        self.disk.watch_over(&shared);
        Ok(Recording { shared, jobs: self.jobs.clone(), sealing: self.sealing.clone() })
    }
}

/// The hot logs in a folder. What is named otherwise is not ours.
fn hot_logs(hot: &Path) -> io::Result<Vec<SessionKey>> {
    let mut found = Vec::new();
    for (organisation, folder) in folders::<OrganisationId>(hot)? {
        let sessions = folders::<SessionId>(&folder)?;
        found.extend(sessions.into_iter().map(|(session, _)| SessionKey { organisation, session }));
    }
    Ok(found)
}

fn folders<Id: FromStr>(parent: &Path) -> io::Result<Vec<(Id, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(id) = id.filter(|_| entry.path().is_dir()) {
            found.push((id, entry.path()));
        }
    }
    Ok(found)
}

fn write_all(mut queue: mpsc::Receiver<Job>, mut writer: Writer, pulse: &Pulse) {
    let mut batch = Vec::with_capacity(BATCH_JOBS);
    while queue.blocking_recv_many(&mut batch, BATCH_JOBS) > 0 {
        let mut jobs = batch.drain(..).peekable();
        while let Some(job) = jobs.next() {
            pulse.during(|| match job {
                Job::Output { recording, piece } => {
                    let mut run = Run::of(piece);
                    while let Some(Job::Output { piece, .. }) = jobs.next_if(|job| job.follows(&recording)) {
                        run.push(piece);
                    }
                    writer.take(&recording, Work::Output(run));
                }
                Job::Note { recording, event, at } => writer.take(&recording, Work::Note { event, at }),
                Job::Mark { recording, mark, source_end, at } => {
                    writer.take(&recording, Work::Mark { mark, source_end, at });
                }
                Job::Typed { recording, how, at, done } => writer.take(&recording, Work::Typed { how, at, done }),
                Job::Finish { recording, exit, at, done } => writer.take(&recording, Work::Finish { exit, at, done }),
                Job::Sync { recording } => ask_for_sync(&recording, &writer.sync),
                Job::Again { recording } => writer.take_again(&recording),
            });
        }
    }
}

fn ask_for_sync(recording: &Arc<Shared>, sync: &std_mpsc::SyncSender<SyncRequest>) {
    if recording.sync.ask(SOON) {
        request_sync(recording, SyncRequest::Soon(Arc::clone(recording)), sync);
    }
}

/// Never waits for the syncer: where its queue is full, the next output asks again.
fn request_sync(recording: &Shared, request: SyncRequest, sync: &std_mpsc::SyncSender<SyncRequest>) {
    if sync.try_send(request).is_err() {
        recording.sync.clear();
    }
}

/// Notes a failure once; nothing is written after it. Returns what succeeded.
fn note_failure<T>(recording: &Shared, result: io::Result<T>) -> Option<T> {
    match result {
        Ok(done) => Some(done),
        Err(error) => {
            error!(session.id = %recording.key.session, %error, "a recording cannot be written; its session will be ended");
            // Whoever waits for room learns that there will be none.
            recording.room.close();
            recording.fail(&error.to_string());
            None
        }
    }
}

fn sync_all(queue: &std_mpsc::Receiver<SyncRequest>, sync: impl Fn(Arc<Shared>)) {
    let mut due: HashMap<SessionId, (Instant, Arc<Shared>)> = HashMap::new();
    loop {
        let next = due.values().map(|(at, _)| *at).min();
        let request = match next {
            Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => queue.recv().map_err(|_| std_mpsc::RecvTimeoutError::Disconnected),
        };
        match request {
            Ok(SyncRequest::Soon(recording)) => {
                due.entry(recording.key.session).or_insert_with(|| (Instant::now() + SYNC_AFTER, recording));
            }
            Ok(SyncRequest::Now(recording)) => {
                due.remove(&recording.key.session);
                sync(recording);
            }
            Err(std_mpsc::RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                for (_, recording) in due.extract_if(|_, (at, _)| *at <= now).map(|(_, due)| due).collect::<Vec<_>>() {
                    sync(recording);
                }
            }
            Err(std_mpsc::RecvTimeoutError::Disconnected) => {
                for (_, recording) in due.into_values() {
                    sync(recording);
                }
                return;
            }
        }
    }
}

fn sync_one(recording: &Arc<Shared>, sealing: &SealQueue) {
    // Before the end is read: what is written from here on asks anew.
    recording.sync.clear();
    let (end, duplicates) = {
        let files = recording.files();
        (files.end(), files.duplicate())
    };
    let result = duplicates.and_then(|(output, timeline)| output.sync_data().and_then(|()| timeline.sync_data()));
    if note_failure(recording, result).is_some() {
        recording.synced.send_replace(end);
        if recording.durability == Durability::Synced {
            recording.durable.send_replace(end.position.source);
        }
        sealing.ask(recording);
    }
}
