//! The one table of ranges that are not public: what no name on the internet has a reason to resolve to. Pure; what
//! is done with an address that lies in one of them is decided elsewhere.
//!
//! Sources: the IANA special-purpose registries for IPv4 and IPv6 (RFC 6890, as kept up to date by RFC 8190) and the
//! IPv6 address space (RFC 4291, RFC 3587). Two rows are ours: 198.18.0.0/15 holds the virtual addresses, and
//! 198.51.100.0/24 (TEST-NET-2) is left out on purpose, so that an internet can be played on one machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Whether a rule that lists addresses may open a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    /// It is somebody's private network: a rule may list it.
    Listed,
    /// It is this host, the link, a group, ours, or another address in disguise: nothing opens it.
    Never,
}

/// Every range that is not public. What lies in none of them is.
pub const NOT_PUBLIC: [(IpNet, Opens); 22] = [
    // "This network", RFC 791; 0.0.0.0 is this host.
    v4([0, 0, 0, 0], 8, Opens::Never),
    // Private use, RFC 1918.
    v4([10, 0, 0, 0], 8, Opens::Listed),
    // Shared by carriers, RFC 6598.
    v4([100, 64, 0, 0], 10, Opens::Listed),
    // Loopback, RFC 1122.
    v4([127, 0, 0, 0], 8, Opens::Never),
    // Link-local, RFC 3927; clouds answer with credentials here.
    v4([169, 254, 0, 0], 16, Opens::Never),
    // Private use, RFC 1918.
    v4([172, 16, 0, 0], 12, Opens::Listed),
    // IETF protocol assignments, RFC 6890.
    v4([192, 0, 0, 0], 24, Opens::Listed),
    // TEST-NET-1, RFC 5737.
    v4([192, 0, 2, 0], 24, Opens::Listed),
    // Relays of 6to4, RFC 7526: taken out of use.
    v4([192, 88, 99, 0], 24, Opens::Listed),
    // Private use, RFC 1918.
    v4([192, 168, 0, 0], 16, Opens::Listed),
    // Benchmarking, RFC 2544; here the virtual addresses.
    v4([198, 18, 0, 0], 15, Opens::Never),
    // TEST-NET-3, RFC 5737.
    v4([203, 0, 113, 0], 24, Opens::Listed),
    // Multicast, RFC 5771, and reserved up to the broadcast address, RFC 1112 and RFC 919.
    v4([224, 0, 0, 0], 3, Opens::Never),
    // Below 2000::: unspecified and loopback (RFC 4291), v4-mapped (::ffff:0:0/96), NAT64 (64:ff9b::/96, RFC 6052,
    // and 64:ff9b:1::/48, RFC 8215), discard (100::/64, RFC 6666). Nothing else is handed out.
    v6([0, 0, 0], 3, Opens::Never),
    // Teredo, ORCHID, benchmarking and other IETF protocol assignments, RFC 2928.
    v6([0x2001, 0, 0], 23, Opens::Never),
    // Documentation, RFC 3849.
    v6([0x2001, 0xdb8, 0], 32, Opens::Listed),
    // 6to4, RFC 3056: an IPv4 address in disguise.
    v6([0x2002, 0, 0], 16, Opens::Never),
    // Documentation, RFC 9637.
    v6([0x3fff, 0, 0], 20, Opens::Listed),
    // Not handed out; 5f00::/16 names segments, RFC 9602.
    v6([0x4000, 0, 0], 2, Opens::Never),
    // Link-local, RFC 4291, and site-local, RFC 3879.
    v6([0xfe80, 0, 0], 9, Opens::Never),
    // Multicast, RFC 4291.
    v6([0xff00, 0, 0], 8, Opens::Never),
    // The rest above: unique local addresses (fc00::/7, RFC 4193), and what is not handed out.
    v6([0x8000, 0, 0], 1, Opens::Listed),
];

const fn v4([a, b, c, d]: [u8; 4], length: u8, opens: Opens) -> (IpNet, Opens) {
    (IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)), opens)
}

const fn v6([a, b, c]: [u16; 3], length: u8, opens: Opens) -> (IpNet, Opens) {
    (IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)), opens)
}

/// Whether an address is one that a public name may resolve to. A v4-mapped, NAT64 or 6to4 one never is, whatever
/// IPv4 address it holds.
pub fn is_public(address: IpAddr) -> bool {
    !NOT_PUBLIC.iter().any(|(net, _)| net.contains(&address))
}

/// Whether no rule may open an address, however it lists it.
pub fn is_never_open(address: IpAddr) -> bool {
    NOT_PUBLIC.iter().any(|(net, opens)| *opens == Opens::Never && net.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_name_may_not_resolve_to_is_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.0.0.11",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(of(text)), "{text}");
        }
    }

    #[test]
    fn the_internet_and_the_one_that_is_played_are_public() {
        for text in [
            "1.1.1.2",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.100.1",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "3ffe::1",
        ] {
            assert!(is_public(of(text)), "{text}");
        }
    }

    #[test]
    fn nobody_lists_this_host_the_link_a_group_or_a_disguise() {
        for text in [
            "0.0.0.0",
            "127.0.0.1",
            "169.254.169.254",
            "198.18.0.5",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(is_never_open(of(text)), "{text}");
        }
        for text in ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "8.8.8.8"] {
            assert!(!is_never_open(of(text)), "{text}");
        }
    }

    #[test]
    fn every_row_names_a_whole_range() {
        for (net, _) in NOT_PUBLIC {
            assert_eq!(net, net.trunc());
        }
    }
}
