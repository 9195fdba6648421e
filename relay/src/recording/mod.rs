//! Recordings: nothing that a process writes is shown before it is written here.
//!
//! A session's *hot log* is a folder with two files: `output`, the bytes that viewers see, in which a recorded offset is a
//! file offset; and `timeline`, which says when which offset was reached and what else happened there ([`timeline`]).
//!
//! Two offsets ([`Position`]): viewers count *recorded* bytes, the agent counts *source* bytes. They differ by what the relay
//! takes out of the output.
//!
//! Two watermarks: what is *written* (handed to the kernel, survives a killed relay) may be shown; what is *durable*
//! (synced, or stored elsewhere) may be forgotten by the agent's holder. Writing and syncing each have their own threads, so
//! that a slow disk stalls output and nothing else.
//!
//! From the hot log, asciicast segments are rendered and stored as it happens ([`sealing`]), chained by their hashes
//! ([`manifest`]) and read again by [`archive`]. When all of a session is stored, its hot log is removed.

pub mod archive;
pub mod asciicast;
mod disk;
mod files;
mod following;
mod live;
mod manifest;
mod reading;
mod sealing;
mod snapshot;
mod store;
mod tail;
mod timeline;
mod utf8;
mod writer;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::terminal::TerminalSize;
use serde::{Deserialize, Serialize};

use crate::clock::UnixMillis;
use live::{IN_FLIGHT_BYTES, Shared};

pub(crate) use following::{LogReader, Step};
pub use live::Recording;
pub use manifest::{Hash, Marker, Outcome, SegmentEntry};
pub use reading::ReadError;
pub use sealing::Sealed;
pub use snapshot::Snapshot;
pub use store::{RecordingsStore, StoreError, StoreLocation};
pub(crate) use timeline::Mark;
pub use timeline::OutputEnd;
pub use writer::{Recorder, RecorderParts};

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

/// A place in a session's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Bytes that were recorded: what viewers count.
    pub recorded: u64,
    /// Bytes that the process wrote: what the agent counts. Never below `recorded`.
    pub source: u64,
}

impl Position {
    /// Bytes that were taken out of the output before it was recorded.
    pub fn stripped(self) -> u64 {
        self.source.saturating_sub(self.recorded)
    }
}

/// Output to record.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What viewers see of it; may be empty.
    pub bytes: Bytes,
    /// Source offset behind it.
    pub source_end: u64,
    /// When it came.
    pub at: UnixMillis,
}

/// What a recording begins with.
#[derive(Debug, Clone, Copy)]
pub struct NewRecording {
    /// Whose.
    pub organisation: OrganisationId,
    /// Of which session.
    pub session: SessionId,
    /// The terminal's size at first.
    pub size: TerminalSize,
    /// When.
    pub at: UnixMillis,
}

/// Which recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct SessionKey {
    organisation: OrganisationId,
    session: SessionId,
}

impl SessionKey {
    fn ids(self) -> (OrganisationId, SessionId) {
        (self.organisation, self.session)
    }

    /// Where its hot log is.
    fn folder(self, hot: &Path) -> PathBuf {
        hot.join(self.organisation.to_string()).join(self.session.to_string())
    }
}
