//! From what the log shows to the smallest set of rules that would have sufficed. Pure: entries and a policy in,
//! proposals out. Never proposes a wildcard, and nothing that a rule already says.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::Ipv4Net;
use serde::Serialize;

use crate::flowlog::{Entry, OPEN};
use crate::policy::{Action, Dst, Layer, Policy, Proto, Request, Verdict};

/// A flow belongs to the name that was asked for last, where that was not longer ago.
const JOINED_MILLIS: u64 = 5_000;

/// Why an address of a bypass is not proposed: a rule for it would open whatever else lives there.
const NAMELESS: &str =
    "its name is not known; let the agent try again with the firewall on, then learn again";

/// How sure a proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ground {
    /// Name or address and port were seen.
    Seen,
    /// The name was asked for right before the address was dialled.
    JoinedByTime,
    /// Only the name was asked for: that it is TLS at 443 is assumed.
    PortAssumed,
}

/// A rule that would have let something through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// Name or address.
    pub dst: String,
    /// How.
    pub proto: Proto,
    /// Where.
    pub port: u16,
    /// How often it was met.
    pub times: u64,
    /// How sure it is.
    pub ground: Ground,
}

/// What is not proposed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Name or address.
    pub dst: String,
    /// Where.
    pub port: u16,
    /// Why, in words.
    pub why: String,
}

/// What was learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// Rules to add.
    pub proposals: Vec<Proposal>,
    /// What no rule of a command can open.
    pub left_out: Vec<LeftOut>,
}

impl Proposal {
    /// The rule, as it is listed.
    pub fn rule(&self) -> String {
        format!("allow {} {} port {}", self.proto.as_str(), self.dst, self.port)
    }

    /// The command that adds it.
    pub fn command(&self, agent: Option<&str>) -> String {
        let mut text = format!("clawker firewall add {}", self.dst);
        if self.proto != Proto::Tls {
            text.push_str(&format!(" --proto {}", self.proto.as_str()));
        }
        if self.proto.default_port() != Some(self.port) {
            text.push_str(&format!(" --port {}", self.port));
        }
        text + &agent.map(|agent| format!(" --agent {agent}")).unwrap_or_default()
    }
}

/// What a set of entries, in order of time, asks for beyond a policy. Flows into `own`, the network of Envoy and CoreDNS,
/// ask for nothing: what became of them Envoy tells.
pub fn learn(entries: &[Entry], policy: &Policy, own: Option<Ipv4Net>) -> Learned {
    let mut seen = Seen { own, ..Seen::default() };
    entries.iter().for_each(|entry| seen.take(entry));
    let mut learned = Learned::default();
    for (dst, port) in std::mem::take(&mut seen.nameless) {
        let request = Request { host: &dst, proto: Proto::Tcp, port, http: None };
        if policy.judge(&request).action() == Action::Deny {
            learned.left_out.push(LeftOut { dst, port, why: NAMELESS.to_owned() });
        }
    }
    for ((dst, proto, port), (times, ground)) in seen.all() {
        match policy.judge(&Request { host: &dst, proto, port, http: None }) {
            verdict if verdict.action() == Action::Allow => {}
            Verdict::Never => {
                let why = "no rule can open this address".to_owned();
                learned.left_out.push(LeftOut { dst, port, why });
            }
            Verdict::Dst(rule) if rule.layer == Layer::User || rule.dst.to_string() == dst => {
                let why = format!("denied by \"{rule}\" ({})", rule.place);
                learned.left_out.push(LeftOut { dst, port, why });
            }
            _ => learned.proposals.push(Proposal { dst, proto, port, times, ground }),
        }
    }
    learned
}

type Place = (String, Proto, u16);

/// What the entries hold.
#[derive(Default)]
struct Seen {
    own: Option<Ipv4Net>,
    places: BTreeMap<Place, (u64, Ground)>,
    /// Names that were asked for.
    asked: BTreeMap<String, u64>,
    /// What each agent asked for last, and when.
    last: HashMap<String, (u64, String)>,
    /// What was dialled while the firewall was off, by a name that nobody here was asked for.
    nameless: BTreeSet<(String, u16)>,
    /// The name that an agent's dialled address turned out to be.
    joined: HashMap<(String, IpAddr), String>,
}

