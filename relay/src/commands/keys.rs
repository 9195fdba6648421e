//! What a terminal sends, as keys. Replies to programs (cursor position, device attributes, focus, mouse) are no keys.

use std::time::Duration;

use crate::clock::UnixMillis;

/// Parameters of a control sequence that are kept; no key has more.
const MAX_PARAMETERS: usize = 32;

/// Longest reply that is skipped, in bytes. Alt-] and Alt-P begin like one, and must not swallow what is typed next.
const MAX_REPLY_BYTES: usize = 1024;

/// An escape and what it introduces come in one piece; an escape this much older was the key itself.
const ESCAPE_ALONE: Duration = Duration::from_millis(40);

/// One key, named by what line editors do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A character that is inserted, newlines inside a bracketed paste included.
    Insert(char),
    Enter,
    /// Ctrl-O: submits as well, and fetches the next line of the history.
    EnterAndNext,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D: the end of input on an empty line.
    DeleteOrEnd,
    Backspace,
    Delete,
    Left,
    Right,
    Home,
    End,
    /// Ctrl-U.
    KillBack,
    /// Ctrl-K.
    KillForward,
    /// Ctrl-L.
    Redraw,
    /// Ctrl-R: what is typed next is searched for in the history.
    Search,
    /// Any other: history, completion, words, undo; what it does to the line is known only from the screen.
    Other,
}

/// Parses input in pieces of any length.
#[derive(Debug, Default)]
pub(super) struct Keys {
    state: State,
    pasting: bool,
    parameters: Vec<u8>,
    skip: usize,
    partial: Vec<u8>,
    escape_at: Option<UnixMillis>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    Ss3,
    /// Inside a reply that ends with BEL or ESC \.
    Reply,
    ReplyEscape,
    /// The three bytes of an old mouse report.
    Mouse,
}

impl Keys {
    /// Calls `on_key` for each key of `bytes`.
    pub(super) fn feed(&mut self, bytes: &[u8], at: UnixMillis, mut on_key: impl FnMut(Key)) {
        if self.state == State::Escape && self.escape_at.is_some_and(|then| at > then.plus(ESCAPE_ALONE)) {
            self.state = State::Ground;
            on_key(Key::Other);
        }
        for byte in bytes {
            if let Some(key) = self.step(*byte) {
                on_key(key);
            }
        }
        self.escape_at = (self.state == State::Escape).then_some(at);
    }

    fn step(&mut self, byte: u8) -> Option<Key> {
        match self.state {
            State::Ground => self.ground(byte),
            State::Escape => self.escape(byte),
            State::Csi => self.csi(byte),
            State::Ss3 => {
                self.state = State::Ground;
                Some(cursor_key(byte))
            }
            State::Reply | State::ReplyEscape => self.reply(byte),
            State::Mouse => {
                self.skip -= 1;
                if self.skip == 0 {
                    self.state = State::Ground;
                }
                None
            }
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        if byte == 0x1b {
            self.partial.clear();
            self.state = State::Escape;
            return None;
        }
        if byte >= 0x80 {
            return self.utf8(byte);
        }
        self.partial.clear();
        Some(match byte {
            b'\r' | b'\n' if self.pasting => Key::Insert('\n'),
            b'\t' if self.pasting => Key::Insert('\t'),
            b'\r' | b'\n' => Key::Enter,
            0x0f => Key::EnterAndNext,
            0x01 => Key::Home,
            0x02 => Key::Left,
            0x03 => Key::Interrupt,
            0x04 => Key::DeleteOrEnd,
            0x05 => Key::End,
            0x06 => Key::Right,
            0x08 | 0x7f => Key::Backspace,
            0x0b => Key::KillForward,
            0x0c => Key::Redraw,
            0x12 => Key::Search,
            0x15 => Key::KillBack,
            0x20..0x7f => Key::Insert(byte.into()),
            _ => Key::Other,
        })
    }

    fn utf8(&mut self, byte: u8) -> Option<Key> {
        if byte >= 0xc0 {
            self.partial.clear();
        }
        self.partial.push(byte);
        match std::str::from_utf8(&self.partial) {
            Ok(text) => {
                let character = text.chars().next();
                self.partial.clear();
                character.map(Key::Insert)
            }
            Err(error) if error.error_len().is_none() && self.partial.len() < 4 => None,
            Err(_) => {
                self.partial.clear();
                Some(Key::Other)
            }
        }
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.parameters.clear();
        self.skip = 0;
        self.state = match byte {
            b'[' => State::Csi,
            b'O' => State::Ss3,
            b']' | b'P' | b'_' | b'^' => State::Reply,
            0x1b => State::Escape,
            _ => State::Ground,
        };
        matches!(self.state, State::Ground | State::Escape).then_some(Key::Other)
    }

    fn csi(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x20..0x40 => {
                if self.parameters.len() < MAX_PARAMETERS {
                    self.parameters.push(byte);
                }
                None
            }
            0x40..0x7f => {
                self.state = State::Ground;
                self.sequence(byte)
            }
            0x1b => {
                self.state = State::Escape;
                None
            }
            _ => {
                self.state = State::Ground;
                self.ground(byte)
            }
        }
    }

