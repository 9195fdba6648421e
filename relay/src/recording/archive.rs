//! Reading what was sealed: for replay, search and download, also while a session goes on.
//!
//! Nothing read here is believed before its hash was compared with the manifest, whose entries prove each other.

use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{Stream, stream};
use podlatch_protocol::id::{OrganisationId, SessionId};

use super::asciicast::{self, Event, Line, LineError};
use super::manifest::{Broken, EndEntry, Entry, Hash, Manifest, Marker, Outcome, SegmentEntry};
use super::store::{MANIFEST, RecordingsStore, StoreError, segment_name};
use super::{SessionKey, sealing};

/// A recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// There is none: the session was never opened, or its recording was removed.
    #[error("there is no recording of this session")]
    NotFound,
    /// It is not what was recorded.
    #[error("the recording is damaged at segment {segment}: {why}. What comes before it can be trusted")]
    Damaged {
        /// The segment's number.
        segment: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The store or the hot log cannot be read now.
    #[error("the recording cannot be read now: {0}")]
    Unreadable(String),
}

/// How a recording stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All of it is there.
    Complete,
    /// Its session goes on, or has just ended.
    Recording,
    /// Its end is missing.
    Truncated {
        /// What a person should know of it.
        why: String,
    },
    /// It was changed, or parts of it are missing. What comes before this segment can be trusted.
    Damaged {
        /// The segment's number.
        segment: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Opens recordings. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archives {
    store: RecordingsStore,
    hot: PathBuf,
}

/// A recording's manifest, read once.
#[derive(Debug, Clone)]
pub struct Archive {
    key: SessionKey,
    store: RecordingsStore,
    segments: Vec<SegmentEntry>,
    end: Option<EndEntry>,
    /// How the recording stands, as far as the manifest tells.
    pub state: State,
}

/// A segment that was verified.
#[derive(Debug, Clone)]
pub struct Segment {
    /// What the manifest says of it.
    pub entry: SegmentEntry,
    /// An asciicast v3 of its own.
    pub cast: Bytes,
}

/// An event at its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedEvent {
    /// In milliseconds since the recording's beginning.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

impl Archives {
    /// Recordings in `store`, or still in the folder `hot` of hot logs.
    pub fn new(store: RecordingsStore, hot: PathBuf) -> Self {
        Self { store, hot }
    }

    /// Opens a recording; `head` is the hash of its last entry, where the database knows it. Cancel safe.
    pub async fn open(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        head: Option<&Hash>,
    ) -> Result<Archive, ArchiveError> {
        let key = SessionKey { organisation, session };
        match self.store.get(key.ids(), MANIFEST).await {
            Ok(bytes) => Ok(self.stored(key, &bytes, head)),
            Err(StoreError::NotFound(_)) => self.unfinished(key).await,
            Err(error) => Err(unreadable(&error)),
        }
    }

    fn stored(&self, key: SessionKey, bytes: &[u8], head: Option<&Hash>) -> Archive {
        let mut manifest = Manifest::empty(key.organisation, key.session);
        let broken = push_all(&mut manifest, bytes);
        let next = manifest.segments.len() as u64 + 1;
        let state = match (broken, &manifest.end) {
            (Some(Broken { segment, why }), _) => State::Damaged { segment, why: why.to_owned() },
            (None, None) => State::Damaged { segment: next, why: "the manifest ends before its end".to_owned() },
            (None, Some(_)) if head.is_some_and(|head| *head != manifest.head) => State::Damaged {
                segment: 1,
                why: "the whole manifest is another than the one that was noted".to_owned(),
            },
            (None, Some(EndEntry { outcome: Outcome::Complete, .. })) => State::Complete,
            (None, Some(EndEntry { outcome: Outcome::Truncated { why }, .. })) => State::Truncated { why: why.clone() },
        };
        self.archive(key, manifest, state)
    }

    /// There is no manifest in the store: the session goes on, or the relay that recorded it was lost.
    async fn unfinished(&self, key: SessionKey) -> Result<Archive, ArchiveError> {
        let folder = key.folder(&self.hot);
        let local = tokio::task::spawn_blocking(move || {
            if folder.is_dir() { sealing::read_local(&folder, key).map(Some) } else { Ok(None) }
        });
        let local = local.await.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
        if let Some(manifest) = local {
            return Ok(self.archive(key, manifest, State::Recording));
        }
        let indexes = self.store.segments(key.organisation, key.session).await.map_err(|error| unreadable(&error))?;
        if indexes.is_empty() {
            return Err(ArchiveError::NotFound);
        }
        self.rebuild(key, &indexes).await
    }

    /// Each segment carries its own entry.
    async fn rebuild(&self, key: SessionKey, indexes: &[u64]) -> Result<Archive, ArchiveError> {
        let mut manifest = Manifest::empty(key.organisation, key.session);
        let why = "the relay that recorded it was lost before it could say where the recording ends".to_owned();
        let mut state = State::Truncated { why };
        for index in indexes {
            let object = self.store.get(key.ids(), &segment_name(*index)).await.map_err(|error| unreadable(&error))?;
            let entry = split_entry(&object).map_or("", |(_, entry)| entry);
            if let Err(Broken { segment, why }) = manifest.push(entry) {
                state = State::Damaged { segment, why: why.to_owned() };
                break;
            }
        }
        Ok(self.archive(key, manifest, state))
    }

    fn archive(&self, key: SessionKey, manifest: Manifest, state: State) -> Archive {
        let Manifest { segments, end, .. } = manifest;
        Archive { key, store: self.store.clone(), segments, end, state }
    }
}

impl Archive {
    /// What is known of its segments, in order; the first has number 1.
    pub fn segments(&self) -> &[SegmentEntry] {
        &self.segments
    }

    /// How long it is so far, in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.to_ms)
    }

    /// How large it is so far, in bytes.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Its markers so far, in order.
    pub fn markers(&self) -> impl Iterator<Item = &Marker> {
        self.segments.iter().flat_map(|segment| &segment.markers)
    }

    /// The process' status, if the recording has ended and it is known.
    pub fn exit_status(&self) -> Option<i32> {
        self.end.as_ref().and_then(|end| end.exit_status)
    }

    /// Reads a segment by its number and verifies it. Cancel safe.
    pub async fn read(&self, index: u64) -> Result<Segment, ArchiveError> {
        let place = index.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        let entry = place.and_then(|place| self.segments.get(place)).ok_or(ArchiveError::NotFound)?;
        let damaged = |why: &str| ArchiveError::Damaged { segment: index, why: why.to_owned() };
        let object = match self.store.get(self.key.ids(), &segment_name(index)).await {
            Ok(object) => object,
            Err(StoreError::NotFound(_)) => return Err(damaged("it is missing")),
            Err(StoreError::TooLarge(_)) => return Err(damaged("it is far larger than any that was recorded")),
            Err(error) => return Err(unreadable(&error)),
        };
        let (cast, line) = split_entry(&object).ok_or_else(|| damaged("its last line is missing"))?;
        if cast.len() as u64 != entry.bytes || Hash::of(cast) != entry.sha256 {
            return Err(damaged("its bytes are not those that were recorded"));
        }
        if line != Entry::Segment(entry.clone()).line() {
            return Err(damaged("its last line was changed"));
        }
        Ok(Segment { entry: entry.clone(), cast: object.slice(..cast.len()) })
    }

    /// The whole recording as one asciicast v3, segment by segment. Ends with an error where it is damaged.
    pub fn concat(self) -> impl Stream<Item = Result<Bytes, ArchiveError>> + Send {
        let damage = match &self.state {
            State::Damaged { segment, why } => Some(ArchiveError::Damaged { segment: *segment, why: why.clone() }),
            State::Complete | State::Recording | State::Truncated { .. } => None,
        };
        stream::unfold((self, 1, damage), |(archive, index, damage)| async move {
            if index > archive.segments.len() as u64 {
                // Once, and then the end.
                return damage.map(|damage| (Err(damage), (archive, index, None)));
            }
            let segment = archive.read(index).await;
            let next = if segment.is_ok() { index + 1 } else { u64::MAX };
            let damage = if segment.is_ok() { damage } else { None };
            Some((segment.map(|segment| segment.continuing()), (archive, next, damage)))
        })
    }
}

