//! Which addresses may be dialled. Pure.

use std::net::IpAddr;

use super::class::{AddressClass, classify};
use crate::config::AddressBlock;

/// The internet, and what the operator allows besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allowed: Vec<AddressBlock>,
}

impl AddressPolicy {
    /// The internet, and these blocks.
    pub const fn allowing(allowed: Vec<AddressBlock>) -> Self {
        Self { allowed }
    }

    /// Whether an address may be dialled; the error is what it is instead. What belongs to nobody's cluster (metadata, groups,
    /// IPv4 addresses in IPv6 clothes) is refused whatever is allowed.
    pub fn permit(&self, address: IpAddr) -> Result<(), AddressClass> {
        let class = classify(address);
        let allowed = || self.allowed.iter().any(|block| block.contains(address));
        match class {
            AddressClass::Public => Ok(()),
            AddressClass::Loopback
            | AddressClass::Private
            | AddressClass::LinkLocal
            | AddressClass::SharedSpace
            | AddressClass::Benchmarking
            | AddressClass::Documentation
            | AddressClass::Reserved
                if allowed() =>
            {
                Ok(())
            }
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(blocks: &[&str]) -> AddressPolicy {
        AddressPolicy::allowing(blocks.iter().map(|block| block.parse().expect("a block")).collect())
    }

    fn permit(policy: &AddressPolicy, address: &str) -> Result<(), AddressClass> {
        policy.permit(address.parse().expect("an address"))
    }

    #[test]
    fn only_the_internet_is_dialled_unless_the_operator_allows_more() {
        let strict = AddressPolicy::default();
        assert_eq!(permit(&strict, "1.1.1.1"), Ok(()));
        assert_eq!(permit(&strict, "10.1.2.3"), Err(AddressClass::Private));
        assert_eq!(permit(&strict, "127.0.0.1"), Err(AddressClass::Loopback));
        let wider = policy(&["10.1.0.0/16", "fd12::/16"]);
        assert_eq!(permit(&wider, "10.1.2.3"), Ok(()));
        assert_eq!(permit(&wider, "fd12::1"), Ok(()));
        assert_eq!(permit(&wider, "10.2.0.1"), Err(AddressClass::Private));
    }

    #[test]
    fn some_addresses_are_never_dialled() {
        let all = policy(&["0.0.0.0/0", "::/0"]);
        for address in [
            "169.254.169.254",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(permit(&all, address).is_err(), "{address}");
        }
        for address in ["64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::1"] {
            assert!(permit(&all, address).is_err(), "{address}");
        }
    }
}
