//! What is enforced, as tables: a value made of a policy, an opening and the interfaces that there are. Nothing here
//! touches the kernel.
//!
//! Three tables. `inet clawker` judges and marks what it accepts. The two guards never change, belong to nobody,
//! and let nothing out without the mark: they go on when the first one goes down with PID 1.

use std::collections::BTreeMap;

use clawker_protocol::enforcement::{Enforcement, Transport};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::expr::{By, CT_ESTABLISHED, CT_NEW, CT_RELATED, Ip, L4, Step};
use super::gateway;
use super::sets::{Elements, Opened, Set, disjoint_direct, disjoint_routes, ordered};
use super::uapi::*;
use crate::fence::{Opening, Policy};
use crate::grants::Running;

/// The table that judges.
pub const TABLE: &str = "clawker";
/// The tables that let nothing out without the mark.
pub const GUARD: &str = "clawker-guard";
/// What every accepted packet carries ("claw"). Setting one needs a capability that no agent has.
pub const MARK: u32 = 0x636c_6177;
/// The set whose elements open the fence.
pub const OPEN: &str = "open";
/// The map of services that end by themselves.
pub const GRANTS: &str = "grants";
/// The set of the Envoy listeners that only they lead to, for as long as they do: nat is asked for the first packet
/// of a flow only, this set for each.
pub const GRANTED: &str = "granted";
/// The set of such listeners, whatever time is left.
const TIMED: &str = "timed";
/// The NFLOG group of refusals and of what passes while the fence is open.
pub const LOG_GROUP: u16 = 5300;
/// The prefix of what passes while the fence is open.
pub const LOG_OPEN: &str = "open";
/// How much of a packet is reported: both headers, and the whole of a DNS question.
pub const LOG_SNAPLEN: u32 = 320;
/// Reports a second and at once, for each class.
const LOG_LIMIT: Step = Step::Limit { rate: 20, burst: 50 };
/// The counter of the guards.
pub const UNMARKED: &str = "unmarked";

/// Before Docker's own nat chains (`NF_IP_PRI_NAT_DST`, -100), which would take port 53 of 127.0.0.11.
const PRIORITY_NAT: i32 = -110;
/// `NF_IP_PRI_FILTER`.
const PRIORITY_FILTER: i32 = 0;
/// After the table that marks.
const PRIORITY_GUARD: i32 = 100;
/// As late as can be.
const PRIORITY_LAST: i32 = i32::MAX;

/// Docker's resolver, on whatever port: it forwards from this very namespace.
pub(super) const DOCKER_DNS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 11);
pub(super) const DNS: u16 = 53;
const ND_NEIGHBOR_SOLICIT: u8 = 135;
const ND_NEIGHBOR_ADVERT: u8 = 136;

/// A network interface other than loopback.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interface {
    /// Its number, which a new name doesn't change.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// What the kernel can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Tables with an owner: Linux 5.12.
    pub owner: bool,
    /// The egress hook: Linux 5.16.
    pub egress: bool,
}

impl Features {
    /// What we use where it is there.
    pub const ALL: Self = Self { owner: true, egress: true };

    /// What is left when the kernel refused a part because it does not know the feature; `None` when that is
    /// not why.
    pub fn without(self, refused: &str, error: &std::io::Error) -> Option<Self> {
        let unknown = matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL | libc::ENOENT));
        if unknown && self.owner && refused == "table inet clawker" {
            Some(Self { owner: false, ..self })
        } else if unknown && self.egress && refused.contains("table netdev") {
            Some(Self { egress: false, ..self })
        } else {
            None
        }
    }
}

/// A chain's place in the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `filter` or `nat`.
    pub kind: &'static str,
    /// The hook's number in its family.
    pub hook: u32,
    /// Lower is earlier.
    pub priority: i32,
    /// Drops what no rule judges; accepts it otherwise.
    pub drops: bool,
    /// For netdev chains.
    pub device: Option<String>,
}

