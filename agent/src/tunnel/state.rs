//! The tunnel's decisions, without its I/O: when to dial, when the relay counts as gone, when to renew, when to stop.
//!
//! The driver asks [`Tunnel::next`] what to do, does it, and reports what came of it.

use std::time::{Duration, Instant};

use podlatch_protocol::limits::{AGENT_SILENCE, CONTROL_PING_INTERVAL};
use rand::Rng;

use super::backoff::Backoff;

/// A connection that lived this long was good: the next failure starts counting anew.
const STABLE: Duration = Duration::from_secs(30);

/// A relay that welcomed this agent and was lost soon after is likely to be restarted: the next wait is at most what it is
/// after so many failures, 2 s. Whoever cannot connect at all waits longer each time.
const WELCOMED: u32 = 2;

/// The relay pings every three seconds. After this much silence the agent speaks by itself: a relay that was restarted
/// answers that with a stateless reset, so its loss is known at once.
const NUDGE_AFTER: Duration = CONTROL_PING_INTERVAL.saturating_add(Duration::from_secs(1));

/// How often it then speaks.
const NUDGE_EVERY: Duration = Duration::from_secs(1);

/// After this much silence the agent sends from a new port: the old one's mapping, or its network, may be gone.
const REBIND_AFTER: Duration = Duration::from_secs(8);

/// How often it then changes the port.
const REBIND_EVERY: Duration = Duration::from_secs(8);

/// After this much silence the connection is given up.
const DEAD_AFTER: Duration = AGENT_SILENCE.saturating_mul(3);

/// How long the relay may take to answer a renewal.
const RENEWAL_ANSWER: Duration = Duration::from_secs(15);

/// How long to wait after a renewal that failed.
const RENEWAL_RETRY: Duration = Duration::from_mins(1);

/// What the driver is to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Wait until then, or for something to happen.
    Wait(Option<Instant>),
    /// Connect.
    Dial,
    /// Say something on the control stream.
    Nudge,
    /// Send from a new port.
    Rebind,
    /// Ask for a new certificate.
    Renew,
    /// Tell the relay that nothing new is taken.
    AnnounceDrain,
    /// Give the connection up.
    HangUp,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Trying again may help.
    Transient,
    /// Trying again soon will not help.
    Lasting,
    /// The relay does not take this agent's identity.
    IdentityRefused,
    /// The relay has withdrawn this agent's right.
    Revoked,
}

/// The state of the tunnel.
#[derive(Debug)]
pub(super) struct Tunnel<R> {
    phase: Phase,
    backoff: Backoff<R>,
    renew_at: Instant,
    draining: bool,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Instant },
    Dialling,
    Up(Up),
}

#[derive(Debug)]
struct Up {
    since: Instant,
    heard_at: Instant,
    nudge_at: Instant,
    rebind_at: Instant,
    renewal: Renewal,
    drain_announced: bool,
}

#[derive(Debug, Clone, Copy)]
enum Renewal {
    Idle,
    Asked { until: Instant },
}

impl<R: Rng> Tunnel<R> {
    /// Not connected; dials at once.
    pub(super) const fn new(now: Instant, renew_at: Instant, rng: R) -> Self {
        Self { phase: Phase::Waiting { until: now }, backoff: Backoff::new(rng), renew_at, draining: false }
    }

    /// When to renew a certificate with this much life left of a whole life: at half of it, up to a tenth of that earlier
    /// or later, so that agents that enrolled together do not renew together.
    pub(super) fn renewal_time(&mut self, now: Instant, remaining: Duration, lifetime: Duration) -> Instant {
        let at_remaining = (lifetime / 2).mul_f64(self.backoff.rng().random_range(0.9..=1.1));
        now + remaining.saturating_sub(at_remaining)
    }

    /// What to do now.
    pub(super) fn next(&mut self, now: Instant) -> Action {
        match &mut self.phase {
            Phase::Waiting { until } if now < *until => Action::Wait(Some(*until)),
            Phase::Waiting { .. } => {
                self.phase = Phase::Dialling;
                Action::Dial
            }
            Phase::Dialling => Action::Wait(None),
            Phase::Up(up) => up.next(now, &mut self.renew_at, self.draining),
        }
    }

