//! A stored recording, opened for one request.

use bytes::Bytes;
use futures_util::{Stream, stream};
use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::terminal::TerminalSize;

use super::event::Event;
use super::{SegmentFacts, Source, Unreadable};
use crate::store::{Store, StoreError};

/// stub
#[derive(Debug, Clone, Default)]
pub struct Archive;

/// A recording cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// It was deleted, or there never was one. Says which.
    #[error("{0}")]
    Gone(String),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How much of a recording is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapeState {
    /// The session goes on, or its last part is being stored.
    Recording,
    /// All of it.
    Complete,
    /// Its end is missing.
    Truncated,
    /// Some of it is not what was recorded.
    Damaged,
}

impl TapeState {
    /// The stable name.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Recording => "recording",
            Self::Complete => "complete",
            Self::Truncated => "truncated",
            Self::Damaged => "damaged",
        }
    }
}

/// stub
#[derive(Debug)]
pub struct Hex(String);
impl Hex {
    /// stub
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// stub
#[derive(Debug)]
pub struct Facts {
    /// a
    pub index: u64,
    /// a
    pub from_ms: u64,
    /// a
    pub to_ms: u64,
    /// a
    pub bytes: u64,
    /// a
    pub sha256: Hex,
}

/// A recording that is read.
#[derive(Debug)]
pub struct Tape {
    facts: Vec<Facts>,
}

impl Tape {
    /// Opens
    pub async fn open(
        _archive: &Archive,
        _store: &Store,
        _organisation: OrganisationId,
        _session: SessionId,
        _goes_on: bool,
    ) -> Result<Self, TapeError> {
        Err(TapeError::Gone("stub.".into()))
    }
    /// a
    pub fn facts(&self) -> impl Iterator<Item = &Facts> {
        self.facts.iter()
    }
    /// a
    pub fn markers(&self) -> impl Iterator<Item = (u64, &str)> {
        std::iter::empty()
    }
    /// a
    pub fn first_size(&self) -> TerminalSize {
        TerminalSize::DEFAULT
    }
    /// a
    pub fn state(&self) -> TapeState {
        TapeState::Complete
    }
    /// a
    pub fn message(&self) -> Option<String> {
        None
    }
    /// a
    pub fn into_cast(self) -> impl Stream<Item = Result<Bytes, Unreadable>> + Send + 'static {
        stream::empty()
    }
}

impl Source for Tape {
    fn session(&self) -> SessionId {
        SessionId::new(1, &[1; 10])
    }
    fn size(&self) -> TerminalSize {
        self.first_size()
    }
    fn segments(&self) -> Vec<SegmentFacts> {
        Vec::new()
    }
    async fn read(&self, _index: u64) -> Result<Vec<Event>, Unreadable> {
        Ok(vec![])
    }
}