/// A chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: String,
    /// Its place; `None` where only other chains lead to it.
    pub base: Option<Base>,
    /// Its rules.
    pub rules: Vec<Vec<Step>>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `NFPROTO_INET` or `NFPROTO_NETDEV`.
    pub family: u8,
    /// Its name.
    pub name: &'static str,
    /// Belongs to the socket that made it.
    pub owned: bool,
    /// Named counters.
    pub counters: Vec<&'static str>,
    /// Sets and maps.
    pub sets: Vec<Set>,
    /// Chains.
    pub chains: Vec<Chain>,
}

/// All of our tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// The table that judges comes first.
    pub tables: Vec<Table>,
}

/// The tables for a policy. Of its services with an end, those that are running count.
pub fn compile(
    policy: &Policy,
    running: &Running,
    opening: Opening,
    interfaces: &[Interface],
    features: Features,
) -> Ruleset {
    let judge = match policy {
        Policy::Agent(enforcement) => judge(enforcement, running, opening),
        Policy::Gateway(gateway) => gateway::judge(gateway),
    };
    let mut tables = vec![Table { owned: features.owner, ..judge }, guard()];
    if features.egress && !interfaces.is_empty() {
        tables.push(frame_guard(interfaces));
    }
    #[cfg_attr(not(feature = "mutants"), expect(unused_mut))]
    let mut ruleset = Ruleset { tables };
    #[cfg(feature = "mutants")]
    super::mutants::apply(policy, &mut ruleset);
    ruleset
}

fn judge(enforcement: &Enforcement, running: &Running, opening: Opening) -> Table {
    let sets = sets(enforcement, running, opening);
    let timed = enforcement.services.iter().any(|service| service.expires.is_some());
    let six = sets.iter().any(|set| matches!(&set.elements, Elements::Direct6(direct) if !direct.is_empty()));
    let chains = vec![
        base("nat_output", "nat", NF_INET_LOCAL_OUT, PRIORITY_NAT, false, nat_output(enforcement)),
        chain("nat_open", nat_open(enforcement)),
        filter("output", NF_INET_LOCAL_OUT, output(enforcement, six)),
        filter("input", NF_INET_LOCAL_IN, input(six, timed)),
        chain("granted_replies", granted_replies()),
        chain("opened", opened()),
    ];
    judging(sets, chains)
}

/// The table that judges, with where every judgement ends.
pub(super) fn judging(sets: Vec<Set>, mut chains: Vec<Chain>) -> Table {
    chains.push(chain("accepted", vec![vec![Step::SetMark(MARK), Step::Accept]]));
    chains.extend(REFUSALS.iter().map(refusal));
    Table {
        family: NFPROTO_INET,
        name: TABLE,
        owned: false,
        counters: REFUSALS.iter().map(|refusal| refusal.counter).collect(),
        sets,
        chains,
    }
}

/// A chain that decides, and drops what it does not know.
pub(super) fn filter(name: &str, hook: u32, rules: Vec<Vec<Step>>) -> Chain {
    base(name, "filter", hook, PRIORITY_FILTER, true, rules)
}

pub(super) fn chain(name: &str, rules: Vec<Vec<Step>>) -> Chain {
    Chain { name: name.to_owned(), base: None, rules }
}

fn base(
    name: &str,
    kind: &'static str,
    hook: u32,
    priority: i32,
    drops: bool,
    rules: Vec<Vec<Step>>,
) -> Chain {
    Chain { base: Some(Base { kind, hook, priority, drops, device: None }), ..chain(name, rules) }
}

