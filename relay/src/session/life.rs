//! How long a session lives, and whether anybody types in it. Pure; wall time, because a restart of the relay must not matter.

use std::time::Duration;

use podlatch_protocol::close::EndCause;
use podlatch_protocol::request::Lease;
use tokio::time::Instant;

use crate::clock::UnixMillis;
use crate::domain::session::{Activity, Session};
use crate::domain::session_limits::IdleLimits;

/// For how long an agent lets bytes pass after a lease: a right that is withdrawn, and an agent that cannot be told, freeze a
/// session within this.
pub(super) const LEASE_VALID: Duration = Duration::from_secs(15);

/// How often a lease is renewed: two may be lost before the session freezes.
const LEASE_INTERVAL: Duration = Duration::from_secs(5);

/// Leases are sent at multiples of this, so that many sessions' leases share packets and wake-ups.
const LEASE_GRID: Duration = Duration::from_millis(250);

/// The lease to give at `now` to a session that ends at `expires_at`.
pub(super) fn lease(expires_at: UnixMillis, now: UnixMillis) -> Lease {
    Lease { valid_for: LEASE_VALID, expires_in: now.until(expires_at) }
}

/// When the lease after the one that is given at `now` is due. `epoch` is the same for all sessions.
pub(super) fn next_lease(epoch: Instant, now: Instant) -> Instant {
    let next = (now + LEASE_INTERVAL).saturating_duration_since(epoch).as_millis();
    let beyond_grid = next % LEASE_GRID.as_millis();
    now + LEASE_INTERVAL - Duration::from_millis(u64::try_from(beyond_grid).unwrap_or(0))
}

/// What viewers are told of a session's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LifeView {
    /// When it ends, whatever happens.
    pub(crate) expires_at: UnixMillis,
    /// How it is idle, if it is.
    pub(crate) idle: Option<IdleView>,
}

/// How a session is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IdleView {
    /// Since when nobody has typed.
    pub(crate) since: UnixMillis,
    /// When it is closed for that, if ever.
    pub(crate) closes_at: Option<UnixMillis>,
}

/// Whether a session is flagged idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdleFlag {
    Off,
    On { since: UnixMillis },
}

impl IdleFlag {
    pub(super) const fn since(self) -> Option<UnixMillis> {
        match self {
            Self::Off => None,
            Self::On { since } => Some(since),
        }
    }
}

/// A session's life.
#[derive(Debug)]
pub(super) struct Life {
    expires_at: UnixMillis,
    idle: IdleLimits,
    /// Its flag is what is stored and was told, which follows what is the case.
    activity: Activity,
}

impl Life {
    /// As it was stored.
    pub(super) fn of(session: &Session) -> Self {
        Self { expires_at: session.request.expires_at, idle: session.request.idle, activity: session.activity }
    }

    /// Somebody typed.
    pub(super) fn handle_activity(&mut self, now: UnixMillis) {
        self.activity.last_at = self.activity.last_at.max(now);
    }

    /// The flag that is to be stored at `now`, where that is another than the stored one.
    pub(super) fn flag_to_store(&self, now: UnixMillis) -> Option<IdleFlag> {
        let since = self.activity.last_at.plus(self.idle.after);
        match (now >= since, self.activity.idle_since) {
            (true, None) => Some(IdleFlag::On { since }),
            (false, Some(_)) => Some(IdleFlag::Off),
            (true, Some(_)) | (false, None) => None,
        }
    }

    /// The flag was stored.
    pub(super) const fn handle_flag_stored(&mut self, flag: IdleFlag) {
        self.activity.idle_since = flag.since();
    }

    /// Why the session has to end at `now`, if it has to.
    pub(super) fn end_due(&self, now: UnixMillis) -> Option<EndCause> {
        if now >= self.expires_at {
            return Some(EndCause::Expired);
        }
        self.idle_close_at().is_some_and(|at| now >= at).then_some(EndCause::Idle)
    }

    /// When [`Self::flag_to_store`] has to be asked next, if time alone changes its answer.
    pub(super) fn flag_deadline(&self) -> Option<UnixMillis> {
        self.activity.idle_since.is_none().then(|| self.activity.last_at.plus(self.idle.after))
    }

