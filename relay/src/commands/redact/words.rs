//! A command line as simple commands and words, with quotes as shells read them.

use std::ops::Range;

/// A word of a command.
#[derive(Debug, Clone)]
pub(super) struct Word<'a> {
    /// As written, quotes included.
    pub(super) raw: &'a str,
    /// Where it begins in the whole text.
    pub(super) start: usize,
}

/// What separates a simple command from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    Pipe,
    Other,
}

/// A simple command.
#[derive(Debug)]
pub(super) struct Simple<'a> {
    pub(super) joint: Joint,
    pub(super) words: Vec<Word<'a>>,
}

impl<'a> Word<'a> {
    /// Where a part of the word stands in the whole text; `skip` bytes from its beginning are left out, and so are quotes
    /// around the rest.
    pub(super) fn range(&self, skip: usize) -> Range<usize> {
        let skip = self.raw.floor_char_boundary(skip.min(self.raw.len()));
        let rest = &self.raw[skip..];
        let open = rest.len() - rest.trim_start_matches(['"', '\'']).len();
        let inner = rest[open..].trim_end_matches(['"', '\'']);
        self.start + skip + open..self.start + skip + open + inner.len()
    }

    /// The word without quotes around it.
    pub(super) fn bare(&self) -> &'a str {
        self.raw.trim_matches(['"', '\''])
    }
}

/// Splits a text into simple commands. Every byte is looked at once.
pub(super) fn split(text: &str) -> Vec<Simple<'_>> {
    let mut commands = vec![Simple { joint: Joint::Other, words: Vec::new() }];
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if matches!(byte, b'|' | b';' | b'&' | b'\n' | b'(' | b')') {
            let pipe = byte == b'|' && bytes.get(at + 1) != Some(&b'|') && (at == 0 || bytes[at - 1] != b'|');
            let joint = if pipe { Joint::Pipe } else { Joint::Other };
            commands.push(Simple { joint, words: Vec::new() });
            at += 1;
        } else if byte.is_ascii_whitespace() || (byte == b'\\' && bytes.get(at + 1) == Some(&b'\n')) {
            at += if byte == b'\\' { 2 } else { 1 };
        } else {
            let end = word_end(bytes, at);
            if let Some(command) = commands.last_mut() {
                command.words.push(Word { raw: &text[at..end], start: at });
            }
            at = end;
        }
    }
    commands.retain(|command| !command.words.is_empty());
    commands
}

/// Where the word ends that begins at `at`: always behind it, and at a character's boundary.
fn word_end(bytes: &[u8], mut at: usize) -> usize {
    let mut quote = None;
    while let Some(byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(b'"') | None, b'\\') if bytes.get(at + 1).is_some_and(u8::is_ascii) => at += 1,
            (Some(open), byte) if open == *byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(*byte),
            (None, b'|' | b';' | b'&' | b'\n' | b'(' | b')') => return at,
            (None, byte) if byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}
