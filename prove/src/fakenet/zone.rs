//! Which name has which addresses. Every name has one, unless the zone file says otherwise: what leaves must
//! always find somebody to arrive at.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::address;

/// The Messages API.
pub const MESSAGES_API: &str = "api.anthropic.com";

/// Names that have an address of their own, by their last byte in [`address::HOSTS`].
const KNOWN: [(&str, u8); 5] = [
    (MESSAGES_API, 130),
    ("allowed.example", 131),
    ("good.example", 132),
    ("evil.example", 133),
    ("other.example", 134),
];

/// The bytes that all other names share out among themselves.
const OTHERS: std::ops::Range<u8> = 160..250;

/// What a name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// These addresses, of both families; a type that has none is an empty answer.
    Addresses(Vec<IpAddr>),
    /// It is another name of this one, which has these.
    Alias(String, Vec<IpAddr>),
    /// There is no such name.
    Missing,
}

/// What a zone file says of a name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// Its addresses; none takes the name away.
    Addresses(Vec<IpAddr>),
    /// The name that it is an alias of.
    Alias(String),
}

/// Names that were set on top of the known ones. `*.name` is every name below `name`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Zone {
    /// What they have, by lower-case name without a final dot.
    pub names: BTreeMap<String, Entry>,
}

impl Zone {
    /// Reads a zone file; an unreadable one is an empty zone.
    pub fn read(path: &Path) -> Self {
        std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// What `name` has. Any letter case, with or without a final dot.
    pub fn lookup(&self, name: &str) -> Lookup {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let above = name.match_indices('.').map(|(dot, _)| format!("*{}", &name[dot..]));
        let set = std::iter::once(name.clone()).chain(above).find_map(|key| self.names.get(&key));
        match set {
            Some(Entry::Addresses(addresses)) if addresses.is_empty() => Lookup::Missing,
            Some(Entry::Addresses(addresses)) => Lookup::Addresses(addresses.clone()),
            Some(Entry::Alias(target)) => match self.lookup(target) {
                Lookup::Addresses(addresses) => Lookup::Alias(target.clone(), addresses),
                // A chain of them, which no test needs.
                Lookup::Alias(..) | Lookup::Missing => Lookup::Missing,
            },
            None => Lookup::Addresses(vec![IpAddr::V4(address_of(&name))]),
        }
    }
}

/// The address that a name has when no zone file names it: the same in every run.
pub fn address_of(name: &str) -> Ipv4Addr {
    let known = KNOWN.iter().find(|(known, _)| *known == name).map(|(_, last)| *last);
    let last = known.unwrap_or_else(|| {
        let sum = name.bytes().fold(5381u32, |sum, byte| sum.wrapping_mul(33) ^ u32::from(byte));
        let span = u32::from(OTHERS.end - OTHERS.start);
        OTHERS.start + u8::try_from(sum % span).unwrap_or_default()
    });
    address::host(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(entries: &[(&str, &[&str])]) -> Zone {
        let parse =
            |list: &&[&str]| Entry::Addresses(list.iter().map(|text| text.parse().unwrap()).collect());
        Zone { names: entries.iter().map(|(name, list)| ((*name).to_owned(), parse(list))).collect() }
    }

    fn one(text: &str) -> Lookup {
        Lookup::Addresses(vec![text.parse().unwrap()])
    }

    #[test]
    fn a_name_that_nobody_set_still_leads_to_a_sink() {
        let Lookup::Addresses(addresses) = Zone::default().lookup("x.tunnel.test") else {
            panic!("a name is missing");
        };
        assert!(
            addresses.iter().all(|a| matches!(a, IpAddr::V4(a) if address::is_host(*a))),
            "{addresses:?}"
        );
    }

    #[test]
    fn known_names_have_addresses_of_their_own() {
        let mut seen: Vec<_> = KNOWN.iter().map(|(name, _)| address_of(name)).collect();
        seen.dedup();
        assert_eq!(seen.len(), KNOWN.len());
        assert_eq!(Zone::default().lookup("API.Anthropic.COM."), one("198.51.100.130"));
    }

    #[test]
    fn the_nearest_entry_wins_and_an_empty_one_takes_the_name_away() {
        let zone = zone(&[
            ("*.example", &["198.51.100.200"]),
            ("*.deep.example", &["169.254.169.254"]),
            ("deep.example", &["10.0.0.1"]),
            ("gone.example", &[]),
        ]);
        assert_eq!(zone.lookup("a.example"), one("198.51.100.200"));
        assert_eq!(zone.lookup("a.b.deep.example"), one("169.254.169.254"));
        assert_eq!(zone.lookup("deep.example"), one("10.0.0.1"));
        assert_eq!(zone.lookup("gone.example"), Lookup::Missing);
    }

    #[test]
    fn an_alias_has_what_its_target_has() {
        let mut zone = zone(&[("inner.example", &["10.0.0.1"]), ("gone.example", &[])]);
        for (name, target) in [("a.example", "Inner.example"), ("b.example", "gone.example")] {
            zone.names.insert(name.to_owned(), Entry::Alias(target.to_owned()));
        }
        let addresses = vec!["10.0.0.1".parse().unwrap()];
        assert_eq!(zone.lookup("a.example"), Lookup::Alias("Inner.example".to_owned(), addresses));
        assert_eq!(zone.lookup("b.example"), Lookup::Missing);
        let text = serde_json::to_string(&zone).unwrap();
        assert_eq!(serde_json::from_str::<Zone>(&text).unwrap(), zone);
    }
}
