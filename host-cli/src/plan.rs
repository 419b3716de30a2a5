//! One policy worked out: which names resolve to what, which Envoy listener judges which port, and where each virtual
//! address leads. A value that the gateway's files and init's enforcement are both made of.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use clawker_protocol::enforcement::{PortRange, PortRoute, Service};
use serde::{Deserialize, Serialize};

use crate::alloc::{Alloc, AllocError};
use crate::policy::{Action, Decision, Policy, Proto, covering};

mod door;

pub use door::{Dial, Door, Private};

mod grants;

use grants::Granted;

/// A policy worked out. Kept in state, so that Envoy's files can be made of all of them at any time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The policy's id.
    pub id: String,
    /// Counts up with each change; the DNS zone's serial.
    pub generation: u64,
    /// The project's folder, as text: whose plan it is.
    pub project_dir: std::path::PathBuf,
    /// Resolvers for listed names.
    pub upstream_dns: Vec<Ipv4Addr>,
    /// Roots that Envoy trusts besides the public ones, as PEM.
    #[serde(default)]
    pub extra_ca_pem: String,
    /// CoreDNS's port.
    pub dns_port: u16,
    /// CoreDNS's port of the open forwarder.
    pub open_dns_port: u16,
    /// What resolves.
    pub zone: Vec<Answer>,
    /// Listeners that judge by the name in the connection.
    pub judged: Vec<Judged>,
    /// Listeners that belong to one name.
    pub streams: Vec<Stream>,
    /// Where virtual addresses lead.
    pub services: Vec<Service>,
    /// Where ports lead on any other address.
    pub port_routes: Vec<PortRoute>,
}

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The name, or `*.name`.
    pub name: String,
    /// Its address; none for a name that exists only to be excepted from a wildcard.
    pub address: Option<Ipv4Addr>,
}

/// A listener for all names of a protocol's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// `tls` or `http`.
    pub proto: Proto,
    /// The port that is dialled.
    pub port: u16,
    /// Envoy's port.
    pub listener: u16,
    /// Exact names.
    pub exact: BTreeMap<String, Door>,
    /// Names with all below them, the closest first.
    pub below: Vec<(String, Door)>,
}

/// A listener for one name's port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// `ssh` or `tcp`.
    pub proto: Proto,
    /// The name.
    pub name: String,
    /// The port that is dialled.
    pub port: u16,
    /// Envoy's port.
    pub listener: u16,
    /// How it is dialled.
    #[serde(default, skip_serializing_if = "Dial::is_plain")]
    pub dial: Dial,
}

/// Whose plan, and through which resolvers.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The policy's id.
    pub id: &'a str,
    /// The project's folder.
    pub project_dir: &'a std::path::Path,
    /// Resolvers for listed names.
    pub upstream_dns: &'a [Ipv4Addr],
    /// Roots that Envoy trusts besides the public ones, as PEM.
    pub extra_ca_pem: &'a str,
}

impl Plan {
    /// Works a policy out. The generation is the caller's to set.
    ///
    /// # Errors
    /// [`AllocError`] when addresses or ports ran out.
    pub fn new(owner: Owner<'_>, policy: &Policy, alloc: &mut Alloc) -> Result<Self, AllocError> {
        let mut plan = Self {
            id: owner.id.to_owned(),
            generation: 0,
            project_dir: owner.project_dir.to_owned(),
            upstream_dns: owner.upstream_dns.to_vec(),
            extra_ca_pem: owner.extra_ca_pem.to_owned(),
            dns_port: alloc.dns(owner.id)?,
            open_dns_port: alloc.open_dns(owner.upstream_dns)?,
            zone: Vec::new(),
            judged: Vec::new(),
            streams: Vec::new(),
            services: Vec::new(),
            port_routes: Vec::new(),
        };
        plan.listeners(policy, alloc)?;
        let granted = grants::of(policy, owner.id, alloc)?;
        plan.names(policy, &granted, alloc)?;
        plan.grant_listeners(&granted, policy, alloc)?;
        Ok(plan)
    }

    /// Every way in which names are dialled.
    pub fn dials(&self) -> impl Iterator<Item = &Dial> {
        let judged = self
            .judged
            .iter()
            .flat_map(|judged| judged.exact.values().chain(judged.below.iter().map(|(_, door)| door)));
        judged.map(|door| &door.dial).chain(self.streams.iter().map(|stream| &stream.dial))
    }

