//! Which proxies in front of the relay are believed when they say whom they speak for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses, as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressBlock {
    first: IpAddr,
    prefix_bits: u8,
}

/// A text that is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a block of addresses: write it as 10.0.0.0/8, 2001:db8::/32 or a single address, with no bits behind the prefix"
)]
pub struct InvalidAddressBlock;

impl AddressBlock {
    /// Whether an address, however it is written, is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(address)) => mask_v4(address, self.prefix_bits) == first,
            (IpAddr::V6(first), IpAddr::V6(address)) => mask_v6(address, self.prefix_bits) == first,
            _ => false,
        }
    }
}

impl FromStr for AddressBlock {
    type Err = InvalidAddressBlock;

    fn from_str(text: &str) -> Result<Self, InvalidAddressBlock> {
        let (address, prefix) = match text.trim().split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| InvalidAddressBlock)?)),
            None => (text.trim(), None),
        };
        let first: IpAddr = address.parse().map_err(|_| InvalidAddressBlock)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.unwrap_or(most);
        // Bits behind the prefix mean that somebody has mistyped one of the two.
        if prefix_bits > most || mask(first, prefix_bits) != first {
            return Err(InvalidAddressBlock);
        }
        Ok(Self { first, prefix_bits })
    }
}

impl fmt::Display for AddressBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix_bits)
    }
}

fn mask(address: IpAddr, prefix_bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => mask_v4(address, prefix_bits).into(),
        IpAddr::V6(address) => mask_v6(address, prefix_bits).into(),
    }
}

fn mask_v4(address: Ipv4Addr, prefix_bits: u8) -> Ipv4Addr {
    let kept = u32::MAX.checked_shl(32 - u32::from(prefix_bits)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & kept)
}

fn mask_v6(address: Ipv6Addr, prefix_bits: u8) -> Ipv6Addr {
    let kept = u128::MAX.checked_shl(128 - u32::from(prefix_bits)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        block.parse::<AddressBlock>().expect("a block").contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_block_contains_its_addresses_and_no_others() {
        for (block, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            assert!(contains(block, inside), "{block} contains {inside}");
            assert!(!contains(block, outside), "{block} does not contain {outside}");
        }
    }

    #[test]
    fn what_is_mistyped_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.0.0.1/8", "2001:db8::/129", "localhost", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8"]
        {
            assert_eq!(text.parse::<AddressBlock>(), Err(InvalidAddressBlock), "{text:?}");
        }
    }
}
