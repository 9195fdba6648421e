//! What kind of address an address is. Pure.
//!
//! After the IANA special-purpose registries (RFC 6890 and what came later), IPv6 forms that carry an IPv4 address included:
//! those are judged by the address inside, and refused even where that one is public, because a name that is meant for the
//! internet has no need of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// An address of the internet.
    Public,
    /// This machine.
    Loopback,
    /// Somebody's own network (RFC 1918, RFC 4193).
    Private,
    /// The addresses where cloud machines find their credentials.
    Metadata,
    /// The neighbours on one cable (RFC 3927, RFC 4291).
    LinkLocal,
    /// Carrier-grade NAT (RFC 6598).
    SharedSpace,
    /// No address in particular.
    Unspecified,
    /// Everybody near.
    Broadcast,
    /// A group.
    Multicast,
    /// For benchmarks (RFC 2544, RFC 5180).
    Benchmarking,
    /// For documentation (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// Of no known use, or for protocols among themselves.
    Reserved,
    /// An IPv4 address in IPv6 clothes: mapped, compatible or translated.
    EmbeddedV4,
    /// NAT64 (RFC 6052, RFC 8215).
    Nat64,
    /// 6to4 (RFC 3056).
    SixToFour,
    /// Teredo (RFC 4380).
    Teredo,
}

impl AddressClass {
    /// The stable name.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Metadata => "metadata",
            Self::LinkLocal => "link_local",
            Self::SharedSpace => "shared_address_space",
            Self::Unspecified => "unspecified",
            Self::Broadcast => "broadcast",
            Self::Multicast => "multicast",
            Self::Benchmarking => "benchmarking",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::EmbeddedV4 => "embedded_ipv4",
            Self::Nat64 => "nat64",
            Self::SixToFour => "6to4",
            Self::Teredo => "teredo",
        }
    }
}

impl fmt::Display for AddressClass {
    /// As it stands in a sentence: "10.0.0.1 is …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Loopback => "an address of the relay's own machine",
            Self::Private => "an address of a private network",
            Self::Metadata => "the address where cloud machines find their credentials",
            Self::LinkLocal => "a link-local address",
            Self::SharedSpace => "an address behind a carrier's NAT",
            Self::Unspecified => "no address in particular",
            Self::Broadcast => "a broadcast address",
            Self::Multicast => "a multicast address",
            Self::Benchmarking => "an address for benchmarks",
            Self::Documentation => "an address for documentation",
            Self::Reserved => "a reserved address",
            Self::EmbeddedV4 => "an IPv4 address inside an IPv6 one",
            Self::Nat64 => "a NAT64 address",
            Self::SixToFour => "a 6to4 address",
            Self::Teredo => "a Teredo address",
        })
    }
}

/// What kind of address this is.
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

/// Cloud providers' addresses for metadata and internal services that lie in no range of their own.
const METADATA_V4: [Ipv4Addr; 4] = [
    // AWS, Azure, Google, and most others.
    Ipv4Addr::new(169, 254, 169, 254),
    // AWS: credentials of ECS tasks and of EKS pods.
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    // Alibaba.
    Ipv4Addr::new(100, 100, 100, 200),
];

/// Azure's internal services, at an address that looks public.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) || address == AZURE_WIRE_SERVER {
        return AddressClass::Metadata;
    }
    match address.octets() {
        [0, 0, 0, 0] => AddressClass::Unspecified,
        [255, 255, 255, 255] => AddressClass::Broadcast,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [169, 254, ..] => AddressClass::LinkLocal,
        [100, 64..=127, ..] => AddressClass::SharedSpace,
        [224..=239, ..] => AddressClass::Multicast,
        [198, 18..=19, ..] => AddressClass::Benchmarking,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressClass::Documentation,
        // "This network"; protocol assignments; the old 6to4 relays, AS112 and AMT; the future.
        [0 | 240..=255, ..]
        | [192, 0, 0, _]
        | [192, 88, 99, _]
        | [192, 31, 196, _]
        | [192, 52, 193, _]
        | [192, 175, 48, _] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if address.is_unspecified() {
        return AddressClass::Unspecified;
    }
    if address.is_loopback() {
        return AddressClass::Loopback;
    }
    match address.segments() {
        // Amazon's metadata and time services.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254 | 0x123 | 0x23] => AddressClass::Metadata,
        // Mapped (::ffff:0:0/96), compatible (::/96) and translated (::ffff:0:0:0/96).
        [0, 0, 0, 0, 0, 0xffff | 0, _, _] | [0, 0, 0, 0, 0xffff, 0, _, _] => AddressClass::EmbeddedV4,
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] | [0x64, 0xff9b, 1, ..] => AddressClass::Nat64,
        [0x2002, ..] => AddressClass::SixToFour,
        [0x2001, 0, ..] => AddressClass::Teredo,
        [0x2001, 2, 0, ..] => AddressClass::Benchmarking,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => AddressClass::Documentation,
        // Site-local addresses (fec0::/10) are long deprecated, and still private where they are used.
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        // Protocol assignments (2001::/23).
        [0x2001, 0..=0x1ff, ..] => AddressClass::Reserved,
        // Only 2000::/3 is given out.
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    }
}