impl Seen {
    fn take(&mut self, entry: &Entry) {
        let passed = entry.verdict == "allow" && entry.detail.contains(OPEN);
        match entry.witness {
            "dns" if matches!(entry.proto.as_str(), "A" | "AAAA" | "HTTPS" | "SVCB") => {
                self.question(entry, passed)
            }
            "proxy" if entry.is_denial() => {
                let host = entry.target.split_once(':').map_or(entry.target.as_str(), |(host, _)| host);
                let proto = if entry.proto == "http" { Proto::Http } else { Proto::Tls };
                if let (Some(name), Some(port)) = (name(host), entry.port) {
                    self.add(name, proto, port, Ground::Seen);
                }
            }
            "init" if passed && (entry.proto.as_str(), entry.port) == ("udp", Some(53)) => {
                if let Some(asked) = entry.name.as_deref().and_then(name) {
                    self.last.insert(entry.agent.clone(), (entry.time, asked.clone()));
                    *self.asked.entry(asked).or_default() += 1;
                }
            }
            "init" if entry.proto == "tcp" && (passed || entry.is_denial()) => self.flow(entry, passed),
            _ => {}
        }
    }

    fn question(&mut self, entry: &Entry, passed: bool) {
        let Some(name) = name(&entry.target) else { return };
        if passed {
            self.last.insert(entry.agent.clone(), (entry.time, name.clone()));
        }
        if passed && entry.detail.starts_with("NOERROR") || entry.is_denial() {
            *self.asked.entry(name).or_default() += 1;
        }
    }

    fn flow(&mut self, entry: &Entry, passed: bool) {
        let (Some(port), Ok(address)) = (entry.port, entry.target.parse::<IpAddr>()) else { return };
        if let IpAddr::V4(address) = address
            && (address.is_loopback() || self.own.is_some_and(|own| own.contains(&address)))
        {
            return;
        }
        if let Some(name) = entry.name.as_deref().and_then(|name_of| name(name_of.trim_start_matches("*."))) {
            self.add(name, proto(port), port, Ground::Seen);
            return;
        }
        let key = (entry.agent.clone(), address);
        let asked =
            self.last.get(&entry.agent).filter(|(time, _)| passed && entry.time <= time + JOINED_MILLIS);
        if let Some((_, name)) = asked {
            self.joined.entry(key.clone()).or_insert_with(|| name.clone());
        }
        match self.joined.get(&key).cloned() {
            Some(name) => self.add(name, proto(port), port, Ground::JoinedByTime),
            // With the firewall on only an address that was dialled as such gets as far as a packet.
            None if !passed => self.add(address.to_string(), Proto::Tcp, port, Ground::Seen),
            None => drop(self.nameless.insert((address.to_string(), port))),
        }
    }

    fn add(&mut self, dst: String, proto: Proto, port: u16, ground: Ground) {
        let place = self.places.entry((dst, proto, port)).or_insert((0, ground));
        *place = (place.0 + 1, place.1.min(ground));
    }

    /// All places; a name of which nothing else is known is taken for a site.
    fn all(mut self) -> BTreeMap<Place, (u64, Ground)> {
        for (name, times) in std::mem::take(&mut self.asked) {
            if !self.places.keys().any(|(dst, ..)| *dst == name) {
                self.places.insert((name, Proto::Tls, 443), (times, Ground::PortAssumed));
            }
        }
        self.places
    }
}

/// A name that a rule can list; a single label is what a search list makes, and no site.
fn name(text: &str) -> Option<String> {
    match Dst::parse(text) {
        Ok(Dst::Name(name)) if name.contains('.') => Some(name),
        _ => None,
    }
}

/// The protocol that a port usually carries.
fn proto(port: u16) -> Proto {
    [Proto::Tls, Proto::Http, Proto::Ssh]
        .into_iter()
        .find(|proto| proto.default_port() == Some(port))
        .unwrap_or(Proto::Tcp)
}

#[cfg(test)]
mod tests;
