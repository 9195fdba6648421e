//! Whether a new connection attempt is worth a handshake. Pure: takes addresses, counts and `now`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Handshakes that may be under way at once. More than this is an attack, or a fleet after an outage, which comes back.
pub(super) const MAX_HANDSHAKES: usize = 512;

/// From this many on, an address must prove itself by a retry packet, which costs this side no memory.
const UNPROVEN_HANDSHAKES: usize = 64;

/// Attempts that one address may make in a burst: many agents may share one NAT.
const BURST: u32 = 256;

/// An address regains one attempt in this time.
const REFILL: Duration = Duration::from_millis(20);

/// Addresses that are remembered; forgetting one only gives it a fresh burst.
const MAX_ADDRESSES: usize = 8_192;

/// Whether the peer has shown that it receives what is sent to its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Address {
    /// It has.
    Proven,
    /// It may be forged.
    Unproven,
}

/// What to do with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Begin the handshake.
    Accept,
    /// Let the peer prove its address first.
    Retry,
    /// Say no.
    Refuse,
}

/// Token buckets by address.
#[derive(Debug, Default)]
pub(super) struct Admission {
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    filled_at: Instant,
}

impl Admission {
    /// Decides on an attempt from `peer` while `handshakes` are under way.
    pub(super) fn decide(&mut self, peer: IpAddr, address: Address, handshakes: usize, now: Instant) -> Verdict {
        let unproven = address == Address::Unproven;
        if handshakes >= MAX_HANDSHAKES {
            return Verdict::Refuse;
        }
        if handshakes >= UNPROVEN_HANDSHAKES && unproven {
            return Verdict::Retry;
        }
        if self.take(network(peer), now) {
            return Verdict::Accept;
        }
        // A forged address must not lock out its owner: only a proven one is refused.
        if unproven { Verdict::Retry } else { Verdict::Refuse }
    }

    fn take(&mut self, network: IpAddr, now: Instant) -> bool {
        if self.buckets.len() >= MAX_ADDRESSES && !self.buckets.contains_key(&network) {
            self.forget(now);
        }
        let bucket = self.buckets.entry(network).or_insert(Bucket { tokens: BURST, filled_at: now });
        bucket.refill(now);
        match bucket.tokens.checked_sub(1) {
            Some(left) => {
                bucket.tokens = left;
                true
            }
            None => false,
        }
    }

    fn forget(&mut self, now: Instant) {
        self.buckets.retain(|_, bucket| {
            bucket.refill(now);
            bucket.tokens < BURST
        });
        if self.buckets.len() >= MAX_ADDRESSES {
            self.buckets.clear();
        }
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let gained = now.saturating_duration_since(self.filled_at).as_millis() / REFILL.as_millis();
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        if gained > 0 {
            self.tokens = self.tokens.saturating_add(gained).min(BURST);
            self.filled_at = if self.tokens == BURST { now } else { self.filled_at + REFILL * gained };
        }
    }
}

/// One subscriber's addresses: a whole IPv6 /64, or one IPv4 address, however it is written.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("is an address")
    }

    #[test]
    fn a_quiet_relay_accepts_at_once() {
        let mut admission = Admission::default();
        assert_eq!(admission.decide(ip("192.0.2.1"), Address::Unproven, 0, Instant::now()), Verdict::Accept);
    }

    #[test]
    fn under_load_an_address_must_be_proven_and_above_the_limit_nobody_gets_in() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let peer = ip("192.0.2.1");
        assert_eq!(admission.decide(peer, Address::Unproven, UNPROVEN_HANDSHAKES, now), Verdict::Retry);
        assert_eq!(admission.decide(peer, Address::Proven, UNPROVEN_HANDSHAKES, now), Verdict::Accept);
        assert_eq!(admission.decide(peer, Address::Proven, MAX_HANDSHAKES, now), Verdict::Refuse);
    }

    #[test]
    fn one_address_has_a_burst_and_regains_it_slowly() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        let peer = ip("192.0.2.1");
        for _ in 0..BURST {
            assert_eq!(admission.decide(peer, Address::Proven, 0, now), Verdict::Accept);
        }
        assert_eq!(admission.decide(peer, Address::Proven, 0, now), Verdict::Refuse);
        assert_eq!(admission.decide(peer, Address::Unproven, 0, now), Verdict::Retry);
        assert_eq!(admission.decide(ip("192.0.2.2"), Address::Proven, 0, now), Verdict::Accept);
        assert_eq!(admission.decide(peer, Address::Proven, 0, now + REFILL), Verdict::Accept);
        assert_eq!(admission.decide(peer, Address::Proven, 0, now + REFILL), Verdict::Refuse);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_itself() {
        assert_eq!(network(ip("2001:db8:1:2:3:4:5:6")), network(ip("2001:db8:1:2:9::1")));
        assert_ne!(network(ip("2001:db8:1:2::1")), network(ip("2001:db8:1:3::1")));
        assert_eq!(network(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let (mut admission, now) = (Admission::default(), Instant::now());
        for number in 0..3 * u32::try_from(MAX_ADDRESSES).expect("fits") {
            admission.decide(std::net::Ipv4Addr::from_bits(number).into(), Address::Unproven, 0, now);
        }
        assert!(admission.buckets.len() <= MAX_ADDRESSES);
    }
}