    /// The relay welcomed this agent.
    pub(super) fn connected(&mut self, now: Instant) {
        self.phase = Phase::Up(Up {
            since: now,
            heard_at: now,
            nudge_at: now + NUDGE_AFTER,
            rebind_at: now + REBIND_AFTER,
            renewal: Renewal::Idle,
            drain_announced: false,
        });
    }

    /// The relay said something.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Phase::Up(up) = &mut self.phase {
            up.heard_at = now;
            up.nudge_at = now + NUDGE_AFTER;
            up.rebind_at = now + REBIND_AFTER;
        }
    }

    /// There is no connection: dialling failed, or it ended. Returns how long the next attempt waits.
    pub(super) fn failed(&mut self, now: Instant, failure: Failure) -> Duration {
        if let Phase::Up(up) = &self.phase {
            let lived = now.saturating_duration_since(up.since);
            self.backoff.forget_down_to(if lived >= STABLE { 0 } else { WELCOMED });
        }
        let wait = match failure {
            Failure::Transient => self.backoff.wait(),
            Failure::Lasting | Failure::IdentityRefused | Failure::Revoked => self.backoff.long_wait(),
        };
        self.phase = Phase::Waiting { until: now + wait };
        wait
    }

    /// There is a new certificate, to be renewed then.
    pub(super) const fn renewed(&mut self, renew_at: Instant) {
        self.renew_at = renew_at;
        self.renewal_over();
    }

    /// The renewal failed; it is tried again later.
    pub(super) fn renewal_failed(&mut self, now: Instant) {
        self.renew_at = now + RENEWAL_RETRY;
        self.renewal_over();
    }

    /// Takes nothing new from now on.
    pub(super) const fn drain(&mut self) {
        self.draining = true;
    }

    const fn renewal_over(&mut self) {
        if let Phase::Up(up) = &mut self.phase {
            up.renewal = Renewal::Idle;
        }
    }
}

