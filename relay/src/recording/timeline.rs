//! The timeline's entries: when which output was reached, and what else happened there. Pure.
//!
//! An entry is framed: `length: u32, crc32 of the body: u32`, then the body `kind: u8, at: i64 (Unix milliseconds),
//! recorded: u64, source: u64` and what its kind has besides, all big-endian. What a kill or a crash left of the last entry
//! is told by its length or its checksum, and ends the timeline.

use std::io::{self, Read};

use podlatch_protocol::terminal::TerminalSize;
use serde::{Deserialize, Serialize};

use super::Position;
use crate::clock::UnixMillis;

/// Longest label of a marker in bytes; a longer one is cut.
pub(super) const MAX_LABEL_BYTES: usize = 4 * 1024;

/// Longest note of a mark in bytes; a longer one is cut.
const MAX_NOTE_BYTES: usize = 128 * 1024;

/// Longest body: no kind needs more.
const MAX_BODY_BYTES: usize = MAX_LABEL_BYTES + MAX_NOTE_BYTES + 64;

const OUTPUT: u8 = 1;
const RESIZE: u8 = 2;
const MARKER: u8 = 3;
const EXIT: u8 = 4;
const MARK: u8 = 5;
const TYPED: u8 = 6;

/// Something that happened in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// Output was written; the entry's position is behind its last byte.
    Output,
    /// The terminal had this size from here on.
    Resize(TerminalSize),
    /// Something to find again, such as a command.
    Marker(String),
    /// The session ended. Always the last.
    Exit(Exit),
    /// The shell said something in the output, and it was taken out: the entry's position is behind it.
    Mark(Mark),
    /// A person typed: how, as whoever recorded it says it, and never what.
    Typed(Vec<u8>),
}

/// What a shell said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What people find it by; a mark without a label is no marker for them.
    pub(crate) label: String,
    /// What whoever recorded it wants to know of it again.
    pub(crate) note: Vec<u8>,
}

/// How a recording ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Exit {
    /// The process' status, if it is known.
    pub(super) status: Option<i32>,
    pub(super) output: OutputEnd,
}

/// Whether a recording has all that the process wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputEnd {
    /// The agent said where the output ends: there, in source bytes.
    At(u64),
    /// The agent was lost before it could say: more may have been written.
    Unknown,
}

/// An event at its time and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) at: UnixMillis,
    pub(super) position: Position,
}

