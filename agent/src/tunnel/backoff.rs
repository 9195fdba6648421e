//! How long to wait before the next attempt: full jitter, so that a thousand agents do not come back in one wave.
//!
//! Source: <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>

use std::time::Duration;

use rand::Rng;

/// The first wait is at most this.
const FIRST: Duration = Duration::from_millis(500);

/// No wait is longer than this.
const LONGEST: Duration = Duration::from_secs(30);

/// Counts failures and draws waiting times.
#[derive(Debug, Clone)]
pub struct Backoff<R> {
    failures: u32,
    rng: R,
}

impl<R: Rng> Backoff<R> {
    /// No failure yet.
    pub const fn new(rng: R) -> Self {
        Self { failures: 0, rng }
    }

    /// One more failure: a random wait up to a limit that doubles with each.
    pub fn wait(&mut self) -> Duration {
        let ceiling = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST);
        self.failures = (self.failures + 1).min(31);
        self.rng.random_range(Duration::ZERO..=ceiling)
    }

    /// A failure that an immediate retry will not cure: a wait up to the longest one, never less than half of it.
    pub(super) fn long_wait(&mut self) -> Duration {
        self.rng.random_range(LONGEST / 2..=LONGEST)
    }

    /// It worked: counts on from at most so many failures.
    pub(super) const fn forget_down_to(&mut self, failures: u32) {
        if self.failures > failures {
            self.failures = failures;
        }
    }

    /// The source of randomness, for other jitter.
    pub(super) const fn rng(&mut self) -> &mut R {
        &mut self.rng
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_start_over_after_a_reset() {
        for seed in 0..100 {
            let mut backoff = Backoff::new(StdRng::seed_from_u64(seed));
            for attempt in 0..40 {
                let ceiling = (FIRST * 2_u32.pow(attempt.min(7))).min(LONGEST);
                assert!(backoff.wait() <= ceiling);
            }
            backoff.forget_down_to(2);
            assert!(backoff.clone().wait() <= FIRST * 4);
            backoff.forget_down_to(0);
            assert!(backoff.wait() <= FIRST);
            assert!(backoff.long_wait() >= LONGEST / 2);
        }
    }

    #[test]
    fn two_agents_do_not_wait_alike() {
        let waits = |seed| {
            let mut backoff = Backoff::new(StdRng::seed_from_u64(seed));
            (0..8).map(|_| backoff.wait()).collect::<Vec<_>>()
        };
        assert_ne!(waits(1), waits(2));
    }
}
