//! What a proxy does to what passes through it.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::time::Duration;

/// What is done to each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Profile {
    /// From the clients to the upstream.
    pub to_upstream: Impairment,
    /// From the upstream to the clients.
    pub to_client: Impairment,
}

impl Profile {
    /// The same for both directions.
    pub const fn both(impairment: Impairment) -> Self {
        Self { to_upstream: impairment, to_client: impairment }
    }
}

/// What is done to one direction of every flow. The default does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Impairment {
    /// How long everything takes.
    pub delay: Duration,
    /// Up to this much more, evenly spread. Packets stay in order all the same: only `reorder` reorders.
    pub jitter: Duration,
    /// How often a packet is lost. A TCP segment is not lost but late by [`crate::decide::RETRANSMISSION`].
    pub loss: Probability,
    /// How often a packet arrives twice (UDP).
    pub duplicate: Probability,
    /// How often a packet is held back by [`Self::reorder_by`], so that later ones overtake it (UDP).
    pub reorder: Probability,
    /// How long a reordered packet is held back.
    pub reorder_by: Duration,
    /// How fast the direction is; `None` is as fast as the machine.
    pub rate: Option<BytesPerSecond>,
    /// How many bytes may wait for their delay or for the rate. A packet on top is dropped; TCP is not read any more.
    pub queue_bytes: usize,
}

impl Impairment {
    /// Does nothing.
    pub const NONE: Self = Self {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: Probability::NEVER,
        duplicate: Probability::NEVER,
        reorder: Probability::NEVER,
        reorder_by: Duration::from_millis(10),
        rate: None,
        queue_bytes: 4 * 1024 * 1024,
    };
}

impl Default for Impairment {
    fn default() -> Self {
        Self::NONE
    }
}

/// How often something happens, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probability {
    millionths: u32,
}

/// A text was not a percentage from `0%` to `100%`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a percentage: write a number from 0 to 100 and a percent sign, such as 0.5%")]
pub struct ParseProbabilityError(String);

impl Probability {
    /// It never happens.
    pub const NEVER: Self = Self { millionths: 0 };
    /// It always happens.
    pub const ALWAYS: Self = Self { millionths: Self::WHOLE };

    const WHOLE: u32 = 1_000_000;

    /// So many in a hundred; more than a hundred is a hundred.
    pub const fn percent(percent: u32) -> Self {
        Self { millionths: if percent > 100 { Self::WHOLE } else { percent * (Self::WHOLE / 100) } }
    }

    /// Whether it happens for this evenly spread draw.
    pub(crate) fn hits(self, draw: u64) -> bool {
        draw % u64::from(Self::WHOLE) < u64::from(self.millionths)
    }
}

impl FromStr for Probability {
    type Err = ParseProbabilityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || ParseProbabilityError(text.to_owned());
        let percent: f64 = text.strip_suffix('%').ok_or_else(bad)?.trim().parse().map_err(|_| bad())?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(bad());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 was checked above")]
        let millionths = (percent * 10_000.0).round() as u32;
        Ok(Self { millionths })
    }
}

/// A rate in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BytesPerSecond(NonZeroU64);

impl BytesPerSecond {
    /// A rate; `None` for 0, which would be a cut (see [`crate::Cut`]).
    pub const fn new(bytes: u64) -> Option<Self> {
        match NonZeroU64::new(bytes) {
            Some(bytes) => Some(Self(bytes)),
            None => None,
        }
    }

    /// How long so many bytes take.
    pub(crate) fn time_for(self, bytes: usize) -> Duration {
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_exactly() {
        assert_eq!("0%".parse(), Ok(Probability::NEVER));
        assert_eq!("100%".parse(), Ok(Probability::ALWAYS));
        assert_eq!("5%".parse(), Ok(Probability::percent(5)));
        assert_eq!("0.5 %".parse(), Ok(Probability { millionths: 5_000 }));
        for bad in ["", "5", "%", "-1%", "101%", "NaN%", "x%"] {
            assert!(bad.parse::<Probability>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_rate_says_how_long_bytes_take() {
        let rate = BytesPerSecond::new(1_000).expect("not zero");
        assert_eq!(rate.time_for(500), Duration::from_millis(500));
        assert_eq!(BytesPerSecond::new(0), None);
    }
}
