//! The few places in the output at which the tracker has to look at the screen.

/// Longest parameter list that is followed.
const MAX_PARAMETERS: usize = 32;

/// Where scanning stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Behind the sequence that switches bracketed paste: line editors do it when they begin and end a line.
    BracketedPaste { on: bool },
    /// Behind the question where the cursor is: busybox asks it at the end of its prompt.
    AskCursor,
    /// Before a line feed.
    LineFeed,
}

/// Follows control sequences through any split of the output.
#[derive(Debug, Default)]
pub(super) struct Scan {
    state: State,
    parameters: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
}

impl Scan {
    /// How many bytes come before the next stop, and which it is; all bytes and `None` if there is none.
    pub(super) fn next(&mut self, bytes: &[u8], at_line_feeds: bool) -> (usize, Option<Stop>) {
        let mut index = 0;
        while let Some(byte) = bytes.get(index) {
            match (self.state, byte) {
                (_, 0x1b) => self.state = State::Escape,
                (State::Ground, _) => {
                    let is_stop = |byte: &u8| *byte == 0x1b || (at_line_feeds && *byte == b'\n');
                    let Some(skip) = bytes[index..].iter().position(is_stop) else { break };
                    index += skip;
                    if bytes[index] == b'\n' {
                        return (index, Some(Stop::LineFeed));
                    }
                    self.state = State::Escape;
                }
                (State::Escape, b'[') => {
                    self.parameters.clear();
                    self.state = State::Csi;
                }
                (State::Csi, b'0'..=b'?') if self.parameters.len() < MAX_PARAMETERS => self.parameters.push(*byte),
                (State::Csi, b'h' | b'l' | b'n') => {
                    self.state = State::Ground;
                    if let Some(stop) = self.stop(*byte) {
                        return (index + 1, Some(stop));
                    }
                }
                // Line feeds inside sequences are executed by terminals, but no line editor writes one there.
                _ => self.state = State::Ground,
            }
            index += 1;
        }
        (bytes.len(), None)
    }

    fn stop(&self, last: u8) -> Option<Stop> {
        match (self.parameters.as_slice(), last) {
            (b"6", b'n') => Some(Stop::AskCursor),
            ([b'?', modes @ ..], b'h' | b'l') => {
                let paste = modes.split(|byte| *byte == b';').any(|mode| mode == b"2004");
                paste.then_some(Stop::BracketedPaste { on: last == b'h' })
            }
            _ => None,
        }
    }
}

/// How many of the bytes are a sequence at their beginning that only moves the cursor down; `None` where the next bytes decide.
pub(super) fn cursor_down(bytes: &[u8]) -> Option<usize> {
    const INTRODUCER: &[u8] = b"\x1b[";
    let Some(parameters) = bytes.strip_prefix(INTRODUCER) else {
        return if INTRODUCER.starts_with(bytes) { None } else { Some(0) };
    };
    let digits = parameters.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match parameters.get(digits) {
        Some(b'B') => Some(INTRODUCER.len() + digits + 1),
        None if digits <= MAX_PARAMETERS => None,
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(pieces: &[&[u8]], at_line_feeds: bool) -> Vec<(usize, Stop)> {
        let (mut scan, mut all, mut base) = (Scan::default(), Vec::new(), 0);
        for piece in pieces {
            let mut from = 0;
            loop {
                let (length, stop) = scan.next(&piece[from..], at_line_feeds);
                from += length;
                let Some(stop) = stop else { break };
                all.push((base + from, stop));
                from += usize::from(stop == Stop::LineFeed);
            }
            base += piece.len();
        }
        all
    }

    #[test]
    fn any_split_gives_the_same_stops() {
        let bytes = b"$ \x1b[6n\x1b[31mx\x1b[?1;2004hls\r\n\x1b[?2004l\r\x1b[?25l\x1b\x1b[6n";
        let whole = stops(&[bytes], true);
        assert_eq!(
            whole.iter().map(|(_, stop)| *stop).collect::<Vec<_>>(),
            [
                Stop::AskCursor,
                Stop::BracketedPaste { on: true },
                Stop::LineFeed,
                Stop::BracketedPaste { on: false },
                Stop::AskCursor,
            ]
        );
        for split in 0..bytes.len() {
            assert_eq!(stops(&[&bytes[..split], &bytes[split..]], true), whole);
        }
        assert_eq!(stops(&[b"a\nb\n"], false), []);
    }
}