fn sets(enforcement: &Enforcement, running: &Running, opening: Opening) -> Vec<Set> {
    let opened = match opening {
        Opening::Closed => None,
        Opening::For(time) => Some(Opened::For(time)),
        Opening::Indefinitely => Some(Opened::Indefinitely),
    };
    let mut services = BTreeMap::new();
    for service in enforcement.services.iter().filter(|service| service.expires.is_none()) {
        services.entry((service.address, service.port)).or_insert(service.listener);
    }
    let listeners = services.values().copied().collect::<Vec<_>>();
    let routed = enforcement.port_routes.iter().map(|route| route.listener);
    let timed = enforcement.services.iter().filter(|service| service.expires.is_some());
    let four = |net: &IpNet| match net {
        IpNet::V4(net) => Some(net.trunc()),
        IpNet::V6(_) => None,
    };
    let six = |net: &IpNet| match net {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(net.trunc()),
    };
    let published = enforcement.published.iter().map(|published| {
        let l4 = match published.transport {
            Transport::Tcp => L4::Tcp,
            Transport::Udp => L4::Udp,
        };
        (l4.number(), published.port)
    });
    vec![
        Set { name: OPEN, elements: Elements::Families(opened) },
        Set {
            name: "listeners",
            elements: Elements::Listeners(ordered(
                listeners.into_iter().chain(routed).map(|port| (enforcement.envoy, port)),
            )),
        },
        Set { name: GRANTS, elements: Elements::Grants(running.clone()) },
        Set { name: GRANTED, elements: Elements::GrantListeners(enforcement.envoy, running.clone()) },
        Set {
            name: TIMED,
            elements: Elements::Listeners(ordered(
                timed.map(|service| (enforcement.envoy, service.listener)),
            )),
        },
        Set { name: "services", elements: Elements::Services(services) },
        Set {
            name: "port_routes",
            elements: Elements::PortRoutes(disjoint_routes(&enforcement.port_routes)),
        },
        Set {
            name: "direct4",
            elements: Elements::Direct4(disjoint_direct(&enforcement.direct, four, Ipv4Net::aggregate)),
        },
        Set {
            name: "direct6",
            elements: Elements::Direct6(disjoint_direct(&enforcement.direct, six, Ipv6Net::aggregate)),
        },
        Set { name: "published", elements: Elements::L4Ports(ordered(published)) },
    ]
}

fn nat_output(e: &Enforcement) -> Vec<Vec<Step>> {
    use Step::{DaddrDportIn, Dnat, DnatMap, Dport, Family, FamilyIn, Goto, Return, ToLoopback};
    let dns =
        |l4| vec![Family(Ip::V4), ToLoopback(false), Step::L4(l4), Dport(DNS), Dnat(e.coredns, e.dns_port)];
    let tcp4 = [Family(Ip::V4), Step::L4(L4::Tcp)];
    let tcp6 = [Family(Ip::V6), Step::L4(L4::Tcp)];
    vec![
        vec![FamilyIn(OPEN), Goto("nat_open")],
        dns(L4::Udp),
        dns(L4::Tcp),
        rule(&tcp4, [DnatMap(e.envoy, By::AddressAndPort, GRANTS)]),
        rule(&tcp4, [DnatMap(e.envoy, By::AddressAndPort, "services")]),
        vec![ToLoopback(true), Return],
        rule(&tcp4, [DaddrDportIn(Ip::V4, "direct4"), Return]),
        rule(&tcp6, [DaddrDportIn(Ip::V6, "direct6"), Return]),
        rule(&tcp4, [DnatMap(e.envoy, By::Port, "port_routes")]),
    ]
}

/// While open, only what would lead nowhere otherwise is diverted: the virtual addresses, and the resolver that
/// a process remembers.
fn nat_open(e: &Enforcement) -> Vec<Vec<Step>> {
    let dns = |l4| {
        let to = Step::Dnat(e.coredns, e.open_dns_port);
        vec![Step::Family(Ip::V4), Step::Daddr(e.coredns), Step::L4(l4), Step::Dport(DNS), to]
    };
    let name =
        |map| vec![Step::Family(Ip::V4), Step::L4(L4::Tcp), Step::DnatMap(e.envoy, By::AddressAndPort, map)];
    vec![dns(L4::Udp), dns(L4::Tcp), name(GRANTS), name("services")]
}

