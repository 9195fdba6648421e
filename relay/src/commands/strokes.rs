//! What may be kept of typing: that a line was begun and how it ended, never a key. Pure.

use super::keys::{Key, Keys};
use crate::clock::UnixMillis;

/// Strokes of one piece of input that are kept; a piece with more was typed by nobody.
const MAX_STROKES: usize = 4 * 1024;

/// Something that a person did with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stroke {
    /// Its first key came.
    Begin,
    /// It was entered.
    Enter,
    /// It was given up.
    Interrupt,
}

impl Stroke {
    /// As it is recorded.
    pub const fn as_byte(self) -> u8 {
        match self {
            Self::Begin => b'b',
            Self::Enter => b'e',
            Self::Interrupt => b'i',
        }
    }

    /// `None` for a byte of another version.
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            b'b' => Some(Self::Begin),
            b'e' => Some(Self::Enter),
            b'i' => Some(Self::Interrupt),
            _ => None,
        }
    }
}

/// Follows one session's input.
#[derive(Debug, Default)]
pub struct Strokes {
    keys: Keys,
    line: Line,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    #[default]
    Empty,
    Begun,
}

impl Strokes {
    /// The strokes in a piece of input; most have none.
    pub fn of(&mut self, bytes: &[u8], at: UnixMillis) -> Vec<Stroke> {
        let (mut strokes, line) = (Vec::new(), &mut self.line);
        self.keys.feed(bytes, at, |key| {
            let (stroke, after) = match (key, *line) {
                (Key::Enter, _) => (Stroke::Enter, Line::Empty),
                (Key::Interrupt, _) => (Stroke::Interrupt, Line::Empty),
                (_, Line::Empty) => (Stroke::Begin, Line::Begun),
                (_, Line::Begun) => return,
            };
            *line = after;
            if strokes.len() < MAX_STROKES {
                strokes.push(stroke);
            }
        });
        strokes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_begun_once_and_ends_once_and_its_keys_are_not_told() {
        let mut strokes = Strokes::default();
        let mut of = |bytes: &[u8]| -> Vec<u8> {
            strokes.of(bytes, UnixMillis::new(0)).into_iter().map(Stroke::as_byte).collect()
        };
        assert_eq!(of(b"l"), b"b");
        assert_eq!(of(b"s -l"), b"");
        assert_eq!(of(b"\r"), b"e");
        assert_eq!(of(b"\r"), b"e");
        assert_eq!(of(b"one\rtwo\x03\x1b[A\r"), b"bebibe");
        assert_eq!(of(b"\x1b[24;80R"), b"", "an answer of the terminal is no key");
        assert_eq!(of(b"\x1b[200~a\rb\x1b[201~"), b"b", "a line break inside a paste enters nothing");
    }
}
