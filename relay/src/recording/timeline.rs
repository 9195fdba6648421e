//! The timeline's entries: 24 bytes each, so a torn last one is told by the file's length. Pure.
//!
//! `kind: u8, zero: 3 bytes, columns: u16, rows: u16, at: i64 (Unix milliseconds), offset: u64`, all big-endian.

use podlatch_protocol::terminal::TerminalSize;

use crate::clock::UnixMillis;

/// Length of an entry in bytes.
pub(super) const ENTRY_BYTES: usize = 24;

const OUTPUT: u8 = 1;
const RESIZE: u8 = 2;

/// Something that happened in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Output was written; the entry's offset is behind its last byte.
    Output,
    /// The terminal had this size from the entry's offset on.
    Resize(TerminalSize),
}

/// An event at its time and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) at: UnixMillis,
    pub(super) offset: u64,
}

impl Entry {
    pub(super) fn encode(self) -> [u8; ENTRY_BYTES] {
        let (kind, columns, rows) = match self.event {
            Event::Output => (OUTPUT, 0, 0),
            Event::Resize(size) => (RESIZE, size.columns(), size.rows()),
        };
        let mut bytes = [0; ENTRY_BYTES];
        bytes[0] = kind;
        bytes[4..6].copy_from_slice(&columns.to_be_bytes());
        bytes[6..8].copy_from_slice(&rows.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.at.get().to_be_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    /// Decodes an entry; `None` for a kind of another version.
    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let [kind, _, _, _, c0, c1, r0, r1, at @ ..] = *bytes;
        let event = match kind {
            OUTPUT => Event::Output,
            RESIZE => Event::Resize(TerminalSize::clamped(u16::from_be_bytes([c0, c1]), u16::from_be_bytes([r0, r1]))),
            _ => return None,
        };
        let (at, offset) = at.split_first_chunk::<8>()?;
        let offset = offset.first_chunk::<8>()?;
        Some(Self { event, at: UnixMillis::new(i64::from_be_bytes(*at)), offset: u64::from_be_bytes(*offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive() {
        for event in [Event::Output, Event::Resize(TerminalSize::clamped(200, 50))] {
            let entry = Entry { event, at: UnixMillis::new(1_700_000_000_123), offset: 1 << 40 };
            assert_eq!(Entry::decode(&entry.encode()), Some(entry));
        }
        assert_eq!(Entry::decode(&[9; ENTRY_BYTES]), None);
    }
}
