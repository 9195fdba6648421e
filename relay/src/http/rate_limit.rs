//! How often somebody may try something: a token bucket each, in bounded memory. Which rates there are says
//! [`super::guesses`].

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::UnixMillis;

/// The most addresses that are remembered. Beyond, all new ones share one bucket.
const MAX_ADDRESSES: usize = 10_000;

/// How often full buckets are looked for and forgotten, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How often it is noted that somebody tries on and on, for each bucket: what is refused here must not fill the audit log.
const NOTE_INTERVAL: Duration = Duration::from_mins(10);

/// How often something may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many tries there are at once.
    pub burst: u32,
    /// After how long there is one more.
    pub refill: Duration,
}

/// There is no try left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// How long until there is one.
    pub wait: Duration,
    /// Whether the audit log should say so.
    pub note: Note,
}

/// Whether it is to be noted that somebody tries too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// It is: this is the first one that is refused for a while.
    Due,
    /// It has been.
    Done,
}

/// Token buckets by address.
#[derive(Debug)]
pub struct RateLimiter {
    burst: i64,
    refill_millis: i64,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    by_who: HashMap<Who, Bucket>,
    swept_at: i64,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: i64,
    noted_at: Option<i64>,
}

/// Who tries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Who {
    /// Somebody at an address. IPv6 counts by /64: that is what one customer has to itself.
    Address(IpAddr),
    /// Whoever names an account, from one address or from all.
    Account(Box<str>, Option<IpAddr>),
    /// Everybody who came when the table was full, or whose address is not known.
    Others,
}

impl Who {
    /// Whoever comes from this address.
    pub fn at(address: Option<IpAddr>) -> Self {
        address.map_or(Self::Others, |address| Self::Address(network(address)))
    }

    /// Whoever names this account from this address.
    pub fn names_from(account: &str, address: Option<IpAddr>) -> Self {
        Self::Account(account.into(), Some(address.map_or(UNKNOWN, network)))
    }

    /// Whoever names this account.
    pub fn names(account: &str) -> Self {
        Self::Account(account.into(), None)
    }
}

/// Stands for addresses that are not known.
const UNKNOWN: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

impl RateLimiter {
    /// Lets through what the rate says.
    pub fn new(rate: Rate) -> Self {
        let refill_millis = millis(rate.refill).max(1);
        let buckets = Mutex::new(Buckets { by_who: HashMap::new(), swept_at: 0 });
        Self { burst: i64::from(rate.burst.max(1)), refill_millis, buckets }
    }

    /// Takes one try, if there is one left.
    pub fn take(&self, who: Who, now: UnixMillis) -> Result<(), Limited> {
        let now = now.get();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let who = buckets.place(who, now);
        let bucket = buckets.by_who.entry(who).or_insert(Bucket { full_at: now, noted_at: None });
        let then = bucket.full_at.max(now) + self.refill_millis;
        let over = then - now - self.burst * self.refill_millis;
        if over > 0 {
            return Err(Limited { wait: Duration::from_millis(over.unsigned_abs()), note: bucket.note(now) });
        }
        bucket.full_at = then;
        Ok(())
    }

    /// Gives back a try that turned out to be none.
    pub fn give_back(&self, who: &Who) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.by_who.get_mut(who) {
            bucket.full_at -= self.refill_millis;
        }
    }
}

impl Bucket {
    fn note(&mut self, now: i64) -> Note {
        let done = self.noted_at.is_some_and(|noted_at| now - noted_at < millis(NOTE_INTERVAL));
        if done {
            return Note::Done;
        }
        self.noted_at = Some(now);
        Note::Due
    }
}

impl Buckets {
    fn place(&mut self, who: Who, now: i64) -> Who {
        if self.by_who.len() < MAX_ADDRESSES || self.by_who.contains_key(&who) {
            return who;
        }
        if now - self.swept_at >= millis(SWEEP_INTERVAL) {
            self.swept_at = now;
            self.by_who.retain(|_, bucket| bucket.full_at > now);
        }
        if self.by_who.len() < MAX_ADDRESSES { who } else { Who::Others }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis::new(1_700_000_000_000 + seconds * 1000)
    }

