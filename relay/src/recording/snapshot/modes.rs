//! Terminal modes that the screen model does not know, because they change no cell: mouse reports, bracketed paste, focus.

use std::fmt::Write;

/// DEC private modes that a returning browser must have as the program set them.
const TRACKED: [u16; 9] = [9, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 2004];

/// Longest parameter list that is followed; longer ones set no mode that matters.
const MAX_PARAMETERS: usize = 64;

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Bracket,
    Private,
}

/// Follows mode changes through any split of the output.
#[derive(Debug, Default)]
pub(super) struct Modes {
    state: State,
    parameters: Vec<u8>,
    set: [bool; TRACKED.len()],
}

impl Modes {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            self.state = match (&self.state, byte) {
                (State::Ground, 0x1b) => State::Escape,
                (State::Ground, _) => {
                    // Floods are mostly plain text: go straight to the next escape.
                    rest = rest.iter().position(|byte| *byte == 0x1b).map_or(&[][..], |next| &rest[next..]);
                    State::Ground
                }
                (_, 0x1b) => State::Escape,
                (State::Escape, b'[') => State::Bracket,
                (State::Escape, b'c') => {
                    self.set = Default::default();
                    State::Ground
                }
                (State::Bracket, b'?') => {
                    self.parameters.clear();
                    State::Private
                }
                (State::Private, b'0'..=b'9' | b';') if self.parameters.len() < MAX_PARAMETERS => {
                    self.parameters.push(*byte);
                    State::Private
                }
                (State::Private, b'h' | b'l') => {
                    self.apply(*byte == b'h');
                    State::Ground
                }
                _ => State::Ground,
            };
        }
    }

    fn apply(&mut self, set: bool) {
        for parameter in self.parameters.split(|byte| *byte == b';') {
            let number = std::str::from_utf8(parameter).ok().and_then(|text| text.parse::<u16>().ok());
            if let Some(index) = number.and_then(|number| TRACKED.iter().position(|mode| *mode == number)) {
                self.set[index] = set;
            }
        }
    }

    /// Appends the sequences that set what is set.
    pub(super) fn draw(&self, text: &mut String) {
        for (mode, _) in TRACKED.iter().zip(self.set).filter(|(_, set)| *set) {
            // Writing to a String cannot fail.
            let _infallible = write!(text, "\x1b[?{mode}h");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_followed_through_any_split() {
        let bytes = b"text\x1b[?2004htext\x1b[?1002;1006hx\x1b[?1002l\x1b[31m";
        for cut in 1..bytes.len() {
            let mut modes = Modes::default();
            bytes.chunks(cut).for_each(|piece| modes.feed(piece));
            let mut text = String::new();
            modes.draw(&mut text);
            assert_eq!(text, "\x1b[?1006h\x1b[?2004h", "cut at {cut}");
        }
    }

    #[test]
    fn a_reset_clears_them() {
        let mut modes = Modes::default();
        modes.feed(b"\x1b[?2004h\x1bc");
        let mut text = String::new();
        modes.draw(&mut text);
        assert_eq!(text, "");
    }
}
