//! How long a session may live, and how long without anybody typing. Pure.
//!
//! Several sources say something about it: the organisation, the cluster. The shortest holds; where none says anything, the
//! relay's own default does.

use std::time::Duration;

/// A session lives at most this long unless somebody says otherwise: a working day.
pub const DEFAULT_SESSION_MAX: Duration = Duration::from_hours(8);

/// A session is flagged idle after this long without human input unless somebody says otherwise.
pub const DEFAULT_IDLE_AFTER: Duration = Duration::from_mins(5);

/// What one source says; `None` is silence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitSettings {
    /// A session lives at most this long.
    pub session_max: Option<Duration>,
    /// It is flagged idle after this long without human input.
    pub idle_after: Option<Duration>,
    /// It is closed after this long without human input.
    pub idle_close: Option<Duration>,
}

/// What holds for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// It lives at most this long.
    pub session_max: Duration,
    /// What happens when nobody types.
    pub idle: IdleLimits,
}

/// What happens when nobody types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleLimits {
    /// The session is flagged idle after this long.
    pub after: Duration,
    /// It is closed after this long; `None`: never.
    pub close: Option<Duration>,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { session_max: DEFAULT_SESSION_MAX, idle: IdleLimits { after: DEFAULT_IDLE_AFTER, close: None } }
    }
}

impl SessionLimits {
    /// What holds where these sources speak; `default` fills the gaps. Nothing is closed for idleness before it was flagged.
    #[must_use]
    pub fn strictest(default: Self, sources: &[LimitSettings]) -> Self {
        let shortest = |part: fn(&LimitSettings) -> Option<Duration>| sources.iter().filter_map(part).min();
        let close = shortest(|source| source.idle_close).or(default.idle.close);
        let after = shortest(|source| source.idle_after).unwrap_or(default.idle.after);
        Self {
            session_max: shortest(|source| source.session_max).unwrap_or(default.session_max),
            idle: IdleLimits { after: close.map_or(after, |close| after.min(close)), close },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Option<Duration> = Some(Duration::from_hours(1));
    const MINUTES_20: Option<Duration> = Some(Duration::from_mins(20));
    const MINUTES_2: Option<Duration> = Some(Duration::from_mins(2));

    #[test]
    fn the_shortest_of_those_that_speak_holds_and_the_default_fills_gaps() {
        let organisation =
            LimitSettings { session_max: Some(Duration::from_hours(12)), idle_after: MINUTES_20, idle_close: None };
        let cluster = LimitSettings { session_max: HOUR, idle_after: HOUR, idle_close: HOUR };
        let silent = LimitSettings::default();
        let default = SessionLimits::default();

        assert_eq!(SessionLimits::strictest(default, &[]), default);
        assert_eq!(SessionLimits::strictest(default, &[silent, silent]), default);
        let longer = SessionLimits::strictest(default, &[organisation, silent]);
        assert_eq!(longer.session_max, Duration::from_hours(12), "a default is no limit");
        let both = SessionLimits::strictest(default, &[organisation, cluster]);
        let idle = IdleLimits { after: Duration::from_mins(20), close: HOUR };
        assert_eq!(both, SessionLimits { session_max: Duration::from_hours(1), idle });
    }

    #[test]
    fn a_session_is_flagged_before_it_is_closed_for_idleness() {
        let closing = LimitSettings { idle_close: MINUTES_2, ..LimitSettings::default() };
        let limits = SessionLimits::strictest(SessionLimits::default(), &[closing]);
        assert_eq!(limits.idle, IdleLimits { after: Duration::from_mins(2), close: MINUTES_2 });
    }
}
