//! Recordings: nothing that a process writes is shown before it is written here.
//!
//! A recording is a folder with two files: `output`, the raw bytes, in which an output offset is a file offset; and
//! `timeline`, fixed-size entries that say when which offset was reached and when the terminal changed its size
//! ([`timeline`]).
//!
//! Two watermarks: what is *written* (handed to the kernel, survives a killed relay) may be shown; what is *durable*
//! (synced, survives a lost machine) may be forgotten by the agent's holder. Writing and syncing each have their own
//! threads, so that a slow disk stalls output and nothing else.

mod files;
mod reading;
mod snapshot;
mod tail;
mod timeline;
mod writer;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use podlatch_protocol::id::SessionId;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::clock::UnixMillis;
use files::Files;
use tail::Tail;
use writer::Job;

pub use reading::ReadError;
pub use snapshot::Snapshot;
pub use writer::Recorder;

/// Output of one session that may wait for the disk, in bytes.
const IN_FLIGHT_BYTES: usize = 256 * 1024;

/// A recording could not be begun or continued.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The disk said no.
    #[error(
        "the recording in {path} cannot be written: {source}. Check the recordings folder: free space, owner, permissions"
    )]
    Io {
        /// The recording's folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The writer's threads are gone: the relay is shutting down.
    #[error("the recorder is shutting down")]
    ShuttingDown,
}

/// One session's recording. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Recording {
    shared: Arc<Shared>,
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Shared {
    session: SessionId,
    folder: PathBuf,
    written: watch::Sender<u64>,
    failure: watch::Sender<Option<Arc<str>>>,
    durable: watch::Sender<u64>,
    tail: Mutex<Tail>,
    files: Mutex<Files>,
    /// Room for output that is not written yet.
    room: Semaphore,
    sync: writer::SyncState,
}

impl Recording {
    /// Records output that follows what was recorded before, and returns when it is on its way: [`Self::written`] tells
    /// when it is written. Waits while the disk is behind. Not cancel safe: the bytes may or may not have gone.
    pub async fn append(&self, bytes: Bytes, at: UnixMillis) -> Result<(), RecordingError> {
        let room = u32::try_from(bytes.len().min(IN_FLIGHT_BYTES)).unwrap_or(u32::MAX);
        let permit = self.shared.room.acquire_many(room).await.map_err(|_| RecordingError::ShuttingDown)?;
        // Given back by the writer.
        permit.forget();
        self.send(Job::Output { recording: Arc::clone(&self.shared), bytes, at }).await
    }

    /// Records a new size of the terminal, in order with the output. Not cancel safe.
    pub async fn resize(&self, size: TerminalSize, at: UnixMillis) -> Result<(), RecordingError> {
        self.send(Job::Resize { recording: Arc::clone(&self.shared), size, at }).await
    }

    async fn send(&self, job: Job) -> Result<(), RecordingError> {
        self.jobs.send(job).await.map_err(|_| RecordingError::ShuttingDown)
    }

    /// Up to which offset it is written.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.shared.written.subscribe()
    }

    /// Set when something could not be written: nothing will be written any more. Says why.
    pub fn failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.shared.failure.subscribe()
    }

    /// Up to which offset it is durable.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.shared.durable.subscribe()
    }

    /// Forgets recent output below `offset` in memory; it stays readable from the disk.
    pub fn release_below(&self, offset: u64) {
        self.shared.tail.lock().unwrap_or_else(PoisonError::into_inner).release_below(offset);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);

    struct Begun {
        recorder: Recorder,
        session: SessionId,
        folder: tempfile::TempDir,
    }

    fn begin() -> Begun {
        let folder = tempfile::tempdir().expect("a folder");
        let recorder = Recorder::start(folder.path().to_owned()).expect("starts");
        Begun { recorder, session: SessionId::new(1, &[1; 10]), folder }
    }

    async fn append(recording: &Recording, bytes: &'static [u8]) {
        recording.append(Bytes::from_static(bytes), NOW).await.expect("appends");
    }

    async fn written(recording: &Recording, offset: u64) {
        recording.written().wait_for(|written| *written >= offset).await.expect("is written");
    }

    #[tokio::test]
    async fn output_is_written_then_durable_and_readable_from_memory_and_from_the_disk() {
        let Begun { recorder, session, folder } = begin();
        let recording = recorder.create(session).await.expect("begins");
        append(&recording, b"hello ").await;
        append(&recording, b"world").await;
        written(&recording, 11).await;
        assert_eq!(&recording.read(6, 99).await.expect("reads")[..], b"world");
        recording.durable().wait_for(|durable| *durable == 11).await.expect("is synced");
        recording.release_below(11);
        assert_eq!(&recording.read(3, 99).await.expect("reads")[..], b"lo world");
        let raw = std::fs::read(folder.path().join(session.to_string()).join("output")).expect("a file");
        assert_eq!(raw, b"hello world");
    }

    #[tokio::test]
    async fn a_recording_goes_on_where_a_killed_relay_left_it() {
        let Begun { recorder, session, folder } = begin();
        let recording = recorder.create(session).await.expect("begins");
        append(&recording, b"before").await;
        recording.resize(TerminalSize::clamped(40, 10), NOW).await.expect("notes it");
        append(&recording, b"!").await;
        written(&recording, 7).await;
        // What a kill in the middle of a write leaves.
        let timeline = folder.path().join(session.to_string()).join("timeline");
        OpenOptions::new().append(true).open(&timeline).expect("opens").write_all(b"torn").expect("writes");

        let again = Recorder::start(folder.path().to_owned()).expect("starts");
        let recording = again.resume(session).await.expect("resumes");
        assert_eq!(*recording.written().borrow(), 7);
        recording.durable().wait_for(|durable| *durable == 7).await.expect("is synced without new output");
        append(&recording, b" after").await;
        written(&recording, 13).await;
        let snapshot = recording.snapshot().await.expect("draws");
        assert_eq!(snapshot.offset, 13);
        assert!(String::from_utf8_lossy(&snapshot.bytes).contains("before! after"));
        assert_eq!(timeline.metadata().expect("exists").len() % timeline::ENTRY_BYTES as u64, 0);
    }

    #[tokio::test]
    async fn one_session_has_one_recording() {
        let Begun { recorder, session, folder: _folder } = begin();
        recorder.create(session).await.expect("begins");
        assert!(matches!(recorder.create(session).await, Err(RecordingError::Io { .. })));
        let unknown = recorder.resume(SessionId::new(2, &[2; 10])).await;
        assert!(matches!(unknown, Err(RecordingError::Io { .. })));
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_never_readable_and_ends_the_appending() {
        let Begun { recorder, session, folder: _folder } = begin();
        let recording = recorder.create(session).await.expect("begins");
        append(&recording, b"kept").await;
        written(&recording, 4).await;
        let full = || OpenOptions::new().append(true).open("/dev/full").expect("a device that is always full");
        *recording.shared.files.lock().expect("no holder panics") = Files::from_files(full(), full());
        append(&recording, b"lost").await;
        recording.failure().wait_for(Option::is_some).await.expect("is noticed");
        assert_eq!(*recording.written().borrow(), 4);
        assert!(recording.append(Bytes::from_static(b"more"), NOW).await.is_err());
    }
}
