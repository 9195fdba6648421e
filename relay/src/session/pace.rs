//! Fair shares: while other sessions are being typed in, a session that floods gets its credit at a bounded pace. Pure.
//!
//! A flood takes whatever processors there are, in the pod, the cluster, the agent and here, and every other echo then waits
//! for them. Nobody reads a flood, so it loses nothing by a pace; a session that is alone has none.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use podlatch_protocol::id::SessionId;
use tokio::time::Instant;

/// Output per second that a session is granted beside others, in bytes, for each processor of this machine. A flood of short
/// lines costs a core of the pod's node several times as much as it costs here, and many agents run on small machines.
const BYTES_PER_SECOND_AND_PROCESSOR: u64 = 256 * 1024;

/// And at most: far more than a person reads or a browser draws.
const MOST_BYTES_PER_SECOND: u64 = 8 * 1024 * 1024;

/// What it may be granted at once after a rest, in bytes: a screen that is drawn anew, a listing, a file that is looked at.
const BURST_BYTES: u64 = 1024 * 1024;

/// How long after a keystroke a session counts as being typed in.
const AT_WORK: Duration = Duration::from_secs(2);

/// Who types: the two sessions of the latest keystrokes are enough to tell whether there is another one.
#[derive(Debug, Default)]
pub(super) struct Typists {
    latest: Option<(SessionId, Instant)>,
    before: Option<(SessionId, Instant)>,
}

impl Typists {
    /// Somebody typed in this session.
    pub(super) fn note(&mut self, session: SessionId, now: Instant) {
        if self.latest.is_some_and(|(latest, _)| latest != session) {
            self.before = self.latest;
        }
        self.latest = Some((session, now));
    }

    /// Whether another session than this one is being typed in.
    pub(super) fn beside(&self, session: SessionId, now: Instant) -> bool {
        [self.latest, self.before]
            .into_iter()
            .flatten()
            .any(|(typist, at)| typist != session && now.saturating_duration_since(at) < AT_WORK)
    }
}

/// What a session that floods is granted beside others, in bytes per second. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FairRate(u64);

impl FairRate {
    /// What suits this machine.
    pub(super) fn of_this_machine() -> Self {
        Self::of(available_parallelism().map_or(1, NonZero::get))
    }

    fn of(processors: usize) -> Self {
        let processors = u64::try_from(processors).unwrap_or(u64::MAX).max(1);
        Self(processors.saturating_mul(BYTES_PER_SECOND_AND_PROCESSOR).min(MOST_BYTES_PER_SECOND))
    }
}

/// One session's pace.
#[derive(Debug)]
pub(super) struct Pace {
    rate: FairRate,
    allowance: u64,
    at: Instant,
}

impl Pace {
    /// A session that has rested.
    pub(super) fn new(rate: FairRate, now: Instant) -> Self {
        Self { rate, allowance: BURST_BYTES, at: now }
    }

    /// How many bytes more may be granted now beside others.
    pub(super) fn allowance(&mut self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at);
        let earned = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(self.rate.0) / 1_000_000;
        self.allowance = self.allowance.saturating_add(earned);
        if self.allowance >= BURST_BYTES {
            (self.allowance, self.at) = (BURST_BYTES, now);
        } else {
            // What has not made a byte yet counts the next time.
            self.at += Duration::from_micros(earned * 1_000_000 / self.rate.0);
        }
        self.allowance
    }

    /// So many bytes were granted.
    pub(super) fn spend(&mut self, bytes: u64) {
        self.allowance = self.allowance.saturating_sub(bytes);
    }

    /// When so many bytes may be granted.
    pub(super) fn allows_at(&self, bytes: u64) -> Instant {
        let missing = bytes.saturating_sub(self.allowance);
        self.at + Duration::from_micros(missing.saturating_mul(1_000_000).div_ceil(self.rate.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u8) -> SessionId {
        SessionId::new(1, &[number; 10])
    }

    #[test]
    fn a_session_is_beside_another_only_while_that_is_typed_in() {
        let (mut typists, now) = (Typists::default(), Instant::now());
        assert!(!typists.beside(session(1), now));
        typists.note(session(1), now);
        assert!(!typists.beside(session(1), now), "its own keystrokes do not count");
        assert!(typists.beside(session(2), now));
        typists.note(session(2), now);
        typists.note(session(2), now);
        assert!(typists.beside(session(1), now) && typists.beside(session(2), now));
        assert!(!typists.beside(session(1), now + AT_WORK));
    }

    #[test]
    fn a_flood_gets_a_burst_and_then_its_pace() {
        let start = Instant::now();
        let (mut pace, mut granted) = (Pace::new(FairRate::of(4), start), 0);
        for millis in 0..=10_000 {
            let allowance = pace.allowance(start + Duration::from_millis(millis));
            if allowance >= 64 * 1024 {
                pace.spend(allowance);
                granted += allowance;
            }
        }
        let fair = 10 * 4 * BYTES_PER_SECOND_AND_PROCESSOR + BURST_BYTES;
        assert!((fair - 128 * 1024..=fair).contains(&granted), "{granted}");
    }

    #[test]
    fn a_larger_machine_bears_more_but_nobody_gets_without_end() {
        assert_eq!(FairRate::of(0), FairRate::of(1));
        assert!(FairRate::of(1) != FairRate::of(2));
        assert_eq!(FairRate::of(2), FairRate(2 * BYTES_PER_SECOND_AND_PROCESSOR));
        assert_eq!(FairRate::of(usize::MAX), FairRate(MOST_BYTES_PER_SECOND));
    }

    #[test]
    fn it_says_when_it_goes_on() {
        let start = Instant::now();
        let mut pace = Pace::new(FairRate::of(2), start);
        pace.spend(BURST_BYTES);
        let at = pace.allows_at(64 * 1024);
        assert!(pace.allowance(at - Duration::from_millis(1)) < 64 * 1024);
        assert!(pace.allowance(at) >= 64 * 1024);
    }
}
