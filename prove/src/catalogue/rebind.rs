//! Listed names that answer with addresses which no name on the internet has a reason to answer with. The agent does all
//! right, and the gateway must still not dial them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

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
];

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
pub fn zone(sink: Ipv4Addr) -> BTreeMap<String, Vec<Ipv4Addr>> {
    let fixed = ADDRESSES.iter().map(|(id, address)| (name(id), vec![*address]));
    let others = [
        (name(NETWORK), sink),
        (names::PRIVATE.to_owned(), names::PRIVATE_TO),
        (names::SSH.to_owned(), names::SSH_AT),
    ];
    fixed.chain(others.map(|(name, address)| (name, vec![address]))).collect()
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
        assert!(ALL.iter().all(|attack| zone.contains_key(&name(attack.id))));
        assert_eq!(zone.len(), ALL.len() + 2);
    }
}