    /// When [`Self::end_due`] has to be asked next.
    pub(super) fn end_deadline(&self) -> UnixMillis {
        self.idle_close_at().map_or(self.expires_at, |idle| idle.min(self.expires_at))
    }

    /// The lease to give at `now`, for as long as its right was seen to stand.
    pub(super) fn lease(&self, valid_for: Duration, now: UnixMillis) -> Lease {
        Lease { valid_for, ..lease(self.expires_at, now) }
    }

    /// What viewers are told.
    pub(super) fn view(&self) -> LifeView {
        let idle = self
            .activity
            .idle_since
            .map(|_| IdleView { since: self.activity.last_at, closes_at: self.idle_close_at() });
        LifeView { expires_at: self.expires_at, idle }
    }

    fn idle_close_at(&self) -> Option<UnixMillis> {
        self.idle.close.map(|close| self.activity.last_at.plus(close))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMillis = UnixMillis::new(1_000_000);

    const ON: IdleFlag = IdleFlag::On { since: UnixMillis::new(START.get() + 300_000) };

    fn at(seconds: u64) -> UnixMillis {
        START.plus(Duration::from_secs(seconds))
    }

    /// An hour long, flagged after five minutes, closed after ten.
    fn life() -> Life {
        let idle = IdleLimits { after: Duration::from_mins(5), close: Some(Duration::from_mins(10)) };
        Life { expires_at: at(3_600), idle, activity: Activity::begin(START) }
    }

    #[test]
    fn the_idle_flag_follows_what_is_the_case() {
        let mut life = life();
        assert_eq!((life.flag_to_store(at(299)), life.flag_deadline()), (None, Some(at(300))));
        assert_eq!(life.flag_to_store(at(301)), Some(ON));
        assert_eq!(life.view().idle, None, "nobody is told before it is stored");
        life.handle_flag_stored(ON);
        let idle = IdleView { since: START, closes_at: Some(at(600)) };
        assert_eq!((life.flag_to_store(at(302)), life.view().idle), (None, Some(idle)));
        life.handle_activity(at(310));
        assert_eq!(life.flag_to_store(at(310)), Some(IdleFlag::Off));
        life.handle_flag_stored(IdleFlag::Off);
        assert_eq!((life.view().idle, life.flag_deadline()), (None, Some(at(610))));
    }

    #[test]
    fn whoever_types_while_the_flag_is_being_stored_takes_it_away_again() {
        let mut life = life();
        assert_eq!(life.flag_to_store(at(300)), Some(ON));
        life.handle_activity(at(301));
        life.handle_flag_stored(ON);
        assert_eq!(life.flag_to_store(at(301)), Some(IdleFlag::Off));
    }

    #[test]
    fn a_session_ends_when_nobody_typed_or_its_time_is_up() {
        let mut life = life();
        life.handle_flag_stored(ON);
        assert_eq!((life.end_due(at(599)), life.end_deadline(), life.flag_deadline()), (None, at(600), None));
        assert_eq!(life.end_due(at(600)), Some(EndCause::Idle));
        life.handle_activity(at(3_590));
        assert_eq!(life.end_due(at(3_599)), None);
        assert_eq!(life.end_due(at(3_600)), Some(EndCause::Expired));
        assert_eq!(life.end_deadline(), at(3_600));
    }

    #[test]
    fn a_moment_of_activity_never_moves_back() {
        let mut life = life();
        life.handle_activity(at(10));
        life.handle_activity(at(5));
        assert_eq!(life.activity.last_at, at(10));
    }

    #[test]
    fn a_lease_says_what_is_left() {
        let valid = Duration::from_secs(3);
        let lease = life().lease(valid, at(3_590));
        assert_eq!((lease.valid_for, lease.expires_in), (valid, Duration::from_secs(10)));
        assert_eq!(life().lease(valid, at(3_700)).expires_in, Duration::ZERO);
    }

    #[test]
    fn leases_of_many_sessions_meet_on_a_grid() {
        let epoch = Instant::now();
        for offset in [0, 1, 249, 250, 251, 77_777] {
            let now = epoch + Duration::from_millis(offset);
            let next = next_lease(epoch, now);
            assert!(next <= now + LEASE_INTERVAL && next > now + LEASE_INTERVAL - LEASE_GRID);
            assert_eq!((next - epoch).as_millis() % LEASE_GRID.as_millis(), 0);
        }
    }
}
