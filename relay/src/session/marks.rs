//! Takes a shell's marks out of a session's output. Pure.
//!
//! The shell writes `ESC ] 7717 ; NONCE ; … BEL` (see `podlatch_podexec`'s marks); nobody but the relay is to see that.
//! Sequences with another nonce, and ones that break off, are output like any other: terminals ignore them.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::{memchr, memchr2};
use podlatch_protocol::request::MarkNonce;

/// Longest mark in bytes: the shell cuts its text at 16 Ki characters of at most four bytes, which also holds where each
/// one is a control character and written as four; anything longer is not from our shell.
const MAX_MARK_BYTES: usize = 66 * 1024;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// How much of an opening without its nonce programs may write by themselves: `ESC ]` and a number begin many sequences.
const COMMON_BYTES: usize = 7;

/// What a shell says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ShellMark {
    /// This command line is about to run.
    Command(CommandText),
    /// What is typed appears from here on.
    Input,
    /// What is typed appears from here on, and continues the line before.
    NextLine,
    /// A prompt follows.
    Prompt {
        /// How the command before it ended, or the one before that if there was none.
        status: i32,
        /// The working folder.
        cwd: String,
    },
}

/// What the shell knows of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandText {
    /// Exactly this.
    Exact(String),
    /// The shell kept it out of its history, perhaps because it equals this one, which was the last in it.
    Unsure(String),
}

/// What comes out of the filter, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Passed {
    /// Output.
    Output {
        /// Never empty.
        bytes: Bytes,
        /// Offset behind it, marks counted.
        source_end: u64,
    },
    /// A mark, taken out.
    Mark {
        /// What it says; `None` for one of another version, which nobody is to see either.
        mark: Option<ShellMark>,
        /// Offset behind it.
        source_end: u64,
    },
}

/// Incremental; what may still become a mark is held back.
#[derive(Debug)]
pub(super) struct MarkFilter {
    /// `ESC ] 7717 ; NONCE ;`, or nothing where the session has no marks.
    opening: Vec<u8>,
    held: BytesMut,
    /// Offset behind the bytes that came out.
    source: u64,
}

/// How long held bytes may wait for the rest of what they began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Nothing is held.
    Nothing,
    /// It may as well be a program's own sequence that the person waits for.
    Perhaps,
    /// Nobody else writes this.
    Surely,
}

impl MarkFilter {
    /// For output that goes on at offset `source`.
    pub(super) fn new(nonce: Option<MarkNonce>, source: u64) -> Self {
        Self { opening: nonce.map(opening).unwrap_or_default(), held: BytesMut::new(), source }
    }

    /// Takes the next output; gives what is certain by now.
    pub(super) fn push(&mut self, bytes: Bytes, out: &mut Vec<Passed>) {
        if self.opening.is_empty() {
            return self.emit(bytes, out);
        }
        if self.held.is_empty() {
            // The usual case costs one search.
            let Some(at) = memchr(ESCAPE, &bytes) else {
                return self.emit(bytes, out);
            };
            return self.scan(&bytes, at, out);
        }
        self.held.extend_from_slice(&bytes);
        let joined = self.held.split().freeze();
        self.scan(&joined, 0, out);
    }

    /// Gives up on what is held: it is output.
    pub(super) fn release(&mut self, out: &mut Vec<Passed>) {
        let held = self.held.split().freeze();
        self.emit(held, out);
    }

    /// Whether, and how long, to wait before [`Self::release`].
    pub(super) fn held(&self) -> Held {
        match self.held.len() {
            0 => Held::Nothing,
            length if length < COMMON_BYTES => Held::Perhaps,
            _ => Held::Surely,
        }
    }

    /// Everything below this offset of the shell's own output came out.
    pub(super) fn source(&self) -> u64 {
        self.source
    }