#[cfg(test)]
mod tests {
    use AddressClass::{
        Benchmarking, Broadcast, Documentation, EmbeddedV4, LinkLocal, Loopback, Metadata, Multicast, Nat64, Private,
        Public, Reserved, SharedSpace, SixToFour, Teredo, Unspecified,
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_range_is_known_by_its_first_and_last_address() {
        for (class, addresses) in [
            (
                Public,
                "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255",
            ),
            (Public, "172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 198.17.255.255 198.20.0.0 223.255.255.255"),
            (Public, "2606:4700::1111 2a00::1 2001:200::1 2003::1 3fff:1000::1"),
            (Loopback, "127.0.0.0 127.0.0.1 127.255.255.255 ::1"),
            (Private, "10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255"),
            (Private, "fc00:: fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fec0:: feff::1"),
            (
                Metadata,
                "169.254.169.254 169.254.170.2 169.254.170.23 100.100.100.200 168.63.129.16 fd00:ec2::254 fd00:ec2::23",
            ),
            (LinkLocal, "169.254.0.0 169.254.255.255 fe80:: febf:ffff::1"),
            (SharedSpace, "100.64.0.0 100.127.255.255"),
            (Unspecified, "0.0.0.0 ::"),
            (Broadcast, "255.255.255.255"),
            (Multicast, "224.0.0.0 239.255.255.255 ff00:: ff02::1 ffff::1"),
            (Benchmarking, "198.18.0.0 198.19.255.255 2001:2::1"),
            (Documentation, "192.0.2.0 198.51.100.255 203.0.113.7 2001:db8:: 2001:db8:ffff::1 3fff:fff::1"),
            (
                Reserved,
                "0.0.0.1 0.255.255.255 192.0.0.1 192.88.99.1 240.0.0.0 255.255.255.254 100:: 4000::1 2001:10::1 8000::1",
            ),
            (EmbeddedV4, "::ffff:127.0.0.1 ::ffff:8.8.8.8 ::127.0.0.1 ::8.8.8.8 ::ffff:0:10.0.0.1"),
            (Nat64, "64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 64:ff9b:1:ffff::1"),
            (SixToFour, "2002:: 2002:7f00:1:: 2002:a00:1::1"),
            (Teredo, "2001:: 2001:0:7f00:1::1"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(classify(address.parse().expect("an address")), class, "{address}");
            }
        }
    }

    proptest! {
        /// What the standard library knows to be special is never taken for public.
        #[test]
        fn nothing_special_is_public(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast()
                || address.is_broadcast() || address.is_documentation() || address.is_unspecified();
            prop_assert!(!special || classify(address.into()) != Public);
        }

        /// However an IPv4 address is dressed, it is not public.
        #[test]
        fn no_dressed_address_is_public(bits: u32) {
            let [first, second, third, fourth] = bits.to_be_bytes();
            let (a, b) = (u16::from_be_bytes([first, second]), u16::from_be_bytes([third, fourth]));
            for segments in [
                [0, 0, 0, 0, 0, 0xffff, a, b],
                [0, 0, 0, 0, 0, 0, a, b],
                [0, 0, 0, 0, 0xffff, 0, a, b],
                [0x64, 0xff9b, 0, 0, 0, 0, a, b],
                [0x64, 0xff9b, 1, 0, 0, 0, a, b],
                [0x2002, a, b, 0, 0, 0, 0, 1],
                [0x2001, 0, a, b, 0, 0, !a, !b],
            ] {
                prop_assert_ne!(classify(Ipv6Addr::from(segments).into()), Public);
            }
        }
    }
}