impl Entry {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut frame = vec![0; 8];
        let kind = match self.event {
            Event::Output => OUTPUT,
            Event::Resize(_) => RESIZE,
            Event::Marker(_) => MARKER,
            Event::Exit(_) => EXIT,
            Event::Mark(_) => MARK,
            Event::Typed(_) => TYPED,
        };
        frame.push(kind);
        frame.extend_from_slice(&self.at.get().to_be_bytes());
        frame.extend_from_slice(&self.position.recorded.to_be_bytes());
        frame.extend_from_slice(&self.position.source.to_be_bytes());
        match &self.event {
            Event::Output => {}
            Event::Resize(size) => {
                frame.extend_from_slice(&size.columns().to_be_bytes());
                frame.extend_from_slice(&size.rows().to_be_bytes());
            }
            Event::Marker(label) => frame.extend_from_slice(cut(label).as_bytes()),
            Event::Typed(how) => frame.extend_from_slice(&how[..how.len().min(MAX_NOTE_BYTES)]),
            Event::Mark(mark) => {
                let label = cut(&mark.label).as_bytes();
                frame.extend_from_slice(&u16::try_from(label.len()).unwrap_or(u16::MAX).to_be_bytes());
                frame.extend_from_slice(label);
                frame.extend_from_slice(&mark.note[..mark.note.len().min(MAX_NOTE_BYTES)]);
            }
            Event::Exit(exit) => {
                let status = exit.status.map_or(i64::MIN, i64::from);
                frame.extend_from_slice(&status.to_be_bytes());
                let end = match exit.output {
                    OutputEnd::At(end) => end,
                    OutputEnd::Unknown => u64::MAX,
                };
                frame.extend_from_slice(&end.to_be_bytes());
            }
        }
        let length = u32::try_from(frame.len() - 8).unwrap_or(u32::MAX);
        let checksum = crc32fast::hash(&frame[8..]);
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame[4..8].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    /// Decodes a body whose checksum was right; `None` for a kind of another version.
    fn decode(mut body: &[u8]) -> Option<Self> {
        let kind = u8::from_be_bytes(take(&mut body)?);
        let at = UnixMillis::new(i64::from_be_bytes(take(&mut body)?));
        let recorded = u64::from_be_bytes(take(&mut body)?);
        let source = u64::from_be_bytes(take(&mut body)?);
        let event = match kind {
            OUTPUT => Event::Output,
            RESIZE => {
                let columns = u16::from_be_bytes(take(&mut body)?);
                Event::Resize(TerminalSize::clamped(columns, u16::from_be_bytes(take(&mut body)?)))
            }
            MARKER => Event::Marker(String::from_utf8_lossy(body).into_owned()),
            EXIT => {
                let status = i32::try_from(i64::from_be_bytes(take(&mut body)?)).ok();
                let output = match u64::from_be_bytes(take(&mut body)?) {
                    u64::MAX => OutputEnd::Unknown,
                    end => OutputEnd::At(end),
                };
                Event::Exit(Exit { status, output })
            }
            MARK => {
                let length = u16::from_be_bytes(take(&mut body)?);
                let (label, note) = body.split_at_checked(length.into())?;
                Event::Mark(Mark { label: String::from_utf8_lossy(label).into_owned(), note: note.to_vec() })
            }
            TYPED => Event::Typed(body.to_vec()),
            _ => return None,
        };
        Some(Self { event, at, position: Position { recorded, source } })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn cut(label: &str) -> &str {
    let mut end = label.len().min(MAX_LABEL_BYTES);
    while !label.is_char_boundary(end) {
        end -= 1;
    }
    &label[..end]
}

/// Reads entries one after the other, up to the first that is not whole.
#[derive(Debug)]
pub(super) struct Entries<R> {
    reader: R,
    end: u64,
}

impl<R: Read> Entries<R> {
    /// Entries from `reader`, which stands at byte `at` of the timeline, the beginning of an entry.
    pub(super) fn new(reader: R, at: u64) -> Self {
        Self { reader, end: at }
    }

    /// Behind which byte of the timeline the last whole entry ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The next entry that this version knows; `None` where the timeline ends.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            let mut head = [0; 8];
            if !self.fill(&mut head)? {
                return Ok(None);
            }
            let [l0, l1, l2, l3, checksum @ ..] = head;
            let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
            if length == 0 || length > MAX_BODY_BYTES {
                return Ok(None);
            }
            let mut body = vec![0; length];
            if !self.fill(&mut body)? || crc32fast::hash(&body) != u32::from_be_bytes(checksum) {
                return Ok(None);
            }
            self.end += 8 + length as u64;
            if let Some(entry) = Entry::decode(&body) {
                return Ok(Some(entry));
            }
        }
    }

    /// Returns whether there was enough.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        match self.reader.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Entry> {
        let events = [
            Event::Output,
            Event::Resize(TerminalSize::clamped(200, 50)),
            Event::Marker("ls -l \u{20ac}".to_owned()),
            Event::Typed(b"be".to_vec()),
            Event::Exit(Exit { status: Some(-1), output: OutputEnd::At(7) }),
            Event::Exit(Exit { status: None, output: OutputEnd::Unknown }),
        ];
        let entry = |(index, event)| Entry {
            event,
            at: UnixMillis::new(1_700_000_000_123),
            position: Position { recorded: 1 << 40, source: (1 << 40) + index as u64 },
        };
        events.into_iter().enumerate().map(entry).collect()
    }

    fn read(bytes: &[u8]) -> (Vec<Entry>, u64) {
        let mut entries = Entries::new(bytes, 0);
        let mut all = Vec::new();
        while let Some(entry) = entries.next().expect("memory can be read") {
            all.push(entry);
        }
        (all, entries.end())
    }

    #[test]
    fn entries_survive_and_a_torn_one_ends_the_timeline_at_every_byte() {
        let entries = some();
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for entry in &entries {
            bytes.extend_from_slice(&entry.encode());
            ends.push(bytes.len());
        }
        for length in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= length).count() - 1;
            assert_eq!(read(&bytes[..length]), (entries[..whole].to_vec(), ends[whole] as u64), "cut at {length}");
        }
    }

    #[test]
    fn a_changed_byte_ends_the_timeline() {
        let entries = some();
        let first = entries[0].encode();
        let mut bytes = first.clone();
        bytes.extend_from_slice(&entries[1].encode());
        for index in first.len()..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(read(&changed), (entries[..1].to_vec(), first.len() as u64), "at {index}");
        }
    }

    #[test]
    fn a_long_label_is_cut_between_characters() {
        let event = Event::Marker("\u{20ac}".repeat(MAX_LABEL_BYTES));
        let entry = Entry { event, ..some()[0].clone() };
        let (read, _) = read(&entry.encode());
        let Event::Marker(label) = &read[0].event else { panic!("another event") };
        assert_eq!(label.len(), MAX_LABEL_BYTES - MAX_LABEL_BYTES % 3);
    }
}