impl Segment {
    /// Its events with their times in the recording.
    pub fn events(&self) -> impl Iterator<Item = Result<TimedEvent, LineError>> {
        let mut at_ms = self.entry.from_ms;
        self.cast.split(|byte| *byte == b'\n').filter_map(move |line| {
            match std::str::from_utf8(line).map_err(|_| LineError::Malformed).and_then(asciicast::parse) {
                Ok(Line::Event(interval_ms, event)) => {
                    at_ms += interval_ms;
                    Some(Ok(TimedEvent { at_ms, event }))
                }
                Ok(Line::Header(_) | Line::Nothing) => None,
                Err(error) => Some(Err(error)),
            }
        })
    }

    /// Its lines as they follow the segment before: intervals go on, so that only the first header stays.
    fn continuing(&self) -> Bytes {
        let header = match self.entry.index {
            1 => 0,
            _ => self.cast.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        };
        self.cast.slice(header..)
    }
}

fn push_all(manifest: &mut Manifest, bytes: &[u8]) -> Option<Broken> {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for line in lines {
        // What is no text is no entry either.
        if let Err(broken) = manifest.push(std::str::from_utf8(line).unwrap_or_default()) {
            return Some(broken);
        }
    }
    None
}

/// A segment's bytes and its entry, which is its last line.
fn split_entry(object: &[u8]) -> Option<(&[u8], &str)> {
    let lines = object.strip_suffix(b"\n")?;
    let begin = lines.iter().rposition(|byte| *byte == b'\n')? + 1;
    let entry = std::str::from_utf8(lines.get(begin..)?).ok()?.strip_prefix("# ")?;
    Some((&object[..begin], entry))
}

fn unreadable(error: &dyn std::fmt::Display) -> ArchiveError {
    ArchiveError::Unreadable(error.to_string())
}
