//! How long a session waits for its person.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use podlatch_protocol::limits::DEFAULT_GRACE;

/// How long a session outlives its last viewer, and an agent's session its relay: 1 s to 24 h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GraceTime(Duration);

/// A text is not a grace time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a time from 1s to 24h, for example 5m or 90s")]
pub struct InvalidGraceTime;

impl GraceTime {
    /// The time.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Default for GraceTime {
    fn default() -> Self {
        Self(DEFAULT_GRACE)
    }
}

impl FromStr for GraceTime {
    type Err = InvalidGraceTime;

    fn from_str(text: &str) -> Result<Self, InvalidGraceTime> {
        let parsed: jiff::SignedDuration = text.trim().parse().map_err(|_| InvalidGraceTime)?;
        let time = Duration::try_from(parsed).map_err(|_| InvalidGraceTime)?;
        let sane = (Duration::from_secs(1)..=Duration::from_hours(24)).contains(&time);
        if sane { Ok(Self(time)) } else { Err(InvalidGraceTime) }
    }
}

impl fmt::Display for GraceTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        write!(f, "{:#}", jiff::SignedDuration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("5m", 300), ("90s", 90), ("1h 30m", 5400), ("24h", 86400)] {
            let time: GraceTime = text.parse().expect("valid");
            assert_eq!(time.get(), Duration::from_secs(seconds));
            assert_eq!(time.to_string().parse(), Ok(time));
        }
    }

    #[test]
    fn absurd_times_are_refused() {
        for text in ["", "5", "0s", "-5m", "25h", "soon", "500ms"] {
            assert_eq!(text.parse::<GraceTime>(), Err(InvalidGraceTime), "{text:?}");
        }
    }
}
