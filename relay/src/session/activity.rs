//! Which input is a person's, and which a terminal sends by itself: answers to queries, reports of focus. Pure.
//!
//! A program that asks the terminal something every second must not keep a session from being idle. Keys, pastes and the
//! mouse are a person's.

use std::collections::HashMap;

use podlatch_protocol::id::WriterId;
use podlatch_protocol::limits::MAX_WRITERS;

/// The input of all writers of a session.
#[derive(Debug, Default)]
pub(super) struct Activity {
    writers: HashMap<WriterId, Classifier>,
}

impl Activity {
    /// Whether a person typed some of `bytes`, which follow what the writer sent before.
    pub(super) fn is_human(&mut self, writer: WriterId, bytes: &[u8]) -> bool {
        if self.writers.len() >= MAX_WRITERS && !self.writers.contains_key(&writer) {
            // Only a sequence that is split right now would be misjudged.
            self.writers.clear();
        }
        self.writers.entry(writer).or_default().is_human(bytes)
    }
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

/// Reads one writer's input, in whatever pieces it comes.
#[derive(Debug, Default)]
struct Classifier {
    state: State,
}

/// Where in a sequence the input stands (ECMA-48; DEC STD 070 for what terminals make of it).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// Behind ESC.
    Escape,
    /// Inside `ESC [`.
    Control(Control),
    /// Inside `ESC O`: one more byte, which names a key.
    SingleShift,
    /// Inside OSC, DCS, APC, PM or SOS: no key sends these.
    Text,
    /// Behind an ESC inside such a text, which may end it.
    TextEscape,
}

/// What is known of a control sequence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Control {
    /// Its private marker: one of `< = > ?`.
    marker: Option<u8>,
    parameters: Parameters,
    /// Its last intermediate byte.
    intermediate: Option<u8>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Parameters {
    #[default]
    None,
    One,
    Several,
}

impl Classifier {
    fn is_human(&mut self, bytes: &[u8]) -> bool {
        let mut human = false;
        for byte in bytes {
            human |= self.step(*byte);
        }
        // The Escape key is a lone ESC; a terminal's own answers come in one piece.
        human || self.state == State::Escape
    }

    /// Whether this byte shows that a person typed.
    fn step(&mut self, byte: u8) -> bool {
        let (state, human) = match (self.state, byte) {
            (State::Text | State::TextEscape, BEL) | (State::TextEscape, b'\\') => (State::Ground, false),
            (State::Text, ESC) => (State::TextEscape, false),
            (State::Text, 0x20..=0x7e | 0x80..) => (State::Text, false),
            (State::Control(_) | State::SingleShift, ESC) => (State::Escape, true),
            (State::Escape | State::Ground, ESC) => (State::Escape, self.state == State::Escape),
            (State::TextEscape | State::Escape, _) => return self.after_escape(byte),
            (State::Control(control), _) => control.step(byte),
            // No text holds control characters: what began it was a key, Alt and a bracket, say.
            (State::SingleShift | State::Ground | State::Text, _) => (State::Ground, true),
        };
        self.state = state;
        human
    }

    fn after_escape(&mut self, byte: u8) -> bool {
        let (state, human) = match byte {
            b'[' => (State::Control(Control::default()), false),
            b'O' => (State::SingleShift, false),
            b']' | b'P' | b'_' | b'^' | b'X' => (State::Text, false),
            _ => (State::Ground, true),
        };
        self.state = state;
        human
    }
}

impl Control {
    fn step(mut self, byte: u8) -> (State, bool) {
        match byte {
            b'<'..=b'?' if self.parameters == Parameters::None && self.marker.is_none() => self.marker = Some(byte),
            b';' => self.parameters = Parameters::Several,
            b'0'..=b'9' | b':' => self.parameters = self.parameters.with_digit(),
            0x20..=0x2f => self.intermediate = Some(byte),
            0x40..=0x7e => return (State::Ground, !self.is_answer(byte)),
            _ => return (State::Ground, true),
        }
        (State::Control(self), false)
    }

    /// Whether a terminal sends this by itself. A modified F3 looks like a cursor position; nobody types that alone.
    fn is_answer(self, last: u8) -> bool {
        match (self.marker, self.intermediate, last) {
            // The mouse.
            (Some(b'<'), _, _) => false,
            // Device attributes, modes, keyboard flags, colour schemes and the like.
            (Some(_), _, _) | (None, Some(b'$'), b'y') => true,
            // Cursor position.
            (None, None, b'R') => self.parameters == Parameters::Several,
            // Status, window, terminal parameters.
            (None, None, b'n' | b't' | b'x' | b'c') => self.parameters != Parameters::None,
            // Focus.
            (None, None, b'I' | b'O') => self.parameters == Parameters::None,
            _ => false,
        }
    }
}

