//! How often one address may try something: a token bucket each, in bounded memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::UnixMillis;

/// The most addresses that are remembered. Beyond, all new ones share one bucket.
const MAX_ADDRESSES: usize = 10_000;

/// How often full buckets are looked for and forgotten, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// How many tries to sign in one address has at once: an office behind one address signs in together in the morning.
pub const SIGN_IN_BURST: u32 = 30;

/// A sign-in link cannot be guessed; this keeps somebody from spending the relay's time on trying.
pub fn for_sign_in() -> RateLimiter {
    RateLimiter::new(SIGN_IN_BURST, Duration::from_secs(2))
}

/// Bounds guesses at the passwords of one account: few from one address, and not too many from all addresses together, so
/// that guessing is hopeless and its person, who comes from elsewhere, still gets through.
pub fn for_accounts() -> AccountLimiter {
    AccountLimiter {
        from_one: RateLimiter::new(ACCOUNT_BURST, Duration::from_secs(30)),
        from_all: RateLimiter::new(200, Duration::from_secs(5)),
    }
}

/// Bounds how often one address may look at the sign-in page or set out from it: nothing is guessed there, but each costs.
pub fn for_sign_in_pages() -> RateLimiter {
    RateLimiter::new(120, Duration::from_millis(500))
}

/// How many tries at one account one address has at once.
pub const ACCOUNT_BURST: u32 = 10;

/// Token buckets by account, and by account and address.
#[derive(Debug)]
pub struct AccountLimiter {
    from_one: RateLimiter,
    from_all: RateLimiter,
}

impl AccountLimiter {
    /// Takes one try at an account, whether or not there is one of this name.
    pub fn take(&self, account: &str, from: Option<IpAddr>, now: UnixMillis) -> Result<(), Duration> {
        let from = from.map(Address::of).map(Box::new);
        self.from_one.take_for(Address::Account(account.into(), from), now)?;
        self.from_all.take_for(Address::Account(account.into(), None), now)
    }
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
    /// By address: when the bucket is full again.
    full_at: HashMap<Address, i64>,
    swept_at: i64,
}

/// IPv6 counts by /64: that is what one customer has to itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Address {
    One(IpAddr),
    /// An account, from one address or from all.
    Account(Box<str>, Option<Box<Self>>),
    /// Everybody who came when the table was full, or whose address is not known.
    Others,
}

impl RateLimiter {
    /// Lets `burst` tries through at once, and one more after each `refill`.
    pub fn new(burst: u32, refill: Duration) -> Self {
        let refill_millis = i64::try_from(refill.as_millis()).unwrap_or(i64::MAX).max(1);
        let buckets = Mutex::new(Buckets { full_at: HashMap::new(), swept_at: 0 });
        Self { burst: i64::from(burst.max(1)), refill_millis, buckets }
    }

    /// Takes one try; if there is none left, says how long to wait for the next.
    pub fn take(&self, address: Option<IpAddr>, now: UnixMillis) -> Result<(), Duration> {
        self.take_for(address.map_or(Address::Others, Address::of), now)
    }

    fn take_for(&self, address: Address, now: UnixMillis) -> Result<(), Duration> {
        let now = now.get();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let address = buckets.place(address, now);
        let full_at = buckets.full_at.entry(address).or_insert(now);
        let then = (*full_at).max(now) + self.refill_millis;
        let over = then - now - self.burst * self.refill_millis;
        if over > 0 {
            return Err(Duration::from_millis(over.unsigned_abs()));
        }
        *full_at = then;
        Ok(())
    }
}

impl Buckets {
    fn place(&mut self, address: Address, now: i64) -> Address {
        if self.full_at.len() < MAX_ADDRESSES || self.full_at.contains_key(&address) {
            return address;
        }
        if now - self.swept_at >= i64::try_from(SWEEP_INTERVAL.as_millis()).unwrap_or(0) {
            self.swept_at = now;
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        if self.full_at.len() < MAX_ADDRESSES { address } else { Address::Others }
    }
}

impl Address {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let network = v6.to_bits() & !u128::from(u64::MAX);
                Self::One(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            v4 @ IpAddr::V4(_) => Self::One(v4),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis::new(1_700_000_000_000 + seconds * 1000)
    }

    fn take(limiter: &RateLimiter, address: &str, now: UnixMillis) -> Result<(), Duration> {
        limiter.take(Some(address.parse().expect("an address")), now)
    }

    #[test]
    fn a_burst_passes_then_one_at_a_time() {
        let limiter = RateLimiter::new(3, SECOND);
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
        let limiter = RateLimiter::new(1, SECOND);
        let ada = "192.0.2.1";
        assert_eq!(take(&limiter, ada, at(0)), Ok(()));
        for _ in 0..100 {
            assert_eq!(take(&limiter, ada, at(0)), Err(SECOND));
        }
        assert_eq!(take(&limiter, ada, at(1)), Ok(()));
    }

    #[test]
    fn the_neighbours_of_one_ipv6_network_share_a_bucket() {
        let limiter = RateLimiter::new(1, SECOND);
        assert_eq!(take(&limiter, "2001:db8::1", at(0)), Ok(()));
        assert!(take(&limiter, "2001:db8::ffff:1", at(0)).is_err());
        assert_eq!(take(&limiter, "2001:db8:0:1::1", at(0)), Ok(()));
        assert_eq!(take(&limiter, "192.0.2.1", at(0)), Ok(()));
        assert!(take(&limiter, "::ffff:192.0.2.1", at(0)).is_err(), "the same machine");
    }

    #[test]
    fn guesses_at_an_account_are_few_and_its_person_elsewhere_gets_through() {
        let limiter = for_accounts();
        let (guesser, person) = (Some(IpAddr::from([192, 0, 2, 1])), Some(IpAddr::from([192, 0, 2, 2])));
        for _ in 0..ACCOUNT_BURST {
            assert_eq!(limiter.take("ada@example.org", guesser, at(0)), Ok(()));
        }
        assert!(limiter.take("ada@example.org", guesser, at(0)).is_err());
        assert_eq!(limiter.take("ada@example.org", person, at(0)), Ok(()));
        assert_eq!(limiter.take("bob@example.org", guesser, at(0)), Ok(()));
        let from = |n: u32| Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        let passed = (0..1000).filter(|n| limiter.take("ada@example.org", from(*n), at(0)).is_ok()).count();
        assert!(passed < 200, "all addresses together: {passed}");
    }

    #[test]
    fn a_crowd_of_addresses_takes_bounded_memory_and_is_still_limited() {
        let limiter = RateLimiter::new(1, SECOND);
        let nth = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let limit = u32::try_from(MAX_ADDRESSES).expect("fits");
        let passed = (0..2 * limit).filter(|n| limiter.take(nth(*n), at(0)).is_ok()).count();
        assert_eq!(passed, MAX_ADDRESSES + 1);
        assert_eq!(limiter.take(nth(3 * limit), at(10)), Ok(()), "the crowd is forgotten once it is quiet");
        assert!(limiter.buckets.lock().expect("not poisoned").full_at.len() <= MAX_ADDRESSES + 1);
    }
}