    /// `bytes` has an escape at `at`, and none before it that matters.
    fn scan(&mut self, bytes: &Bytes, mut at: usize, out: &mut Vec<Passed>) {
        let mut begin = 0;
        loop {
            match self.look(&bytes[at..]) {
                Found::Mark { length, mark } => {
                    self.emit(bytes.slice(begin..at), out);
                    self.source += length as u64;
                    out.push(Passed::Mark { mark, source_end: self.source });
                    begin = at + length;
                    at = begin;
                }
                Found::Other => at += 1,
                Found::Incomplete => {
                    self.emit(bytes.slice(begin..at), out);
                    self.held.put_slice(&bytes[at..]);
                    return;
                }
            }
            match memchr(ESCAPE, &bytes[at..]) {
                Some(next) => at += next,
                None => return self.emit(bytes.slice(begin..), out),
            }
        }
    }

    /// What begins with the escape at the start of `bytes`.
    fn look(&self, bytes: &[u8]) -> Found {
        let common = bytes.len().min(self.opening.len());
        if bytes[..common] != self.opening[..common] {
            return Found::Other;
        }
        let Some(body) = bytes.get(self.opening.len()..) else {
            return Found::Incomplete;
        };
        match memchr2(BELL, ESCAPE, body) {
            Some(end) if body[end] == BELL && end <= MAX_MARK_BYTES => {
                Found::Mark { length: self.opening.len() + end + 1, mark: parse(&body[..end]) }
            }
            None if body.len() <= MAX_MARK_BYTES => Found::Incomplete,
            Some(_) | None => Found::Other,
        }
    }

    fn emit(&mut self, bytes: Bytes, out: &mut Vec<Passed>) {
        if !bytes.is_empty() {
            self.source += bytes.len() as u64;
            out.push(Passed::Output { bytes, source_end: self.source });
        }
    }
}

enum Found {
    Mark { length: usize, mark: Option<ShellMark> },
    Other,
    Incomplete,
}

fn opening(nonce: MarkNonce) -> Vec<u8> {
    use std::fmt::Write;
    let mut opening = String::from("\x1b]7717;");
    for byte in nonce.0 {
        // Writing to a string cannot fail.
        let _written = write!(opening, "{byte:02x}");
    }
    opening.push(';');
    opening.into_bytes()
}

fn parse(body: &[u8]) -> Option<ShellMark> {
    let (kind, rest) = body.split_at_checked(2)?;
    let separator = rest.iter().position(|byte| *byte == b';')?;
    let (first, text) = (&rest[..separator], unescape(&rest[separator + 1..]));
    match (kind, first) {
        (b"C;", b"f") => Some(ShellMark::Command(CommandText::Exact(text))),
        (b"C;", b"u") => Some(ShellMark::Command(CommandText::Unsure(text))),
        (b"I;", _) => Some(ShellMark::Input),
        (b"N;", _) => Some(ShellMark::NextLine),
        (b"P;", status) => {
            let status = std::str::from_utf8(status).ok()?.parse().ok()?;
            Some(ShellMark::Prompt { status, cwd: text })
        }
        _ => None,
    }
}

