//! Recordings that are stored, and how long they are kept.

use std::fmt;
use std::str::FromStr;

use crate::clock::UnixMillis;

/// Longest time that can be said, in days: a century.
const MAX_DAYS: u32 = 36_525;

/// How long recordings are kept after their session, in days: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionDays(u32);

/// A text is not such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a number of days from 1 to {MAX_DAYS}")]
pub struct InvalidRetention;

impl RetentionDays {
    /// So many days; `None` beyond 1 to 36525.
    pub const fn new(days: u32) -> Option<Self> {
        if days >= 1 && days <= MAX_DAYS { Some(Self(days)) } else { None }
    }

    /// How many days.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for RetentionDays {
    type Err = InvalidRetention;

    fn from_str(text: &str) -> Result<Self, InvalidRetention> {
        text.parse().ok().and_then(Self::new).ok_or(InvalidRetention)
    }
}

impl fmt::Display for RetentionDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A recording that is stored whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecording {
    /// What is missing at its end, if anything is.
    pub truncation: Option<String>,
    /// How many segments it has.
    pub segments: u64,
    /// How large it is, in bytes.
    pub bytes: u64,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// Hash of the last entry of its manifest, in hexadecimal.
    pub head: String,
    /// When it was stored whole.
    pub sealed_at: UnixMillis,
    /// When it was deleted, if it was.
    pub deleted_at: Option<UnixMillis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_a_sensible_number_of_days() {
        assert_eq!("30".parse().map(RetentionDays::get), Ok(30));
        for text in ["0", "-1", "40000", "a week", ""] {
            assert_eq!(text.parse::<RetentionDays>(), Err(InvalidRetention), "{text}");
        }
    }
}
