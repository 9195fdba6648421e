//! The chain of a recording's segments. Pure.
//!
//! Each segment has an entry, a line of JSON that holds the segment's SHA-256 and the SHA-256 of the entry before: who changes,
//! drops, swaps or inserts one breaks the chain. The last entry of a recording says that, and how, it ended; a recording
//! whose session is over and that has no such entry was cut off.

use podlatch_protocol::id::{OrganisationId, SessionId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Position;
use super::timeline::{Exit, OutputEnd};

/// Longest entry that is read, in bytes: its markers come from one segment.
pub(super) const MAX_ENTRY_BYTES: usize = 4 * 1024 * 1024;

/// A SHA-256, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hash(String);

impl Hash {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex::encode(Sha256::digest(bytes)))
    }

    /// What the first entry has before it: nothing of another recording.
    pub(super) fn of_beginning(organisation: OrganisationId, session: SessionId) -> Self {
        Self::of(format!("podlatch recording of {organisation}/{session}").as_bytes())
    }

    /// The one that was noted as this text; a text that is no hash equals none.
    pub fn noted(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// In hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A line of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Entry {
    Segment(SegmentEntry),
    End(EndEntry),
}

/// What is known of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentEntry {
    /// Its number, from 1 on.
    pub index: u64,
    pub(super) previous: Hash,
    /// Of its bytes, without its last line.
    pub sha256: Hash,
    /// How many bytes that are.
    pub bytes: u64,
    /// Where the output stood before its first event.
    pub from: Position,
    /// Where the output stood after its last event.
    pub to: Position,
    /// The recording's time before its first event, in milliseconds since its beginning: what the first interval counts from.
    pub from_ms: u64,
    /// The recording's time at its last event.
    pub to_ms: u64,
    /// When the recording began, in milliseconds since the Unix epoch.
    pub began_at_ms: i64,
    /// The terminal's width at first.
    pub columns: u16,
    /// The terminal's height at first.
    pub rows: u16,
    /// Its markers.
    pub markers: Vec<Marker>,
    pub(super) resume: Resume,
}

/// What is needed to render the next segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resume {
    /// Byte of the timeline where the next entry begins.
    pub(super) timeline: u64,
    /// The beginning of a character, in hexadecimal.
    pub(super) split: String,
    pub(super) columns: u16,
    pub(super) rows: u16,
    /// What the log says of the end, once it was reached.
    pub(super) exit: Option<Exit>,
}

/// Something to find again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// In milliseconds since the recording's beginning.
    pub at_ms: u64,
    /// What it says.
    pub label: String,
}

/// How a recording ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EndEntry {
    pub(super) previous: Hash,
    /// How many segments it has.
    pub(super) segments: u64,
    pub(super) outcome: Outcome,
    /// The process' status, if it is known.
    pub(super) exit_status: Option<i32>,
}

/// Whether a recording has all that the process wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It has.
    Complete,
    /// Something is missing at its end.
    Truncated {
        /// What a person should know of it.
        why: String,
    },
}

impl Outcome {
    /// Judges a recording that ends at `source`, by what the agent said of the output's end, if anything was heard of an end.
    pub(super) fn judge(source: u64, end: Option<OutputEnd>) -> Self {
        let why = match end {
            Some(OutputEnd::At(end)) if end <= source => return Self::Complete,
            Some(OutputEnd::At(end)) => format!("the last {} bytes of output were not recorded", end - source),
            Some(OutputEnd::Unknown) => "the agent was lost before it could say where the output ends".to_owned(),
            None => "recording stopped before the session's end".to_owned(),
        };
        Self::Truncated { why }
    }
}

impl Entry {
    /// The line, without its end.
    pub(super) fn line(&self) -> String {
        // Strings and numbers always become JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn previous(&self) -> &Hash {
        match self {
            Self::Segment(segment) => &segment.previous,
            Self::End(end) => &end.previous,
        }
    }
}

/// A manifest, as far as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) segments: Vec<SegmentEntry>,
    pub(super) end: Option<EndEntry>,
    /// Hash of the last entry.
    pub(super) head: Hash,
}

/// Where and why a manifest does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    /// The segment's number.
    pub(super) segment: u64,
    pub(super) why: &'static str,
}

