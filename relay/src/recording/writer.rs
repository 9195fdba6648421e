//! The threads that write and sync recordings.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use podlatch_protocol::id::{OrganisationId, SessionId};
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::files::Files;
use super::timeline::{Event, Exit, Mark};
use super::{IN_FLIGHT_BYTES, NewRecording, Piece, Position, Recording, RecordingError, Shared};
use crate::clock::UnixMillis;

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
            Self::Finish { .. } => "Job::Finish",
            Self::Sync { .. } => "Job::Sync",
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

/// Makes recordings. Cheap to clone; its threads end when the last clone and the last recording are gone.
#[derive(Debug, Clone)]
pub struct Recorder {
    folder: Arc<PathBuf>,
    jobs: mpsc::Sender<Job>,
}

impl Recorder {
    /// Starts the threads. Recordings are kept in `folder`, which must exist.
    pub fn start(folder: PathBuf) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUED_JOBS);
        let (sync, sync_queue) = std_mpsc::sync_channel(QUEUED_SYNCS);
        std::thread::Builder::new().name("recording-writer".into()).spawn(move || write_all(queue, &sync))?;
        std::thread::Builder::new().name("recording-syncer".into()).spawn(move || sync_all(&sync_queue))?;
        Ok(Self { folder: Arc::new(folder), jobs })
    }

    /// Begins a session's recording. Cancel safe in that nothing depends on what a cancelled one leaves behind.
    pub async fn create(&self, new: NewRecording) -> Result<Recording, RecordingError> {
        self.open(new.session, move |folder| {
            let mut files = Files::create(folder)?;
            files.note(Event::Resize(new.size), new.at)?;
            Ok(files)
        })
        .await
    }

    /// Continues a session's recording where it ends. Cancel safe.
    pub async fn resume(&self, _organisation: OrganisationId, session: SessionId) -> Result<Recording, RecordingError> {
        let recording = self.open(session, Files::resume).await?;
        recording.send(Job::Sync { recording: Arc::clone(&recording.shared) }).await?;
        Ok(recording)
    }

    async fn open(
        &self,
        session: SessionId,
        open: impl FnOnce(&Path) -> io::Result<Files> + Send + 'static,
    ) -> Result<Recording, RecordingError> {
        let folder = self.folder.join(session.to_string());
        let path = folder.clone();
        let opened =
            tokio::task::spawn_blocking(move || open(&path)).await.map_err(|_| RecordingError::ShuttingDown)?;
        let files = opened.map_err(|source| RecordingError::Io { path: folder.clone(), source })?;
        Ok(Recording { shared: Arc::new(Shared::new(session, folder, files)), jobs: self.jobs.clone() })
    }
}

fn write_all(mut queue: mpsc::Receiver<Job>, sync: &std_mpsc::SyncSender<SyncRequest>) {
    let mut batch = Vec::with_capacity(BATCH_JOBS);
    while queue.blocking_recv_many(&mut batch, BATCH_JOBS) > 0 {
        let mut jobs = batch.drain(..).peekable();
        while let Some(job) = jobs.next() {
            match job {
                Job::Output { recording, piece } => {
                    let mut run = Run::of(piece);
                    while let Some(Job::Output { piece, .. }) = jobs.next_if(|job| job.follows(&recording)) {
                        run.push(piece);
                    }
                    write_output(&recording, run, sync);
                }
                Job::Note { recording, event, at } => note(&recording, event, at, sync),
                Job::Mark { recording, mark, source_end, at } => write_mark(&recording, mark, (source_end, at), sync),
                Job::Finish { recording, exit, at, done } => {
                    note(&recording, Event::Exit(exit), at, sync);
                    // An error means that nobody waits any more.
                    let _over = done.send(recording.position());
                }
                Job::Sync { recording } => ask_for_sync(&recording, sync),
            }
        }
    }
}

/// Pieces of output that follow each other.
struct Run {
    pieces: Vec<Bytes>,
    source_end: u64,
    at: UnixMillis,
}