fn output(e: &Enforcement, six: bool) -> Vec<Vec<Step>> {
    use Step::{
        Accept, CtDnat, CtReply, CtState, Daddr, DaddrDportIn, Dport, Family, FamilyIn, Goto, ToLoopback,
    };
    let accepted = Goto("accepted");
    let tcp4 = [Family(Ip::V4), Step::L4(L4::Tcp)];
    let tcp6 = [Family(Ip::V6), Step::L4(L4::Tcp)];
    // Only what nat diverted: who dials Envoy or CoreDNS directly could choose another project's port.
    let coredns = |l4| {
        vec![Family(Ip::V4), Daddr(e.coredns), Step::L4(l4), Dport(e.dns_port), CtDnat, accepted.clone()]
    };
    let mut rules = vec![
        vec![FamilyIn(OPEN), Goto("opened")],
        vec![Family(Ip::V4), Daddr(DOCKER_DNS), Goto("refuse_docker_dns")],
        vec![ToLoopback(true), Accept],
        // The other side began it, so input let it in.
        vec![CtReply, CtState(CT_ESTABLISHED), accepted.clone()],
        coredns(L4::Udp),
        coredns(L4::Tcp),
        rule(&tcp4, [DaddrDportIn(Ip::V4, "listeners"), CtDnat, accepted.clone()]),
        rule(&tcp4, [DaddrDportIn(Ip::V4, GRANTED), CtDnat, accepted.clone()]),
        rule(&tcp4, [DaddrDportIn(Ip::V4, "direct4"), accepted.clone()]),
        rule(&tcp6, [DaddrDportIn(Ip::V6, "direct6"), accepted.clone()]),
    ];
    if six {
        rules.extend(neighbours(&accepted));
    }
    rules.extend(refuse_by_class());
    rules
}

/// Refuses everything that leaves, each under its class.
pub(super) fn refuse_by_class() -> [Vec<Step>; 5] {
    use Step::Goto;
    [
        vec![Step::L4(L4::Tcp), Goto("refuse_tcp")],
        vec![Step::L4(L4::Udp), Goto("refuse_udp")],
        vec![Step::L4(L4::Icmp), Goto("refuse_icmp")],
        vec![Step::L4(L4::Icmpv6), Goto("refuse_icmp")],
        vec![Goto("refuse_other")],
    ]
}

fn input(six: bool, timed: bool) -> Vec<Vec<Step>> {
    use Step::{Accept, CtReply, CtState, FromLoopback, Goto, L4DportIn};
    let mut rules = vec![vec![FromLoopback, Accept]];
    if timed {
        let from = [Step::Family(Ip::V4), Step::L4(L4::Tcp), Step::SaddrSportIn(TIMED)];
        rules.push(rule(&from, [Goto("granted_replies")]));
    }
    rules.extend([
        vec![CtReply, CtState(CT_ESTABLISHED), Accept],
        vec![CtState(CT_RELATED), Accept],
        vec![L4DportIn("published"), Accept],
    ]);
    if six {
        rules.extend(neighbours(&Accept));
    }
    rules.push(vec![Goto("refuse_inbound")]);
    rules
}

/// What the other side sends on a flow whose time is up does not arrive either. While open, no time is counted.
fn granted_replies() -> Vec<Vec<Step>> {
    let answers = [Step::CtReply, Step::CtState(CT_ESTABLISHED), Step::Accept];
    vec![
        rule(&[Step::FamilyIn(OPEN)], answers.clone()),
        rule(&[Step::Family(Ip::V4), Step::SaddrSportIn(GRANTED)], answers),
        vec![Step::Goto("refuse_inbound")],
    ]
}

