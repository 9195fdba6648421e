//! A stored recording, opened for one request.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use podlatch_protocol::id::SessionId;
use podlatch_protocol::terminal::TerminalSize;
use tokio::task::spawn_blocking;

use super::{SegmentFacts, Source, Unreadable};
use crate::domain::recording::StoredRecording;
use crate::recording::SegmentEntry;
use crate::recording::archive::{Archive, ArchiveError, Segment, State, TimedEvent};
use crate::recording::asciicast::{Event, Header};

/// A recording that is read.
#[derive(Debug)]
pub struct Tape {
    session: SessionId,
    archive: Archive,
}

impl Tape {
    /// The recording of a session; `noted` is what the database says of it once it was stored whole.
    pub fn new(session: SessionId, mut archive: Archive, noted: Option<&StoredRecording>) -> Self {
        let was_complete = noted.is_some_and(|noted| noted.truncation.is_none());
        if was_complete && matches!(archive.state, State::Recording | State::Truncated { .. }) {
            let segment = archive.segments().len() as u64 + 1;
            archive.state =
                State::Damaged { segment, why: "the recording was whole, and its end is missing".to_owned() };
        }
        Self { session, archive }
    }

    /// The segments, in their order.
    pub fn entries(&self) -> &[SegmentEntry] {
        self.archive.segments()
    }

    /// The commands, with their times in milliseconds since the beginning.
    pub fn markers(&self) -> impl Iterator<Item = (u64, &str)> {
        self.archive.markers().map(|marker| (marker.at_ms, marker.label.as_str()))
    }

    /// How long it is so far, in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.archive.duration_ms()
    }

    /// How large it is so far, in bytes.
    pub fn bytes(&self) -> u64 {
        self.archive.bytes()
    }

    /// How much of it is there, as a stable name.
    pub fn state(&self) -> &'static str {
        match self.archive.state {
            State::Recording => "recording",
            State::Complete => "complete",
            State::Truncated { .. } => "truncated",
            State::Damaged { .. } => "damaged",
        }
    }

    /// What a person should know of a recording that is not whole.
    pub fn message(&self) -> Option<String> {
        match &self.archive.state {
            State::Recording | State::Complete => None,
            State::Truncated { why } => Some(sentence(why)),
            State::Damaged { segment, why } => Some(damaged(*segment, why)),
        }
    }

    /// The recording as one asciicast v3 file. Where a part is not what was recorded the file ends, with a marker and a
    /// comment that say so; where the storage fails the stream breaks off, so that it does not look whole.
    pub fn into_cast(self) -> impl Stream<Item = Result<Bytes, Unreadable>> + Send + 'static {
        let size = self.size();
        let cast = Box::pin(self.archive.concat());
        stream::unfold((Some(cast), Header { size, timestamp: None }.line()), |(cast, header)| async move {
            let mut cast = cast?;
            match cast.next().await?.map_err(Unreadable::from) {
                Ok(bytes) => Some((Ok(bytes), (Some(cast), Vec::new()))),
                Err(Unreadable::Damaged(why)) => Some((Ok(end_of_damaged(header, &why)), (None, Vec::new()))),
                Err(error @ Unreadable::Storage(_)) => Some((Err(error), (None, Vec::new()))),
            }
        })
    }
}

impl Source for Tape {
    fn session(&self) -> SessionId {
        self.session
    }

    fn size(&self) -> TerminalSize {
        self.entries().first().map_or(TerminalSize::DEFAULT, |first| TerminalSize::clamped(first.columns, first.rows))
    }

    fn segments(&self) -> Vec<SegmentFacts> {
        let facts = |entry: &SegmentEntry| SegmentFacts {
            index: entry.index,
            to_ms: entry.to_ms,
            sha256: entry.sha256.as_str().to_owned(),
        };
        self.entries().iter().map(facts).collect()
    }

    async fn read(&self, index: u64) -> Result<Vec<TimedEvent>, Unreadable> {
        let segment = self.archive.read(index).await?;
        let events = spawn_blocking(move || events_of(&segment)).await;
        events.map_err(|error| Unreadable::Storage(error.to_string()))?
    }
}

fn events_of(segment: &Segment) -> Result<Vec<TimedEvent>, Unreadable> {
    let events: Result<_, _> = segment.events().collect();
    events.map_err(|error| Unreadable::Damaged(damaged(segment.entry.index, &error.to_string())))
}

impl From<ArchiveError> for Unreadable {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::NotFound => Self::Damaged("This part of the recording does not exist.".to_owned()),
            ArchiveError::Damaged { segment, why } => Self::Damaged(damaged(segment, &why)),
            ArchiveError::Unreadable(why) => Self::Storage(why),
        }
    }
}

fn damaged(segment: u64, why: &str) -> String {
    format!("Segment {segment} is not what was recorded: {why}. What comes before it can be trusted.")
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}

/// The last lines of a file whose rest is missing, behind the header if nothing came before.
fn end_of_damaged(header: Vec<u8>, why: &str) -> Bytes {
    let mut lines = header;
    Event::Marker(why.to_owned()).put(0, &mut lines);
    lines.extend_from_slice(b"# ");
    lines.extend(why.bytes().map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    lines.push(b'\n');
    Bytes::from(lines)
}
