//! Listed names that answer with addresses which no name on the internet has a reason to answer with. The agent does all
//! right, and the gateway must still not dial them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use super::{Arrival, Attack, Control, Family, Who, attack, names};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Rebinding, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("rebind-this-network", "A listed name that answers with 0.254.254.1", "RFC 1122; 0.0.0.0 day, 2024"),
    a(
        "rebind-private-10",
        "A listed name that answers with an address of 10/8",
        "RFC 1918; Jackson 2007, DNS rebinding",
    ),
    a("rebind-carrier", "A listed name that answers with an address of 100.64/10", "RFC 6598"),
    a(
        "rebind-metadata",
        "A listed name that answers with the cloud's metadata address",
        "RFC 3927; Capital One 2019",
    ),
    a("rebind-private-172", "A listed name that answers with an address of 172.16/12", "RFC 1918"),
    a("rebind-assignments", "A listed name that answers with an address of 192.0.0/24", "RFC 6890"),
    a("rebind-documentation-1", "A listed name that answers with an address of 192.0.2/24", "RFC 5737"),
    a("rebind-relays", "A listed name that answers with an address of 192.88.99/24", "RFC 7526"),
    a("rebind-private-192", "A listed name that answers with an address of 192.168/16", "RFC 1918"),
    a("rebind-virtual", "A listed name that answers with an address of 198.18/15", "RFC 2544"),
    a("rebind-documentation-3", "A listed name that answers with an address of 203.0.113/24", "RFC 5737"),
    a("rebind-reserved", "A listed name that answers with an address of 240/4", "RFC 1112"),
    a(
        "rebind-of-another",
        "A listed name that answers with the private address that another rule opens",
        "RFC 1918",
    ),
    a(
        "rebind-network",
        "A listed name that answers with a neighbour's address on the container's network",
        "singularity of origin",
    ),
    a(
        "rebind-alias",
        "A listed name that is an alias of one in private space",
        "RFC 1034, section 3.6.2; Jackson 2007",
    ),
    a(
        "rebind-both",
        "A listed name that answers with private addresses of two ranges",
        "singularity of origin, multiple answers",
    ),
    a(
        "rebind-mapped",
        "A listed name that answers with a private address, mapped",
        "RFC 4291, section 2.5.5.2",
    ),
    a("rebind-nat64", "A listed name that answers with a private address as NAT64 writes it", "RFC 6052"),
    a("rebind-6to4", "A listed name that answers with a private address as 6to4 writes it", "RFC 3056"),
    a("rebind-unique-local", "A listed name that answers with a unique local address", "RFC 4193"),
    a("rebind-documentation-6", "A listed name that answers with an address of 2001:db8::/32", "RFC 3849"),
    a(
        "rebind-network-6",
        "A listed name that answers with a neighbour's IPv6 address",
        "singularity of origin",
    ),
];

/// What each answers with that has IPv6 alone.
const SIX: &[(&str, Ipv6Addr)] = &[
    ("rebind-mapped", Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0afe, 0xfe03)),
    ("rebind-nat64", Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0x0afe, 0xfe03)),
    ("rebind-6to4", Ipv6Addr::new(0x2002, 0x0afe, 0xfe03, 0, 0, 0, 0, 1)),
    ("rebind-unique-local", Ipv6Addr::new(0xfd12, 0x3456, 0x789a, 0, 0, 0, 0, 2)),
    ("rebind-documentation-6", Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 2)),
];
/// The attack whose name answers with the sink's IPv6 address on the container's network.
const NETWORK_SIX: &str = "rebind-network-6";
/// The attack whose name is an alias, and of what.
const ALIAS: (&str, &str) = ("rebind-alias", "inside.rebind-alias.example");
/// The attack whose name has two addresses.
const BOTH: (&str, [Ipv4Addr; 2]) =
    ("rebind-both", [Ipv4Addr::new(10, 254, 254, 3), Ipv4Addr::new(192, 168, 254, 254)]);

/// What a resolver is to answer for a name: as the sink's zone file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// It is an alias of that name.
    Alias(String),
}

/// What each answers with; [`NETWORK`] answers with the sink's address on the container's network.
const ADDRESSES: &[(&str, Ipv4Addr)] = &[
    ("rebind-this-network", Ipv4Addr::new(0, 254, 254, 1)),
    ("rebind-private-10", Ipv4Addr::new(10, 254, 254, 3)),
    ("rebind-carrier", Ipv4Addr::new(100, 127, 254, 1)),
    ("rebind-metadata", Ipv4Addr::new(169, 254, 169, 254)),
    ("rebind-private-172", Ipv4Addr::new(172, 16, 254, 254)),
    ("rebind-assignments", Ipv4Addr::new(192, 0, 0, 200)),
    ("rebind-documentation-1", Ipv4Addr::new(192, 0, 2, 200)),
    ("rebind-relays", Ipv4Addr::new(192, 88, 99, 1)),
    ("rebind-private-192", Ipv4Addr::new(192, 168, 254, 254)),
    ("rebind-virtual", Ipv4Addr::new(198, 19, 254, 254)),
    ("rebind-documentation-3", Ipv4Addr::new(203, 0, 113, 200)),
    ("rebind-reserved", Ipv4Addr::new(240, 254, 254, 1)),
    ("rebind-of-another", names::PRIVATE_TO),
];
/// The attack whose name answers with the sink's address on the container's network.
pub const NETWORK: &str = "rebind-network";

/// The listed name of an attack.
pub fn name(id: &str) -> String {
    format!("{id}.example")
}

/// All names that have an address of their own choosing, with what a resolver is to answer.
pub fn zone(sink: Ipv4Addr) -> BTreeMap<String, Answer> {
    let four = ADDRESSES.iter().map(|(id, address)| (name(id), vec![IpAddr::V4(*address)]));
    let six = SIX.iter().map(|(id, address)| (name(id), vec![IpAddr::V6(*address)]));
    let private = |address| vec![IpAddr::V4(address)];
    let others = [
        (name(NETWORK), private(sink)),
        (name(NETWORK_SIX), vec![IpAddr::V6(names::on_link(sink))]),
        (names::PRIVATE.to_owned(), private(names::PRIVATE_TO)),
        (names::SSH.to_owned(), private(names::SSH_AT)),
        (name("rebind-loopback"), private(Ipv4Addr::LOCALHOST)),
        (name("rebind-loopback-6"), vec![IpAddr::V6(Ipv6Addr::LOCALHOST)]),
        (name("rebind-loopback-mapped"), vec![IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped())]),
        (name(BOTH.0), BOTH.1.map(IpAddr::V4).to_vec()),
        (ALIAS.1.to_owned(), private(BOTH.1[0])),
    ];
    let mut zone: BTreeMap<String, Answer> =
        four.chain(six).chain(others).map(|(name, all)| (name, Answer::Addresses(all))).collect();
    zone.insert(name(ALIAS.0), Answer::Alias(ALIAS.1.to_owned()));
    zone
}

/// What the sink answers for besides its own hosts.
pub fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    ADDRESSES.iter().map(|(_, address)| *address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_an_answer() {
        let zone = zone(Ipv4Addr::LOCALHOST);
        let all: Vec<_> = super::super::all().filter(|attack| attack.family == Family::Rebinding).collect();
        assert!(all.iter().all(|attack| zone.contains_key(&name(attack.id))));
        // Two names of other families, and what an alias leads to.
        assert_eq!(zone.len(), all.len() + 3);
    }
}