/// Bytes that are not UTF-8 become U+FFFD: audit events and recordings are text.
fn unescape(escaped: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let (plain, taken) = match (byte, after) {
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'x', high, low, ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high * 16 + low, 3),
                _ => (byte, 0),
            },
            _ => (byte, 0),
        };
        bytes.push(plain);
        rest = &rest[taken..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NONCE: MarkNonce = MarkNonce([0xa5; 16]);

    fn mark(body: &str) -> Vec<u8> {
        format!("\x1b]7717;{};{body}\x07", "a5".repeat(16)).into_bytes()
    }

    /// Output, marks at their places in it, and what is held at the end.
    fn filter(pieces: &[&[u8]]) -> (Vec<u8>, Vec<(usize, ShellMark)>, Held) {
        let mut filter = MarkFilter::new(Some(NONCE), 100);
        let (mut output, mut marks, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces {
            filter.push(Bytes::copy_from_slice(piece), &mut out);
        }
        let held = filter.held();
        filter.release(&mut out);
        for passed in out {
            match passed {
                Passed::Output { bytes, .. } => output.extend_from_slice(&bytes),
                Passed::Mark { mark, .. } => marks.extend(mark.map(|mark| (output.len(), mark))),
            }
        }
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        assert_eq!(filter.source(), 100 + total as u64, "every byte is accounted for");
        (output, marks, held)
    }

    fn exact(text: &str) -> ShellMark {
        ShellMark::Command(CommandText::Exact(text.into()))
    }

    #[test]
    fn marks_are_taken_out_and_told() {
        let mut bytes = b"$ ls\r\n".to_vec();
        bytes.extend(mark("C;f;ls \\\\x; \\x0a\\x1b é"));
        bytes.extend_from_slice(b"file\r\n");
        bytes.extend(mark("P;130;/tmp;a"));
        bytes.extend(mark("C;u;before"));
        bytes.extend_from_slice(b"$ ");
        let (output, marks, held) = filter(&[&bytes]);
        assert_eq!(output, b"$ ls\r\nfile\r\n$ ");
        let unsure = ShellMark::Command(CommandText::Unsure("before".into()));
        let prompt = ShellMark::Prompt { status: 130, cwd: "/tmp;a".into() };
        assert_eq!(marks, [(6, exact("ls \\x; \n\x1b é")), (12, prompt), (12, unsure)]);
        assert_eq!(held, Held::Nothing);
    }

    #[test]
    fn marks_of_others_are_output() {
        let forged = format!("\x1b]7717;{};C;f;rm -rf /\x07", "00".repeat(16)).into_bytes();
        let (output, marks, held) = filter(&[&forged]);
        assert_eq!((output, marks.len(), held), (forged, 0, Held::Nothing));
    }

    #[test]
    fn ours_that_say_nothing_known_are_seen_by_nobody() {
        for body in ["", "X;f;a", "C;?;a", "P;many;/", "C"] {
            assert_eq!(filter(&[&mark(body)]), (Vec::new(), Vec::new(), Held::Nothing), "{body}");
        }
    }

    #[test]
    fn what_breaks_off_is_held_back_and_then_output() {
        let whole = mark("C;f;ls");
        for (length, held) in
            [(1, Held::Perhaps), (6, Held::Perhaps), (7, Held::Surely), (whole.len() - 1, Held::Surely)]
        {
            assert_eq!(filter(&[&whole[..length]]), (whole[..length].to_vec(), Vec::new(), held));
        }
    }

    #[test]
    fn a_mark_without_an_end_is_held_only_so_far() {
        let mut endless = mark("C;f;");
        endless.pop();
        endless.extend(vec![b'x'; MAX_MARK_BYTES]);
        let (output, marks, held) = filter(&[&endless]);
        assert_eq!((output == endless, marks.len(), held), (true, 0, Held::Nothing));
    }

    #[test]
    fn without_a_nonce_nothing_is_looked_at() {
        let mut filter = MarkFilter::new(None, 0);
        let mut out = Vec::new();
        filter.push(Bytes::from_static(b"\x1b"), &mut out);
        assert_eq!(out, [Passed::Output { bytes: Bytes::from_static(b"\x1b"), source_end: 1 }]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            parts in prop::collection::vec(prop_oneof![
                "[a-z\u{1b}\\]7;\r\n]{0,12}".prop_map(String::into_bytes),
                "[ -~]{0,20}".prop_map(|text| mark(&format!("C;f;{}", text.replace('\\', "\\\\")))),
                (any::<u8>(), "[a-z/]{0,9}").prop_map(|(status, cwd)| mark(&format!("P;{status};{cwd}"))),
                (1_usize..50).prop_map(|cut| { let mut bytes = mark("C;f;abc"); bytes.truncate(cut); bytes }),
            ], 0..8),
            cuts in prop::collection::vec(1_usize..30, 1..40),
        ) {
            let bytes = parts.concat();
            let (mut pieces, mut rest) = (Vec::new(), bytes.as_slice());
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(filter(&pieces), filter(&[&bytes]));
        }

        #[test]
        fn output_without_marks_passes_unchanged(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 1_usize..50) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(filter(&pieces).0, bytes);
        }
    }
}
