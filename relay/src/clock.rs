//! Time, passed in: [`Clock`] is the only place that asks the system what time it is.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// A moment, in milliseconds since the Unix epoch. Prints as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(i64);

impl UnixMillis {
    /// The moment `millis` after the epoch.
    pub const fn new(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Milliseconds since the epoch, 0 for anything before it: what ids are made of.
    pub fn since_epoch(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// This moment and `duration`; the far end of time rather than an overflow.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long it is from this moment to `later`; nothing if that is not later.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }
}

/// A text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write a time as 2026-01-31T12:00:00Z (RFC 3339)")]
pub struct InvalidTime;

impl FromStr for UnixMillis {
    type Err = InvalidTime;

    /// Reads RFC 3339.
    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| InvalidTime)?;
        Ok(Self(timestamp.as_millisecond()))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time comes from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until the returned hand moves it.
    pub fn manual(start: UnixMillis) -> (Self, ClockHand) {
        let time = Arc::new(AtomicI64::new(start.get()));
        (Self(Source::Manual(Arc::clone(&time))), ClockHand(time))
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        match &self.0 {
            Source::System => UnixMillis(system_millis()),
            Source::Manual(time) => UnixMillis(time.load(Ordering::SeqCst)),
        }
    }
}

/// Moves a manual clock.
#[derive(Debug, Clone)]
pub struct ClockHand(Arc<AtomicI64>);

impl ClockHand {
    /// Lets `duration` pass.
    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

fn system_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_prints_as_rfc_3339_with_milliseconds() {
        assert_eq!(UnixMillis::new(1_700_000_000_000).to_string(), "2023-11-14T22:13:20.000Z");
        assert_eq!(UnixMillis::new(7).to_string(), "1970-01-01T00:00:00.007Z");
    }

    #[test]
    fn a_moment_is_read_as_it_is_printed() {
        let moment = UnixMillis::new(1_700_000_000_007);
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!("2023-11-14T23:13:20+01:00".parse(), Ok(UnixMillis::new(1_700_000_000_000)));
        for bad in ["", "yesterday", "1700000000", "2023-11-14"] {
            assert_eq!(bad.parse::<UnixMillis>(), Err(InvalidTime), "{bad:?}");
        }
        assert_eq!(moment.until(moment.plus(Duration::from_secs(2))), Duration::from_secs(2));
        assert_eq!(moment.until(UnixMillis::new(0)), Duration::ZERO);
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let (clock, hand) = Clock::manual(UnixMillis::new(5));
        assert_eq!(clock.now().get(), 5);
        hand.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), UnixMillis::new(5).plus(Duration::from_secs(1)));
    }
}