    fn sequence(&mut self, last: u8) -> Option<Key> {
        let reply = match self.parameters.as_slice() {
            b"200" if last == b'~' => {
                self.pasting = true;
                return None;
            }
            b"201" if last == b'~' => {
                self.pasting = false;
                return None;
            }
            b"" if last == b'M' => {
                (self.state, self.skip) = (State::Mouse, 3);
                return None;
            }
            b"3" if last == b'~' => return Some(Key::Delete),
            b"1" | b"7" if last == b'~' => return Some(Key::Home),
            b"4" | b"8" if last == b'~' => return Some(Key::End),
            [] => matches!(last, b'I' | b'O'),
            [b'?' | b'>' | b'<' | b'=', ..] => true,
            parameters => {
                matches!(last, b'R' | b'n' | b't' | b'c' | b'y' | b'x') && parameters.iter().any(u8::is_ascii_digit)
            }
        };
        if reply {
            return None;
        }
        Some(if self.parameters.is_empty() { cursor_key(last) } else { Key::Other })
    }

    fn reply(&mut self, byte: u8) -> Option<Key> {
        self.skip += 1;
        if byte == 0x07 || (self.state == State::ReplyEscape && byte == b'\\') {
            self.state = State::Ground;
            return None;
        }
        if byte == 0x1b {
            self.state = State::ReplyEscape;
            return None;
        }
        if self.skip > MAX_REPLY_BYTES || byte < 0x20 || self.state == State::ReplyEscape {
            // It was a key after all.
            self.state = State::Ground;
            return if byte < 0x20 { self.ground(byte) } else { Some(Key::Other) };
        }
        None
    }
}

fn cursor_key(last: u8) -> Key {
    match last {
        b'C' => Key::Right,
        b'D' => Key::Left,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'M' => Key::Enter,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(pieces: &[(&[u8], i64)]) -> Vec<Key> {
        let mut parser = Keys::default();
        let mut all = Vec::new();
        for (bytes, at) in pieces {
            parser.feed(bytes, UnixMillis::new(*at), |key| all.push(key));
        }
        all
    }

    #[test]
    fn replies_of_the_terminal_are_no_keys() {
        for reply in [
            &b"\x1b[24;1R"[..],
            b"\x1b[?62;1;4c",
            b"\x1b[>41;354;0c",
            b"\x1b[0n",
            b"\x1b[I",
            b"\x1b[O",
            b"\x1b[<0;12;3M",
            b"\x1b[<0;12;3m",
            b"\x1b[M !!",
            b"\x1b[?2026;2$y",
            b"\x1b[8;24;80t",
            b"\x1b]11;rgb:0000/0000/0000\x1b\\",
            b"\x1b]10;rgb:ffff/ffff/ffff\x07",
            b"\x1bP>|xterm(380)\x1b\\",
        ] {
            assert_eq!(keys(&[(reply, 0), (b"a", 0)]), [Key::Insert('a')], "{reply:?}");
        }
    }

    #[test]
    fn a_paste_holds_its_newlines_and_a_split_character_is_one() {
        let all = keys(&[(b"\x1b[200~a\nb\t\x1b[2", 0), (b"01~\xc3", 1), (b"\xa9\r", 2)]);
        let paste = [Key::Insert('a'), Key::Insert('\n'), Key::Insert('b'), Key::Insert('\t')];
        assert_eq!(all, [&paste[..], &[Key::Insert('é'), Key::Enter]].concat());
    }

    #[test]
    fn an_escape_is_alt_in_one_piece_and_a_key_when_it_stands_alone() {
        assert_eq!(keys(&[(b"\x1b\r", 0)]), [Key::Other]);
        assert_eq!(keys(&[(b"\x1b", 0), (b"\r", 200)]), [Key::Other, Key::Enter]);
        assert_eq!(keys(&[(b"\x1b", 0), (b"[A", 1)]), [Key::Other]);
        assert_eq!(keys(&[(b"\x1bP", 0), (b"ls\r", 500)]), [Key::Enter]);
    }
}
