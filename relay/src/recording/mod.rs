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
