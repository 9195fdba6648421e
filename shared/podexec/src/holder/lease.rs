//! How long the relay lets a session go on: enforced here too, on this side's own clock. Pure.
//!
//! A lease may come late: it waits in buffers while a path is cut. For whether bytes may pass the latest counts, since whatever
//! withdraws a right travels behind it; the end of the session only ever moves closer.

use std::time::{Duration, Instant};

use podlatch_protocol::request;

/// What was granted, in this side's time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    valid_until: Option<Instant>,
    expires_at: Option<Instant>,
}

impl Lease {
    /// What came with the request to open, at `now`.
    pub(super) fn begin(lease: request::Lease, now: Instant) -> Self {
        Self { valid_until: after(now, lease.valid_for), expires_at: after(now, lease.expires_in) }
    }

    /// A new one came at `now`.
    pub(super) fn renew(&mut self, lease: request::Lease, now: Instant) {
        self.valid_until = after(now, lease.valid_for);
        self.expires_at = match (self.expires_at, after(now, lease.expires_in)) {
            (Some(before), Some(new)) => Some(before.min(new)),
            (before, new) => before.or(new),
        };
    }

    /// Whether bytes may pass at `now`.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.valid_until.is_none_or(|until| now < until)
    }

    /// When the session ends, whoever can be reached.
    pub(super) const fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }
}

/// `None` is beyond what a clock can say: never.
fn after(now: Instant, duration: Duration) -> Option<Instant> {
    now.checked_add(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(valid_seconds: u64, expires_seconds: u64) -> request::Lease {
        request::Lease {
            valid_for: Duration::from_secs(valid_seconds),
            expires_in: Duration::from_secs(expires_seconds),
        }
    }

    #[test]
    fn bytes_pass_until_the_latest_lease_runs_out() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut granted = Lease::begin(lease(15, 3_600), start);
        assert!(granted.is_valid(at(14)) && !granted.is_valid(at(15)));
        granted.renew(lease(15, 3_570), at(30));
        assert!(granted.is_valid(at(44)) && !granted.is_valid(at(45)));
        granted.renew(lease(0, 3_560), at(40));
        assert!(!granted.is_valid(at(40)), "the latest counts, also where it is shorter");
    }

    #[test]
    fn a_lease_that_comes_late_does_not_prolong_a_session() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut granted = Lease::begin(lease(15, 100), start);
        granted.renew(lease(15, 95), at(30));
        assert_eq!(granted.expires_at(), Some(at(100)));
        granted.renew(lease(15, 20), at(60));
        assert_eq!(granted.expires_at(), Some(at(80)), "somebody shortened it");
    }

    #[test]
    fn no_number_overflows() {
        let endless = request::Lease { valid_for: Duration::MAX, expires_in: Duration::MAX };
        let mut granted = Lease::begin(endless, Instant::now());
        assert!(granted.is_valid(Instant::now()) && granted.expires_at().is_none());
        granted.renew(lease(1, 1), Instant::now());
        assert!(granted.expires_at().is_some());
    }
}