/// Without neighbour discovery no IPv6 destination can be reached.
pub(super) fn neighbours(verdict: &Step) -> [Vec<Step>; 2] {
    [ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT]
        .map(|kind| vec![Step::Family(Ip::V6), Step::L4(L4::Icmpv6), Step::Icmpv6Type(kind), verdict.clone()])
}

fn opened() -> Vec<Vec<Step>> {
    vec![
        vec![Step::ToLoopback(true), Step::Accept],
        // To Envoy or CoreDNS: passes while closed, too.
        vec![Step::CtDnat, Step::Goto("accepted")],
        vec![Step::CtState(CT_NEW), LOG_LIMIT, log(LOG_OPEN)],
        vec![Step::Goto("accepted")],
    ]
}

fn log(prefix: &'static str) -> Step {
    Step::Log { prefix, group: LOG_GROUP, snaplen: LOG_SNAPLEN }
}

/// A class of refusals: its name, its counter's (nft keeps `tcp` and such for itself), its chain's.
pub struct Refusal {
    /// The class's name, which is also the prefix of its reports.
    pub class: &'static str,
    /// Its counter.
    pub counter: &'static str,
    chain: &'static str,
    /// A reset is a refusal that comes at once.
    resets: bool,
}

/// The classes that the first table counts.
pub const REFUSALS: [Refusal; 6] = [
    Refusal { class: "docker_dns", counter: "refused_docker_dns", chain: "refuse_docker_dns", resets: true },
    Refusal { class: "tcp", counter: "refused_tcp", chain: "refuse_tcp", resets: true },
    Refusal { class: "udp", counter: "refused_udp", chain: "refuse_udp", resets: false },
    Refusal { class: "icmp", counter: "refused_icmp", chain: "refuse_icmp", resets: false },
    Refusal { class: "other", counter: "refused_other", chain: "refuse_other", resets: false },
    Refusal { class: "inbound", counter: "refused_inbound", chain: "refuse_inbound", resets: false },
];

fn refusal(refusal: &Refusal) -> Chain {
    let mut rules = vec![vec![Step::Count(refusal.counter)], vec![LOG_LIMIT, log(refusal.class)]];
    if refusal.resets {
        rules.push(vec![Step::L4(L4::Tcp), Step::RejectWithReset]);
    }
    rules.push(vec![Step::Drop]);
    chain(refusal.chain, rules)
}

fn guard() -> Table {
    let rules = vec![
        vec![Step::ToLoopback(true), Step::Accept],
        vec![Step::Mark(MARK), Step::Accept],
        vec![Step::Count(UNMARKED)],
    ];
    Table {
        family: NFPROTO_INET,
        name: GUARD,
        owned: false,
        counters: vec![UNMARKED],
        sets: Vec::new(),
        chains: vec![base("output", "filter", NF_INET_LOCAL_OUT, PRIORITY_GUARD, true, rules)],
    }
}

/// A frame from a packet socket passes no inet hook.
fn frame_guard(interfaces: &[Interface]) -> Table {
    let chains = interfaces.iter().map(|interface| Chain {
        name: format!("egress-{}", interface.index),
        base: Some(Base {
            kind: "filter",
            hook: NF_NETDEV_EGRESS,
            priority: PRIORITY_LAST,
            drops: true,
            device: Some(interface.name.clone()),
        }),
        rules: vec![
            vec![Step::Arp, Step::Accept],
            vec![Step::Mark(MARK), Step::Accept],
            vec![Step::Count(UNMARKED)],
        ],
    });
    Table {
        family: NFPROTO_NETDEV,
        name: GUARD,
        owned: false,
        counters: vec![UNMARKED],
        sets: Vec::new(),
        chains: chains.collect(),
    }
}

pub(super) fn rule<const N: usize>(matches: &[Step], then: [Step; N]) -> Vec<Step> {
    matches.iter().cloned().chain(then).collect()
}

#[cfg(test)]
mod tests;