impl Up {
    fn next(&mut self, now: Instant, renew_at: &mut Instant, draining: bool) -> Action {
        if now >= self.heard_at + DEAD_AFTER {
            return Action::HangUp;
        }
        if draining && !self.drain_announced {
            self.drain_announced = true;
            return Action::AnnounceDrain;
        }
        if now >= self.rebind_at {
            self.rebind_at = now + REBIND_EVERY;
            return Action::Rebind;
        }
        if now >= self.nudge_at {
            self.nudge_at = now + NUDGE_EVERY;
            return Action::Nudge;
        }
        if let Renewal::Asked { until } = self.renewal
            && now >= until
        {
            self.renewal = Renewal::Idle;
            *renew_at = now + RENEWAL_RETRY;
        }
        if matches!(self.renewal, Renewal::Idle) && now >= *renew_at {
            self.renewal = Renewal::Asked { until: now + RENEWAL_ANSWER };
            return Action::Renew;
        }
        let renewal = match self.renewal {
            Renewal::Idle => *renew_at,
            Renewal::Asked { until } => until,
        };
        Action::Wait(Some((self.heard_at + DEAD_AFTER).min(self.rebind_at).min(self.nudge_at).min(renewal)))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    fn tunnel(now: Instant) -> Tunnel<StdRng> {
        Tunnel::new(now, now + DAY, StdRng::seed_from_u64(1))
    }

    fn up(now: Instant) -> Tunnel<StdRng> {
        let mut tunnel = tunnel(now);
        assert_eq!(tunnel.next(now), Action::Dial);
        tunnel.connected(now);
        tunnel
    }

    /// Follows the machine's own timers up to `end` and returns what it did, and when.
    fn follow(tunnel: &mut Tunnel<StdRng>, start: Instant, end: Instant) -> Vec<(Duration, Action)> {
        let (mut now, mut actions) = (start, Vec::new());
        loop {
            match tunnel.next(now) {
                Action::Wait(Some(until)) if until <= end => now = until,
                Action::Wait(_) => return actions,
                action => {
                    actions.push((now - start, action));
                    if action == Action::HangUp {
                        return actions;
                    }
                }
            }
        }
    }

    #[test]
    fn dials_at_once_and_then_only_after_each_failure() {
        let now = Instant::now();
        let mut tunnel = tunnel(now);
        assert_eq!(tunnel.next(now), Action::Dial);
        assert_eq!(tunnel.next(now), Action::Wait(None));
        let wait = tunnel.failed(now, Failure::Transient);
        assert_eq!(tunnel.next(now + wait), Action::Dial);
    }

    #[test]
    fn a_pinging_relay_keeps_it_quiet() {
        let now = Instant::now();
        let mut tunnel = up(now);
        for ping in 1..100 {
            let at = now + CONTROL_PING_INTERVAL * ping;
            tunnel.heard(at);
            assert!(matches!(tunnel.next(at), Action::Wait(Some(_))));
        }
    }

    #[test]
    fn silence_is_answered_by_nudges_then_a_new_port_then_a_new_connection() {
        let now = Instant::now();
        let mut tunnel = up(now);
        let actions = follow(&mut tunnel, now, now + DEAD_AFTER * 2);
        assert_eq!(actions.first(), Some(&(NUDGE_AFTER, Action::Nudge)));
        assert_eq!(actions.last(), Some(&(DEAD_AFTER, Action::HangUp)));
        let rebinds: Vec<_> = actions.iter().filter(|(_, action)| *action == Action::Rebind).collect();
        assert_eq!(rebinds.first().map(|(at, _)| *at), Some(REBIND_AFTER));
        assert!(rebinds.len() <= 4 && actions.len() < 40, "{actions:?}");
    }

    #[test]
    fn a_relay_that_was_lost_soon_is_found_again_soon_but_not_at_once() {
        let now = Instant::now();
        let (mut flapping, mut stable) = (tunnel(now), tunnel(now));
        let longest = |tunnel: &mut Tunnel<StdRng>, lived: Duration| {
            let mut at = now;
            (0..20)
                .map(|_| {
                    tunnel.connected(at);
                    at += lived;
                    tunnel.failed(at, Failure::Transient)
                })
                .max()
        };
        let flapping = longest(&mut flapping, Duration::from_secs(1));
        let (least, most) = (Some(Duration::from_secs(1)), Some(Duration::from_secs(2)));
        assert!(flapping > least && flapping <= most, "{flapping:?}");
        assert!(longest(&mut stable, STABLE) <= Some(Duration::from_millis(500)));
    }

    #[test]
    fn renews_at_half_life_and_again_when_nobody_answers() {
        let now = Instant::now();
        let mut tunnel = up(now);
        for _ in 0..100 {
            let at = tunnel.renewal_time(now, DAY, DAY);
            assert!(at >= now + DAY.mul_f64(0.449) && at <= now + DAY.mul_f64(0.551));
        }
        assert_eq!(tunnel.renewal_time(now, Duration::ZERO, DAY), now);
        tunnel.renewed(now + Duration::from_secs(1));
        let at = now + Duration::from_secs(1);
        assert_eq!(tunnel.next(at), Action::Renew);
        assert!(matches!(tunnel.next(at), Action::Wait(_)));
        tunnel.heard(at + RENEWAL_ANSWER);
        assert!(matches!(tunnel.next(at + RENEWAL_ANSWER), Action::Wait(_)));
        let again = at + RENEWAL_ANSWER + RENEWAL_RETRY;
        tunnel.heard(again);
        assert_eq!(tunnel.next(again), Action::Renew);
        tunnel.renewed(again + DAY);
        assert!(matches!(tunnel.next(again), Action::Wait(_)));
    }

    #[test]
    fn draining_is_announced_once_on_every_connection() {
        let now = Instant::now();
        let mut tunnel = up(now);
        tunnel.drain();
        assert_eq!(tunnel.next(now), Action::AnnounceDrain);
        assert!(matches!(tunnel.next(now), Action::Wait(_)));
        let wait = tunnel.failed(now, Failure::Transient);
        assert_eq!(tunnel.next(now + wait), Action::Dial);
        tunnel.connected(now + wait);
        assert_eq!(tunnel.next(now + wait), Action::AnnounceDrain);
    }

    #[test]
    fn a_lasting_failure_waits_long() {
        let now = Instant::now();
        assert!(tunnel(now).failed(now, Failure::Lasting) >= Duration::from_secs(15));
    }
}