    fn listeners(&mut self, policy: &Policy, alloc: &mut Alloc) -> Result<(), AllocError> {
        let mut routed = BTreeSet::new();
        for (proto, port) in policy.doors() {
            let names = policy.names(proto, port);
            if !proto.carries_its_name() {
                for (name, decision) in names.into_iter().filter(|(_, one)| one.action == Action::Allow) {
                    let listener = alloc.listener(&self.id, proto, Some(name), port)?;
                    let dial = Dial { private: door::private(&decision.private, alloc)?, name: None };
                    self.streams.push(Stream { proto, name: name.to_owned(), port, listener, dial });
                }
                continue;
            }
            let listener = alloc.listener(&self.id, proto, None, port)?;
            let mut judged = Judged { proto, port, listener, exact: BTreeMap::new(), below: Vec::new() };
            for (text, decision) in names {
                let below = text.strip_prefix('.');
                let door = Door::of(decision, below, alloc)?;
                match below {
                    None => drop(judged.exact.insert(text.to_owned(), door)),
                    Some(name) => judged.below.push((name.to_owned(), door)),
                }
            }
            judged.below.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
            self.judged.push(judged);
            // Doors come tls before http: at a port of both, an address that names no rule is judged as TLS.
            if routed.insert(port) {
                self.port_routes.push(PortRoute { ports: PortRange::single(port), listener });
            }
        }
        Ok(())
    }

    /// Addresses and services of every name that anything may reach.
    fn names(
        &mut self,
        policy: &Policy,
        granted: &[Granted<'_>],
        alloc: &mut Alloc,
    ) -> Result<(), AllocError> {
        let streams: HashMap<(&str, u16), u16> = self
            .streams
            .iter()
            .map(|stream| ((stream.name.as_str(), stream.port), stream.listener))
            .collect();
        let mut by_name: BTreeMap<&str, Vec<(u16, u16)>> = BTreeMap::new();
        for ((name, port), listener) in streams {
            by_name.entry(name).or_default().push((port, listener));
        }
        let mut services = Vec::new();
        let mut answers: BTreeMap<String, Option<Ipv4Addr>> = BTreeMap::new();
        for dst in policy.dsts() {
            let text = dst.to_string();
            let mut ports: BTreeMap<u16, u16> =
                by_name.get(text.as_str()).into_iter().flatten().copied().collect();
            for judged in &self.judged {
                let decided = policy.decide_dst(dst, judged.proto, judged.port);
                // A protocol that the name itself is listed with goes before one that a wildcard lends it.
                let own = |decision: &Decision| policy.rule_of(decision).is_some_and(|rule| rule.dst == *dst);
                if let Some(decision) = decided.filter(|one| one.action == Action::Allow)
                    && (own(decision) || !ports.contains_key(&judged.port))
                {
                    ports.insert(judged.port, judged.listener);
                }
            }
            let timed = grants::services(granted, policy, dst, &ports);
            let leads = !ports.is_empty() || !timed.is_empty();
            let address = if leads { Some(alloc.address(dst)?) } else { None };
            if let Some(address) = address {
                services.extend(grants::timed(address, timed));
                services.extend(ports.into_iter().map(|(port, listener)| Service {
                    address,
                    port,
                    listener,
                    expires: None,
                }));
            }
            answers.insert(text, address);
        }
        self.services = services;
        self.zone = zone(&answers);
        Ok(())
    }
}

/// The records: in DNS a name that exists hides the wildcard above it from the names below, so that each is given one
/// of its own wherever a wildcard covers it.
fn zone(answers: &BTreeMap<String, Option<Ipv4Addr>>) -> Vec<Answer> {
    let mut records: BTreeMap<String, Option<Ipv4Addr>> = BTreeMap::new();
    let closest =
        |name: &str| covering(name).find_map(|wildcard| Some((wildcard.len() - 1, answers.get(&wildcard)?)));
    for (dst, address) in answers {
        let name = dst.strip_prefix('.').unwrap_or(dst);
        let above = name.split_once('.').map_or("", |(_, rest)| rest);
        let covered = closest(above).is_some_and(|(_, address)| address.is_some());
        if let Some(rest) = dst.strip_prefix('.') {
            if address.is_some() || covered {
                records.insert(format!("*.{rest}"), *address);
                // The apex, unless it is listed itself.
                if !answers.contains_key(rest) {
                    records.insert(rest.to_owned(), *address);
                }
            }
        } else if address.is_some() || closest(name).is_some_and(|(_, address)| address.is_some()) {
            records.insert(name.to_owned(), *address);
        }
        // Between it and the wildcard that covers it.
        let mut inner = if dst.starts_with('.') { above } else { name };
        while let Some((length, Some(lent))) = closest(inner) {
            let own = answers.contains_key(&format!(".{inner}"));
            if inner.len() <= length || own {
                break;
            }
            records.entry(format!("*.{inner}")).or_insert(Some(*lent));
            if !answers.contains_key(inner) {
                records.entry(inner.to_owned()).or_insert(Some(*lent));
            }
            inner = inner.split_once('.').map_or("", |(_, rest)| rest);
        }
    }
    records.into_iter().map(|(name, address)| Answer { name, address }).collect()
}

#[cfg(test)]
pub(crate) mod tests;
