//! How long sessions may live, and how long nobody may type in them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A session's time limit: 1 s to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTime(Duration);

/// A text is not a session's time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a time from 1s to 720h, for example 8h or 90s")]
pub struct InvalidSessionTime;

impl SessionTime {
    /// The longest.
    pub const MAX: Duration = Duration::from_hours(30 * 24);

    /// The shortest.
    pub const MIN: Duration = Duration::from_secs(1);

    /// The time.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// A time that is known to be within bounds.
    pub(super) const fn of(time: Duration) -> Self {
        Self(time)
    }
}

impl FromStr for SessionTime {
    type Err = InvalidSessionTime;

    fn from_str(text: &str) -> Result<Self, InvalidSessionTime> {
        let parsed: jiff::SignedDuration = text.trim().parse().map_err(|_| InvalidSessionTime)?;
        let time = Duration::try_from(parsed).map_err(|_| InvalidSessionTime)?;
        if (Self::MIN..=Self::MAX).contains(&time) { Ok(Self(time)) } else { Err(InvalidSessionTime) }
    }
}

impl fmt::Display for SessionTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        write!(f, "{:#}", jiff::SignedDuration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them_and_absurd_ones_refused() {
        for (text, seconds) in [("8h", 28_800), ("90s", 90), ("1h 30m", 5_400), ("720h", 2_592_000), ("1s", 1)] {
            let time: SessionTime = text.parse().expect("valid");
            assert_eq!(time.get(), Duration::from_secs(seconds));
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for text in ["", "8", "0s", "-5m", "721h", "never", "500ms"] {
            assert_eq!(text.parse::<SessionTime>(), Err(InvalidSessionTime), "{text:?}");
        }
    }
}
