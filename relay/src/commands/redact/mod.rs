//! Secrets inside command texts, replaced before the text is written anywhere.
//!
//! Three readings, put together: patterns that look like secrets wherever they stand, words behind flags and in
//! assignments whose name says so, and the arguments of programs that take a secret in their own way.

mod patterns;
mod programs;
mod tools;
mod words;

#[cfg(test)]
mod tests;

use std::ops::Range;

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
///
/// It knows the usual ways, not all ways: a password that is an argument like any other stays.
pub fn redact(text: &str) -> Redacted {
    let mut secrets = patterns::find(text);
    secrets.extend(tools::find(text));
    secrets.retain(|secret| !harmless(&text[secret.clone()]));
    secrets.sort_by_key(|secret| (secret.start, secret.end));
    replace(text, &secrets)
}

fn replace(text: &str, secrets: &[Range<usize>]) -> Redacted {
    let (mut redacted, mut count, mut end) = (String::new(), 0, 0);
    for secret in secrets {
        if secret.start >= end {
            redacted.push_str(&text[end..secret.start]);
            redacted.push_str(REPLACEMENT);
            count += 1;
        }
        end = end.max(secret.end);
    }
    redacted.push_str(&text[end..]);
    Redacted { text: redacted, count }
}

/// Whether what stands in a secret's place is none: a variable, a file to read it from, a placeholder, a switch.
fn harmless(value: &str) -> bool {
    const WORDS: [&str; 14] = [
        "true",
        "false",
        "yes",
        "no",
        "none",
        "null",
        "nil",
        "on",
        "off",
        "stdin",
        "prompt",
        "ask",
        "required",
        "undefined",
    ];
    const BEFORE: [&str; 12] = ["`", "@", "<", "*", "%s", "{{", "env:", "file:", "fd:", "secretref:", "id=", "type="];
    let bare = value.trim_matches(['"', '\'', '\\']).trim();
    let lower = bare.to_ascii_lowercase();
    let placeholder = bare.chars().all(|character| matches!(character, 'x' | 'X' | '*' | '.' | '-' | '_' | '='));
    // Hashes of passwords begin with a dollar sign too, but a digit follows.
    let variable = bare.strip_prefix('$').is_some_and(|name| !name.starts_with(|first: char| first.is_ascii_digit()));
    placeholder
        || variable
        || bare == REPLACEMENT
        || WORDS.contains(&lower.as_str())
        || BEFORE.iter().any(|before| bare.starts_with(before))
        || ["~/", "./", "../"].iter().any(|path| bare.starts_with(path))
        || (bare.starts_with('/') && bare[1..].contains('/') && !bare.contains(['+', '=']))
}