    fn limiter(burst: u32) -> RateLimiter {
        RateLimiter::new(Rate { burst, refill: SECOND })
    }

    fn take(limiter: &RateLimiter, address: &str, now: UnixMillis) -> Result<(), Duration> {
        let who = Who::at(Some(address.parse().expect("an address")));
        limiter.take(who, now).map_err(|limited| limited.wait)
    }

    #[test]
    fn a_burst_passes_then_one_at_a_time() {
        let limiter = limiter(3);
        let ada = "192.0.2.1";
        for _ in 0..3 {
            assert_eq!(take(&limiter, ada, at(0)), Ok(()));
        }
        assert_eq!(take(&limiter, ada, at(0)), Err(SECOND));
        assert_eq!(take(&limiter, ada, at(1)), Ok(()));
        assert_eq!(take(&limiter, ada, at(1)), Err(SECOND));
        assert_eq!(take(&limiter, "192.0.2.2", at(1)), Ok(()), "somebody else");
    }

    #[test]
    fn asking_in_vain_costs_nothing() {
        let limiter = limiter(1);
        let ada = "192.0.2.1";
        assert_eq!(take(&limiter, ada, at(0)), Ok(()));
        for _ in 0..100 {
            assert_eq!(take(&limiter, ada, at(0)), Err(SECOND));
        }
        assert_eq!(take(&limiter, ada, at(1)), Ok(()));
    }

    #[test]
    fn the_neighbours_of_one_ipv6_network_share_a_bucket() {
        let limiter = limiter(1);
        assert_eq!(take(&limiter, "2001:db8::1", at(0)), Ok(()));
        assert!(take(&limiter, "2001:db8::ffff:1", at(0)).is_err());
        assert_eq!(take(&limiter, "2001:db8:0:1::1", at(0)), Ok(()));
        assert_eq!(take(&limiter, "192.0.2.1", at(0)), Ok(()));
        assert!(take(&limiter, "::ffff:192.0.2.1", at(0)).is_err(), "the same machine");
    }

    #[test]
    fn a_try_that_was_none_comes_back() {
        let limiter = limiter(2);
        let ada = Who::at(Some(IpAddr::from([192, 0, 2, 1])));
        for _ in 0..10 {
            assert_eq!(limiter.take(ada.clone(), at(0)), Ok(()));
            limiter.give_back(&ada);
        }
        assert_eq!([limiter.take(ada.clone(), at(0)), limiter.take(ada.clone(), at(0))], [Ok(()), Ok(())]);
        assert!(limiter.take(ada, at(0)).is_err());
    }

    #[test]
    fn a_burst_is_noted_once_however_long_it_goes_on() {
        let limiter = limiter(1);
        let notes = |from: i64, to: i64| {
            let tries = (from * 10..to * 10).map(|tenth| {
                let now = UnixMillis::new(at(0).get() + tenth * 100);
                limiter.take(Who::at(None), now)
            });
            tries.filter(|tried| matches!(tried, Err(Limited { note: Note::Due, .. }))).count()
        };
        assert_eq!(notes(0, 600), 1);
        assert_eq!(notes(601, 1200), 1, "and again when it goes on");
        assert_eq!(notes(2400, 2401), 1, "another burst");
    }

    #[test]
    fn a_crowd_of_addresses_takes_bounded_memory_and_is_still_limited() {
        let limiter = limiter(1);
        let nth = |n: u32| Who::at(Some(IpAddr::from(n.to_be_bytes())));
        let limit = u32::try_from(MAX_ADDRESSES).expect("fits");
        let passed = (0..2 * limit).filter(|n| limiter.take(nth(*n), at(0)).is_ok()).count();
        assert_eq!(passed, MAX_ADDRESSES + 1);
        assert_eq!(limiter.take(nth(3 * limit), at(10)), Ok(()), "the crowd is forgotten once it is quiet");
        assert!(limiter.buckets.lock().expect("not poisoned").by_who.len() <= MAX_ADDRESSES + 1);
    }
}