impl Run {
    fn of(piece: Piece) -> Self {
        Self { pieces: vec![piece.bytes], source_end: piece.source_end, at: piece.at }
    }

    fn push(&mut self, piece: Piece) {
        self.pieces.push(piece.bytes);
        self.source_end = piece.source_end;
        self.at = piece.at;
    }
}

/// Writes output that arrived in several pieces, as one.
fn write_output(recording: &Arc<Shared>, run: Run, sync: &std_mpsc::SyncSender<SyncRequest>) {
    if recording.failure.borrow().is_some() {
        return;
    }
    let room = run.pieces.iter().map(|piece| piece.len().min(IN_FLIGHT_BYTES)).sum();
    let result = recording.files().append(&run.pieces, run.source_end, run.at);
    let Some(position) = note_failure(recording, result) else {
        return;
    };
    {
        let mut tail = recording.tail.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in run.pieces {
            tail.push(piece);
        }
    }
    recording.move_to(position);
    recording.room.add_permits(room);
    let unsynced = position.source - recording.synced.borrow().position.source;
    ask_for_sync(recording, sync);
    if unsynced >= SYNC_AT_BYTES && recording.sync.ask(NOW) {
        request_sync(recording, SyncRequest::Now(Arc::clone(recording)), sync);
    }
}

fn note(recording: &Arc<Shared>, event: Event, at: UnixMillis, sync: &std_mpsc::SyncSender<SyncRequest>) {
    if recording.failure.borrow().is_some() {
        return;
    }
    let result = recording.files().note(event, at);
    if note_failure(recording, result).is_some() {
        ask_for_sync(recording, sync);
    }
}

fn write_mark(
    recording: &Arc<Shared>,
    mark: Mark,
    (source_end, at): (u64, UnixMillis),
    sync: &std_mpsc::SyncSender<SyncRequest>,
) {
    if recording.failure.borrow().is_some() {
        return;
    }
    let result = recording.files().mark(mark, source_end, at);
    if let Some(position) = note_failure(recording, result) {
        recording.move_to(position);
        ask_for_sync(recording, sync);
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
            error!(session.id = %recording.session, %error, "a recording cannot be written; its session will be ended");
            // Whoever waits for room learns that there will be none.
            recording.room.close();
            recording.failure.send_replace(Some(error.to_string().into()));
            None
        }
    }
}

fn sync_all(queue: &std_mpsc::Receiver<SyncRequest>) {
    let mut due: HashMap<SessionId, (Instant, Arc<Shared>)> = HashMap::new();
    loop {
        let next = due.values().map(|(at, _)| *at).min();
        let request = match next {
            Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => queue.recv().map_err(|_| std_mpsc::RecvTimeoutError::Disconnected),
        };
        match request {
            Ok(SyncRequest::Soon(recording)) => {
                due.entry(recording.session).or_insert_with(|| (Instant::now() + SYNC_AFTER, recording));
            }
            Ok(SyncRequest::Now(recording)) => {
                due.remove(&recording.session);
                sync_one(&recording);
            }
            Err(std_mpsc::RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                for (_, recording) in due.extract_if(|_, (at, _)| *at <= now).map(|(_, due)| due).collect::<Vec<_>>() {
                    sync_one(&recording);
                }
            }
            Err(std_mpsc::RecvTimeoutError::Disconnected) => {
                for (_, recording) in due.into_values() {
                    sync_one(&recording);
                }
                return;
            }
        }
    }
}

fn sync_one(recording: &Shared) {
    // Before the end is read: what is written from here on asks anew.
    recording.sync.clear();
    let (end, duplicates) = {
        let files = recording.files();
        (files.end(), files.duplicate())
    };
    let result = duplicates.and_then(|(output, timeline)| output.sync_data().and_then(|()| timeline.sync_data()));
    if note_failure(recording, result).is_some() {
        recording.synced.send_replace(end);
        recording.durable.send_replace(end.position.source);
    }
}