impl Parameters {
    const fn with_digit(self) -> Self {
        match self {
            Self::None | Self::One => Self::One,
            Self::Several => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &[(&str, &[u8])] = &[
        ("cursor position", b"\x1b[24;80R"),
        ("extended cursor position", b"\x1b[?24;80;1R"),
        ("status", b"\x1b[0n"),
        ("colour scheme", b"\x1b[?997;1n"),
        ("primary attributes", b"\x1b[?1;2c"),
        ("secondary attributes", b"\x1b[>0;276;0c"),
        ("tertiary attributes", b"\x1bP!|00000000\x1b\\"),
        ("private mode", b"\x1b[?2026;2$y"),
        ("mode", b"\x1b[4;1$y"),
        ("terminal parameters", b"\x1b[2;1;1;120;120;1;0x"),
        ("window size", b"\x1b[8;24;80t"),
        ("keyboard flags", b"\x1b[?0u"),
        ("focus in", b"\x1b[I"),
        ("focus out", b"\x1b[O"),
        ("background colour, BEL", b"\x1b]11;rgb:0000/0000/0000\x07"),
        ("foreground colour, ST", b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\"),
        ("clipboard", b"\x1b]52;c;aGVsbG8=\x07"),
        ("version", b"\x1bP>|XTerm(388)\x1b\\"),
        ("setting", b"\x1bP1$r0m\x1b\\"),
        ("capability", b"\x1bP1+r544e=787465726d\x1b\\"),
        ("graphics", b"\x1b_Gi=31;OK\x1b\\"),
        ("several", b"\x1b[1;1R\x1b[?1;2c\x1b]11;rgb:0/0/0\x07"),
    ];

    const HUMAN: &[(&str, &[u8])] = &[
        ("a letter", b"a"),
        ("enter", b"\r"),
        ("Ctrl-C", b"\x03"),
        ("delete", b"\x7f"),
        ("NUL, which is Ctrl-Space", b"\0"),
        ("escape alone", b"\x1b"),
        ("escape twice", b"\x1b\x1b"),
        ("arrow up", b"\x1b[A"),
        ("arrow up, application mode", b"\x1bOA"),
        ("Ctrl and arrow", b"\x1b[1;5C"),
        ("Alt and arrow, as xterm sent it", b"\x1b\x1b[A"),
        ("home", b"\x1b[H"),
        ("shift and tab", b"\x1b[Z"),
        ("F1", b"\x1bOP"),
        ("F3", b"\x1bOR"),
        ("F5", b"\x1b[15~"),
        ("page up", b"\x1b[5~"),
        ("Alt and a letter", b"\x1bb"),
        ("modifyOtherKeys", b"\x1b[27;5;105~"),
        ("a kitty key", b"\x1b[97;5u"),
        ("a paste", b"\x1b[200~ls\x1b[201~"),
        ("the mouse (SGR)", b"\x1b[<0;10;5M"),
        ("the mouse's wheel (SGR)", b"\x1b[<64;10;5M"),
        ("the mouse's release (SGR)", b"\x1b[<0;10;5m"),
        ("the mouse (X10)", b"\x1b[M !!"),
        ("the mouse (urxvt)", b"\x1b[32;10;5M"),
        ("UTF-8", "ü".as_bytes()),
        ("a key behind an answer", b"\x1b[1;1Rq"),
        ("a key before an answer", b"q\x1b[1;1R"),
        ("Alt and a bracket, then a command", b"\x1b]ls\r"),
    ];

    fn in_pieces(bytes: &[u8], at: usize) -> bool {
        let mut classifier = Classifier::default();
        let first = classifier.is_human(&bytes[..at]);
        classifier.is_human(&bytes[at..]) || first
    }

    #[test]
    fn what_a_terminal_sends_by_itself_is_no_activity() {
        for (name, bytes) in ANSWERS {
            assert!(!Classifier::default().is_human(bytes), "{name}");
        }
    }

    #[test]
    fn what_a_person_does_is() {
        for (name, bytes) in HUMAN {
            assert!(Classifier::default().is_human(bytes), "{name}");
        }
    }

    #[test]
    fn it_does_not_matter_how_the_input_is_split() {
        for (name, bytes) in ANSWERS {
            for at in 1..bytes.len() {
                // Behind the ESC that begins it, it could be the Escape key.
                let ambiguous = bytes[at - 1] == ESC && bytes[at] != b'\\';
                assert_eq!(in_pieces(bytes, at), ambiguous, "{name} at {at}");
            }
        }
        for (name, bytes) in HUMAN {
            for at in 1..bytes.len() {
                assert!(in_pieces(bytes, at), "{name} at {at}");
            }
        }
    }

    #[test]
    fn nothing_hides_what_is_typed_later() {
        for (name, bytes) in ANSWERS.iter().chain(HUMAN) {
            for end in 0..=bytes.len() {
                let mut classifier = Classifier::default();
                classifier.is_human(&bytes[..end]);
                assert!(classifier.is_human(b"ls\r"), "{name} cut at {end}");
            }
        }
    }

    #[test]
    fn writers_do_not_disturb_each_other() {
        let mut activity = Activity::default();
        let (tab, other) = (WriterId(1), WriterId(2));
        assert!(!activity.is_human(tab, b"\x1b[1"));
        assert!(!activity.is_human(other, b"\x1b[?1;2c"));
        assert!(!activity.is_human(tab, b";1R"));
        for writer in 0..1_000 {
            assert!(activity.is_human(WriterId(writer), b"x"));
        }
        assert!(activity.writers.len() <= MAX_WRITERS);
    }
}
