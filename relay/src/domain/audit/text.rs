//! Bounds for text from elsewhere. It is kept as it came, control characters included, because it is evidence; every place
//! that shows it escapes it.

use std::fmt;

use serde_json::{Map, Value};

/// Longest command that is kept, in bytes.
pub const MAX_COMMAND_BYTES: usize = 16 * 1024;

/// Longest user agent that is kept, in bytes.
pub const MAX_USER_AGENT_BYTES: usize = 512;

/// Longest other text that is kept, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// Most details that one event has.
const MAX_DETAILS: usize = 32;

/// Facts that only some actions have. Bounded: what is too much is cut or left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details(Map<String, Value>);

impl Details {
    /// Adds a fact; null adds nothing. Texts are cut at 1 KiB; lists and objects are for small things of this program's own making.
    pub fn add(&mut self, key: &'static str, value: impl Into<Value>) {
        let value = match value.into() {
            Value::Null => return,
            Value::String(text) => Value::String(cut(&text, MAX_TEXT_BYTES)),
            other => other,
        };
        if self.0.len() < MAX_DETAILS {
            self.0.insert(key.to_owned(), value);
        }
    }

    /// A fact.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// As JSON.
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// What was stored; no details where it is no JSON object.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Writing a map of JSON values cannot fail but for the formatter itself.
        f.write_str(&serde_json::to_string(&self.0).map_err(|_| fmt::Error)?)
    }
}

/// The beginning of a text, at most `bytes` long, cut between characters. NUL, which Postgres cannot store, becomes U+FFFD.
pub fn cut(text: &str, bytes: usize) -> String {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let replaced = text[..end].replace('\0', "\u{fffd}");
    if replaced.len() <= bytes { replaced } else { cut(&replaced, bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_keeps_its_escapes() {
        assert_eq!(cut("äöü", 3), "ä");
        assert_eq!(cut("a\u{1b}[2J\0b", 100), "a\u{1b}[2J\u{fffd}b");
        assert!(cut(&"\0".repeat(100), 100).len() <= 100);
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn details_are_bounded() {
        let mut details = Details::default();
        details.add("reason", "x".repeat(10 << 20));
        assert_eq!(details.get("reason").and_then(Value::as_str).map(str::len), Some(MAX_TEXT_BYTES));
        assert_eq!(Details::from_json(&details.to_string()), Some(details));
        assert_eq!(Details::from_json("[1]"), None);
    }
}