impl Manifest {
    /// A recording without segments.
    pub(super) fn empty(organisation: OrganisationId, session: SessionId) -> Self {
        Self { segments: Vec::new(), end: None, head: Hash::of_beginning(organisation, session) }
    }

    /// Takes the next line. What does not follow is refused, and leaves the manifest as it was.
    pub(super) fn push(&mut self, line: &str) -> Result<(), Broken> {
        let segment = self.segments.len() as u64 + 1;
        let broken = |why| Broken { segment, why };
        if line.len() > MAX_ENTRY_BYTES {
            return Err(broken("its entry in the manifest is too long"));
        }
        let entry: Entry =
            serde_json::from_str(line).map_err(|_| broken("its entry in the manifest cannot be read"))?;
        if entry.previous() != &self.head {
            return Err(broken(
                "it does not follow the one before: an entry was changed, removed or belongs elsewhere",
            ));
        }
        if self.end.is_some() {
            return Err(broken("it comes behind the recording's end"));
        }
        match entry {
            Entry::Segment(entry) if entry.index == segment => self.segments.push(entry),
            Entry::Segment(_) => return Err(broken("its number is wrong")),
            Entry::End(end) if end.segments + 1 == segment => self.end = Some(end),
            Entry::End(_) => return Err(broken("the recording's end counts other segments")),
        }
        self.head = Hash::of(line.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> (OrganisationId, SessionId) {
        (OrganisationId::new(1, &[1; 10]), SessionId::new(1, &[2; 10]))
    }

    fn segment(index: u64, previous: Hash) -> Entry {
        Entry::Segment(SegmentEntry {
            index,
            previous,
            sha256: Hash::of(b"bytes"),
            bytes: 5,
            from: Position::default(),
            to: Position { recorded: 5, source: 9 },
            from_ms: 0,
            to_ms: 3,
            began_at_ms: 1_700_000_000_000,
            columns: 80,
            rows: 24,
            markers: vec![Marker { at_ms: 2, label: "ls".into() }],
            resume: Resume::default(),
        })
    }

    fn lines() -> Vec<String> {
        let (organisation, session) = ids();
        let mut head = Hash::of_beginning(organisation, session);
        let mut lines = Vec::new();
        for index in 1..=3 {
            lines.push(segment(index, head).line());
            head = Hash::of(lines[lines.len() - 1].as_bytes());
        }
        let outcome = Outcome::judge(9, Some(OutputEnd::At(9)));
        lines.push(Entry::End(EndEntry { previous: head, segments: 3, outcome, exit_status: Some(0) }).line());
        lines
    }

    fn read(lines: &[String]) -> Result<Manifest, Broken> {
        let (organisation, session) = ids();
        let mut manifest = Manifest::empty(organisation, session);
        lines.iter().try_for_each(|line| manifest.push(line)).map(|()| manifest)
    }

    #[test]
    fn a_whole_chain_holds() {
        let manifest = read(&lines()).expect("holds");
        assert_eq!((manifest.segments.len(), manifest.end.map(|end| end.outcome)), (3, Some(Outcome::Complete)));
    }

    #[test]
    fn a_changed_dropped_swapped_or_foreign_entry_breaks_it() {
        let whole = lines();
        let changed = |change: fn(&mut Vec<String>)| {
            let mut lines = whole.clone();
            change(&mut lines);
            read(&lines).map_err(|broken| broken.segment)
        };
        assert_eq!(changed(|lines| lines[1] = lines[1].replace("\"to_ms\":3", "\"to_ms\":4")), Err(3));
        assert_eq!(changed(|lines| drop(lines.remove(1))), Err(2));
        assert_eq!(changed(|lines| lines.swap(0, 1)), Err(1));
        assert_eq!(changed(|lines| lines[2] = "nonsense".into()), Err(3));
        let foreign = Hash::of_beginning(ids().0, SessionId::new(9, &[9; 10]));
        assert_eq!(read(&[segment(1, foreign).line()]).map_err(|broken| broken.segment), Err(1));
    }

    #[test]
    fn a_recording_is_complete_only_where_the_agent_said_that_it_is() {
        assert_eq!(Outcome::judge(9, Some(OutputEnd::At(9))), Outcome::Complete);
        for end in [Some(OutputEnd::At(10)), Some(OutputEnd::Unknown), None] {
            assert!(matches!(Outcome::judge(9, end), Outcome::Truncated { .. }), "{end:?}");
        }
    }
}
