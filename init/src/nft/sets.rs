//! Sets and maps: what stands in them as people think of it, and the keys that the kernel compares.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use clawker_protocol::enforcement::{Direct, PortRange, PortRoute};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::uapi::*;
use crate::grants::Running;

/// nft's own numbers for types: the kernel keeps them so that listings can name the type.
const TYPE_NFPROTO: u32 = 2;
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_INET_PROTOCOL: u32 = 12;
/// nft's number for the type of a port; also of a map's value.
pub const TYPE_INET_SERVICE: u32 = 13;
/// How nft joins two types in one number.
const TYPE_BITS: u32 = 6;
/// What the fence opens for.
const FAMILIES: [u8; 2] = [NFPROTO_IPV4, NFPROTO_IPV6];
/// The kernel counts in ticks, which may be this long.
const KERNEL_TICK: Duration = Duration::from_millis(20);
/// The longest key: an IPv6 address and a port, each padded to four bytes.
const KEY_MAX: usize = 20;

/// A key as the kernel compares it: each field padded to four bytes where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    bytes: [u8; KEY_MAX],
    length: u8,
}

impl Key {
    /// A key; `None` when it is longer than any that we use.
    pub fn new(parts: &[&[u8]]) -> Option<Self> {
        let mut key = Self { bytes: [0; KEY_MAX], length: 0 };
        for part in parts {
            let at = usize::from(key.length);
            key.bytes.get_mut(at..at + part.len())?.copy_from_slice(part);
            key.length += u8::try_from(part.len()).ok()?;
        }
        Some(key)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// An element as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawElement {
    /// The key, or the first one of a range.
    pub key: Key,
    /// Marks where an interval has ended.
    pub interval_end: bool,
    /// The last key of a range of pairs.
    pub key_end: Option<Key>,
    /// A map's value.
    pub value: Option<u16>,
    /// It goes by itself.
    pub timed: bool,
}

/// What stands in a set, and by that its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Elements {
    /// Network families, for so long or for ever.
    Families(Option<Opened>),
    /// Address and port to listener.
    Services(BTreeMap<(Ipv4Addr, u16), u16>),
    /// Address and port to listener, each for as long as it has left.
    Grants(Running),
    /// Envoy's address and the listeners of what has time left.
    GrantListeners(Ipv4Addr, Running),
    /// Port ranges to listener; none touches another.
    PortRoutes(Vec<(PortRange, u16)>),
    /// Address and port. Two bytes of port alone would make the kernel choose a bitmap, which takes time by the
    /// square to fill.
    Listeners(BTreeSet<(Ipv4Addr, u16)>),
    /// IPv4 ranges with port ranges; none overlaps another.
    Direct4(Vec<(Ipv4Net, PortRange)>),
    /// IPv6 ranges with port ranges; none overlaps another.
    Direct6(Vec<(Ipv6Net, PortRange)>),
    /// Transport protocol and port.
    L4Ports(BTreeSet<(u8, u16)>),
}

/// For how long the fence is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The kernel takes the element out by itself.
    For(Duration),
    /// Until told otherwise.
    Indefinitely,
}

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// What stands in it.
    pub elements: Elements,
}

fn port(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

impl Set {
    /// `NFTA_SET_FLAGS`.
    pub fn flags(&self) -> u32 {
        match self.elements {
            Elements::Families(_) => NFT_SET_TIMEOUT,
            Elements::GrantListeners(..) => NFT_SET_TIMEOUT,
            Elements::Services(_) => NFT_SET_MAP,
            Elements::Grants(_) => NFT_SET_MAP | NFT_SET_TIMEOUT,
            Elements::PortRoutes(_) => NFT_SET_MAP | NFT_SET_INTERVAL,
            Elements::Listeners(_) | Elements::L4Ports(_) => 0,
            Elements::Direct4(_) | Elements::Direct6(_) => NFT_SET_INTERVAL | NFT_SET_CONCAT,
        }
    }

    /// nft's number for the key's type.
    pub fn key_type(&self) -> u32 {
        let pair = |first: u32| first << TYPE_BITS | TYPE_INET_SERVICE;
        match self.elements {
            Elements::Families(_) => TYPE_NFPROTO,
            Elements::Services(_)
            | Elements::Grants(_)
            | Elements::GrantListeners(..)
            | Elements::Listeners(_)
            | Elements::Direct4(_) => pair(TYPE_IPADDR),
            Elements::Direct6(_) => pair(TYPE_IP6ADDR),
            Elements::PortRoutes(_) => TYPE_INET_SERVICE,
            Elements::L4Ports(_) => pair(TYPE_INET_PROTOCOL),
        }
    }

    /// The key's length in bytes.
    pub fn key_length(&self) -> u32 {
        match self.elements {
            Elements::Families(_) => 1,
            Elements::PortRoutes(_) => 2,
            Elements::Services(_)
            | Elements::Grants(_)
            | Elements::GrantListeners(..)
            | Elements::Listeners(_)
            | Elements::Direct4(_)
            | Elements::L4Ports(_) => 8,
            Elements::Direct6(_) => 20,
        }
    }

    /// The lengths of the fields of a range of pairs.
    pub fn fields(&self) -> &'static [u32] {
        match self.elements {
            Elements::Direct4(_) => &[4, 2],
            Elements::Direct6(_) => &[16, 2],
            _ => &[],
        }
    }

    /// Whether it is a map.
    pub fn is_map(&self) -> bool {
        self.flags() & NFT_SET_MAP != 0
    }

    /// How long each element stands, in the order of [`Self::raw`]; empty where none goes by itself.
    pub fn times(&self) -> Vec<Duration> {
        match &self.elements {
            Elements::Families(Some(Opened::For(time))) => vec![*time; FAMILIES.len()],
            Elements::Grants(running) => running.grants.iter().map(|grant| grant.left).collect(),
            Elements::GrantListeners(_, running) => {
                running.listeners().into_iter().map(|(_, left)| left).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The elements of grants that the kernel may have taken out by `now` (CLOCK_BOOTTIME).
    pub fn may_be_gone(&self, now: Duration) -> Vec<RawElement> {
        let (Elements::Grants(running) | Elements::GrantListeners(_, running)) = &self.elements else {
            return Vec::new();
        };
        let passed = now.saturating_sub(running.at) + KERNEL_TICK;
        let timed = self.raw().into_iter().zip(self.times());
        timed.filter(|(_, left)| *left <= passed).map(|(element, _)| element).collect()
    }

    /// Whether what stands in it counts down, so that it is never the same twice.
    pub fn counts_down(&self) -> bool {
        matches!(self.elements, Elements::Grants(_) | Elements::GrantListeners(..))
    }

    /// The elements as the kernel lists them.
    pub fn raw(&self) -> Vec<RawElement> {
        let one = |parts: &[&[u8]]| {
            Some(RawElement {
                key: Key::new(parts)?,
                interval_end: false,
                key_end: None,
                value: None,
                timed: false,
            })
        };
        match &self.elements {
            Elements::Families(None) => Vec::new(),
            Elements::Families(Some(opened)) => FAMILIES
                .iter()
                .filter_map(|family| one(&[&[*family]]))
                .map(|element| RawElement { timed: matches!(opened, Opened::For(_)), ..element })
                .collect(),
            Elements::Grants(running) => running
                .grants
                .iter()
                .filter_map(|grant| {
                    let element = one(&[&grant.address.octets(), &port(grant.port)])?;
                    Some(RawElement { value: Some(grant.listener), timed: true, ..element })
                })
                .collect(),
            Elements::GrantListeners(envoy, running) => running
                .listeners()
                .iter()
                .filter_map(|(listener, _)| one(&[&envoy.octets(), &port(*listener)]))
                .map(|element| RawElement { timed: true, ..element })
                .collect(),
            Elements::Services(services) => services
                .iter()
                .filter_map(|((address, number), listener)| {
                    let element = one(&[&address.octets(), &port(*number)])?;
                    Some(RawElement { value: Some(*listener), ..element })
                })
                .collect(),
            Elements::PortRoutes(routes) => intervals(routes),
            Elements::Listeners(listeners) => listeners
                .iter()
                .filter_map(|(address, number)| one(&[&address.octets(), &port(*number)]))
                .collect(),
            Elements::Direct4(direct) => direct
                .iter()
                .filter_map(|(net, ports)| {
                    let element = one(&[&net.network().octets(), &port(ports.first())])?;
                    let end = Key::new(&[&net.broadcast().octets(), &port(ports.last())]);
                    Some(RawElement { key_end: end, ..element })
                })
                .collect(),
            Elements::Direct6(direct) => direct
                .iter()
                .filter_map(|(net, ports)| {
                    let element = one(&[&net.network().octets(), &port(ports.first())])?;
                    let end = Key::new(&[&net.broadcast().octets(), &port(ports.last())]);
                    Some(RawElement { key_end: end, ..element })
                })
                .collect(),
            Elements::L4Ports(ports) => {
                ports.iter().filter_map(|(l4, number)| one(&[&[*l4, 0, 0, 0], &port(*number)])).collect()
            }
        }
    }
}

/// Items in order, each once. Put in one by one: `collect` sorts first, with code of its own for every type, and
/// PID 1 is to be small.
pub fn ordered<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let mut set = BTreeSet::new();
    set.extend(items);
    set
}

/// Intervals as the kernel keeps them: where each begins, and where it has ended, also where another begins there: the
/// kernel takes an interval without an end for one that overlaps. What lies below the first one is an interval that
/// has ended, too. In ascending order: an element out of order counts as an overlap as well.
fn intervals(routes: &[(PortRange, u16)]) -> Vec<RawElement> {
    let ends = routes.iter().filter_map(|(range, _)| range.last().checked_add(1));
    let zero = routes.first().filter(|(range, _)| range.first() > 0).map(|_| 0);
    let ended = ends.chain(zero).map(|port| (port, None));
    let begun = routes.iter().map(|(range, listener)| (range.first(), Some(*listener)));
    let mut all: Vec<_> = begun.chain(ended).collect();
    all.sort_unstable();
    all.into_iter()
        .filter_map(|(port, value)| {
            Some(RawElement {
                key: Key::new(&[&port.to_be_bytes()])?,
                interval_end: value.is_none(),
                key_end: None,
                value,
                timed: false,
            })
        })
        .collect()
}

/// Routes whose ranges don't overlap: where two do, the earlier one has the port.
pub fn disjoint_routes(routes: &[PortRoute]) -> Vec<(PortRange, u16)> {
    let bounds = ordered(
        routes.iter().flat_map(|route| [u32::from(route.ports.first()), u32::from(route.ports.last()) + 1]),
    );
    let mut merged: Vec<(PortRange, u16)> = Vec::new();
    for (first, last) in segments(&bounds) {
        let Some(route) = routes.iter().find(|route| route.ports.contains(first)) else { continue };
        let joined = merged.last().copied().and_then(|(range, listener)| {
            let touches = range.last().checked_add(1) == Some(first) && listener == route.listener;
            touches.then(|| PortRange::new(range.first(), last)).flatten()
        });
        match (joined, PortRange::new(first, last)) {
            (Some(range), _) => {
                merged.pop();
                merged.push((range, route.listener));
            }
            (None, Some(range)) => merged.push((range, route.listener)),
            (None, None) => {}
        }
    }
    merged
}

/// The stretches between neighbouring bounds, each without its end.
fn segments(bounds: &BTreeSet<u32>) -> Vec<(u16, u16)> {
    bounds
        .iter()
        .zip(bounds.iter().skip(1))
        .filter_map(|(first, after)| Some((u16::try_from(*first).ok()?, u16::try_from(*after - 1).ok()?)))
        .collect()
}

/// The listed ranges of one family with nothing in two of them: the kernel refuses overlaps.
pub fn disjoint_direct<N: Copy + Ord>(
    direct: &[Direct],
    of: impl Fn(&IpNet) -> Option<N>,
    aggregate: impl Fn(&Vec<N>) -> Vec<N>,
) -> Vec<(N, PortRange)> {
    let listed: Vec<(N, PortRange)> =
        direct.iter().filter_map(|direct| Some((of(&direct.net)?, direct.ports))).collect();
    let bounds =
        ordered(listed.iter().flat_map(|(_, ports)| [u32::from(ports.first()), u32::from(ports.last()) + 1]));
    let mut merged: BTreeMap<N, Vec<PortRange>> = BTreeMap::new();
    for (first, last) in segments(&bounds) {
        let nets = listed.iter().filter(|(_, ports)| ports.contains(first)).map(|(net, _)| *net).collect();
        for net in aggregate(&nets) {
            let ranges = merged.entry(net).or_default();
            let joined = ranges
                .last()
                .filter(|range| range.last().checked_add(1) == Some(first))
                .and_then(|range| PortRange::new(range.first(), last));
            match (joined, PortRange::new(first, last)) {
                (Some(range), _) => {
                    ranges.pop();
                    ranges.push(range);
                }
                (None, Some(range)) => ranges.push(range),
                (None, None) => {}
            }
        }
    }
    merged.into_iter().flat_map(|(net, ranges)| ranges.into_iter().map(move |range| (net, range))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::listing::range;
    use super::*;

    fn ports(first: u16, last: u16) -> PortRange {
        PortRange::new(first, last).unwrap()
    }

    fn route(first: u16, last: u16, listener: u16) -> PortRoute {
        PortRoute { ports: ports(first, last), listener }
    }

    #[test]
    fn where_two_routes_overlap_the_earlier_has_the_port() {
        let routes = [route(443, 443, 1), route(400, 500, 2), route(501, 600, 2), route(65535, 65535, 3)];
        assert_eq!(
            disjoint_routes(&routes),
            [(ports(400, 442), 2), (ports(443, 443), 1), (ports(444, 600), 2), (ports(65535, 65535), 3)]
        );
    }

    #[test]
    fn the_last_port_has_no_end_and_a_neighbour_s_end_is_listed() {
        let routes = vec![(ports(443, 443), 1), (ports(444, 444), 2), (ports(65535, 65535), 3)];
        let raw = Set { name: "s", elements: Elements::PortRoutes(routes) }.raw();
        let ended: Vec<_> =
            raw.iter().filter(|element| element.interval_end).map(|e| e.key.bytes().to_vec()).collect();
        assert_eq!(ended, [vec![0, 0], vec![1, 188], vec![1, 189]]);
        assert_eq!(raw.len(), 6);
    }

    #[test]
    fn listed_ranges_never_overlap() {
        let direct = |net: &str, first, last| Direct { net: net.parse().unwrap(), ports: ports(first, last) };
        let listed = [
            direct("10.0.0.0/8", 22, 30),
            direct("10.1.0.0/16", 25, 40),
            direct("10.0.0.7/8", 31, 31),
            direct("192.0.2.1/32", 1, 65535),
            direct("2001:db8::/32", 5, 5),
        ];
        let four = |net: &IpNet| match net {
            IpNet::V4(net) => Some(net.trunc()),
            IpNet::V6(_) => None,
        };
        let merged = disjoint_direct(&listed, four, Ipv4Net::aggregate);
        let text: Vec<_> = merged.iter().map(|(net, ports)| format!("{net} {}", range(*ports))).collect();
        assert_eq!(text, ["10.0.0.0/8 22-31", "10.1.0.0/16 32-40", "192.0.2.1/32 1-65535"]);
    }
}
