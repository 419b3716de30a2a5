//! Which flows end when the fence closes or the policy is swapped: values in, verdicts out, and the calls that
//! carry them out. The rules alone already stop such a flow's packets; this ends it at both programs at once
//! and makes conntrack forget where it was diverted to.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clawker_protocol::enforcement::{Enforcement, Transport};
use clawker_protocol::gateway::Gateway;
use clawker_protocol::ranges;

use super::{Netfilter, doing};
use crate::conntrack::{Entry, Tuple};
use crate::fence::{FenceError, Policy};
use crate::route;

const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS: u16 = 53;
/// Docker's resolver.
const DOCKER_DNS: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// A TCP or UDP flow as this namespace began or accepted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The transport protocol's number.
    pub proto: u8,
    /// As its first packet was sent.
    pub original: Tuple,
    /// Where its answers come from, where conntrack knows it.
    pub answered_by: Option<SocketAddr>,
    /// The other side began it.
    pub inbound: bool,
}

impl Flow {
    fn diverted_to(&self) -> Option<SocketAddr> {
        self.answered_by.filter(|by| *by != self.original.destination)
    }

    fn is_local(&self) -> bool {
        let (source, destination) = (self.original.source.ip(), self.original.destination.ip());
        destination.is_loopback() || source == destination || destination.is_unspecified()
    }
}

/// What an enforcement lets through, in a form that is quick to ask.
#[derive(Debug)]
pub struct Allowed<'a> {
    enforcement: &'a Enforcement,
    /// Listener by virtual address and port.
    services: BTreeMap<SocketAddr, u16>,
}

impl<'a> Allowed<'a> {
    /// Of an enforcement.
    pub fn of(enforcement: &'a Enforcement) -> Self {
        let mut services = BTreeMap::new();
        for service in &enforcement.services {
            let address = SocketAddr::new(service.address.into(), service.port);
            services.entry(address).or_insert(service.listener);
        }
        Self { enforcement, services }
    }

    fn is_direct(&self, destination: SocketAddr) -> bool {
        self.enforcement
            .direct
            .iter()
            .any(|direct| direct.net.contains(&destination.ip()) && direct.ports.contains(destination.port()))
    }

    /// Whether Envoy listens there for this policy.
    fn is_listener(&self, at: SocketAddr) -> bool {
        at.ip() == IpAddr::V4(self.enforcement.envoy)
            && (self.services.values().any(|listener| *listener == at.port())
                || self.enforcement.port_routes.iter().any(|route| route.listener == at.port()))
    }

    fn is_published(&self, proto: u8, port: u16) -> bool {
        self.enforcement.published.iter().any(|published| {
            let number = match published.transport {
                Transport::Tcp => TCP,
                Transport::Udp => UDP,
            };
            (number, published.port) == (proto, port)
        })
    }

    /// Whether a flow may go on while the fence is closed. No rule lets UDP out.
    pub fn lets(&self, flow: &Flow) -> bool {
        let destination = flow.original.destination;
        if destination.ip() == DOCKER_DNS {
            return false;
        }
        if flow.is_local() {
            return true;
        }
        if flow.inbound {
            return self.is_published(flow.proto, destination.port());
        }
        if flow.proto != TCP {
            return false;
        }
        match (self.services.get(&destination), flow.diverted_to()) {
            // Leads to a listener that stands for another name now.
            (Some(listener), Some(to)) => to == SocketAddr::new(self.enforcement.envoy.into(), *listener),
            (Some(_), None) => true,
            (None, Some(to)) => self.is_listener(to),
            (None, None) => self.is_direct(destination),
        }
    }
}

/// What a swap of the policy ends.
#[derive(Debug)]
pub enum Change<'a> {
    /// Around an agent.
    Agent(Swap<'a>),
    /// Around Envoy: from one to the next.
    Gateway(&'a Gateway, &'a Gateway),
}

impl<'a> Change<'a> {
    /// From one policy to the next; `None` when they are for different containers.
    pub fn between(old: &'a Policy, new: &'a Policy) -> Option<Self> {
        match (old, new) {
            (Policy::Agent(old), Policy::Agent(new)) => Some(Self::Agent(Swap::between(old, new))),
            (Policy::Gateway(old), Policy::Gateway(new)) => Some(Self::Gateway(old, new)),
            _ => None,
        }
    }

    /// Whether a flow ends: it was let through and is not any more.
    pub fn ends(&self, flow: &Flow) -> bool {
        match self {
            Self::Agent(swap) => swap.ends(flow),
            Self::Gateway(old, new) => !flow.inbound && gateway_ends(old, new, flow),
        }
    }
}

/// A flow doesn't show its TOS byte: it ends when any rule that it may be of lists its address no more. The packets of
/// another rule's flows would have passed; they begin anew.
fn gateway_ends(old: &Gateway, new: &Gateway, flow: &Flow) -> bool {
    let to = flow.original.destination;
    let public = flow.proto == TCP && ranges::is_public(to.ip());
    let resolves = |gateway: &Gateway| {
        to.port() == DNS && gateway.resolvers.iter().any(|resolver| IpAddr::V4(*resolver) == to.ip())
    };
    if public || resolves(new) {
        return false;
    }
    let mut toses = old.private.iter().map(|private| private.tos);
    resolves(old) || toses.any(|tos| old.opens(tos, to.ip()) && !new.opens(tos, to.ip()))
}

/// What a swap of an agent's policy ends.
#[derive(Debug)]
pub struct Swap<'a> {
    old: Allowed<'a>,
    new: Allowed<'a>,
    /// Something was taken away that flows to real addresses may have been for: a name is no longer listed, and
    /// such a flow doesn't show its name.
    narrower: bool,
}

impl<'a> Swap<'a> {
    /// From one enforcement to the next. A service with an end takes nothing with it: only its own address leads to
    /// its listener.
    pub fn between(old: &'a Enforcement, new: &'a Enforcement) -> Self {
        let (old, new) = (Allowed::of(old), Allowed::of(new));
        let lasting = old.enforcement.services.iter().filter(|service| service.expires.is_none());
        let services = lasting
            .map(|service| SocketAddr::new(service.address.into(), service.port))
            .any(|at| new.services.get(&at) != old.services.get(&at));
        let routes =
            old.enforcement.port_routes.iter().any(|route| !new.enforcement.port_routes.contains(route));
        Self { old, new, narrower: services || routes }
    }

    /// Whether a flow ends: it was let through and is not any more. What only a bypass let through is left
    /// to the bypass's end.
    pub fn ends(&self, flow: &Flow) -> bool {
        let unnamed =
            flow.diverted_to().is_some() && !self.new.services.contains_key(&flow.original.destination);
        self.old.lets(flow) && (!self.new.lets(flow) || self.narrower && unnamed && !flow.is_local())
    }
}

/// Whether conntrack must forget an entry. When closing, all but TCP goes, whatever it is for: an old socket
/// would go on to where it was let in the bypass.
fn forgets(entry: &Entry, may: impl Fn(&Flow) -> bool, own: &[IpAddr], closing: bool) -> bool {
    let flow = flow(entry, own);
    let to = entry.original.destination;
    let judged = matches!(entry.proto, TCP | UDP) && !may(&flow);
    let local = flow.is_local() && to.ip() != DOCKER_DNS;
    is_dns(entry) || judged || closing && entry.proto != TCP && !local
}

fn is_dns(entry: &Entry) -> bool {
    entry.original.destination.port() == DNS && matches!(entry.proto, TCP | UDP)
}

fn flow(entry: &Entry, own: &[IpAddr]) -> Flow {
    Flow {
        proto: entry.proto,
        original: entry.original,
        answered_by: Some(entry.reply.source),
        inbound: own.contains(&entry.original.destination.ip()),
    }
}

impl Netfilter {
    /// Makes conntrack forget port 53: a socket that was diverted, or was not, would go on so for as long as it
    /// lives.
    pub(super) fn forget_dns(&mut self) -> Result<(), FenceError> {
        // Only IPv4 is ever diverted.
        if [UDP, TCP].iter().all(|proto| self.conntrack.forget_port(*proto, DNS).is_ok()) {
            return Ok(());
        }
        let entries = doing("list conntrack's entries", self.conntrack.list(is_dns))?;
        Ok(doing("delete conntrack's entries", self.conntrack.delete(entries.iter()))?)
    }

    /// Ends the flows that `may` refuses: TCP sockets are told, and conntrack forgets. It also forgets port 53,
    /// and, when closing, all that is not TCP.
    pub(super) fn cut(&mut self, may: &dyn Fn(&Flow) -> bool, closing: bool) -> Result<(), FenceError> {
        let own = doing("list the addresses", route::addresses())?;
        let entries = doing("list conntrack's entries", self.conntrack.list(|_| true))?;
        let sockets = doing("list the sockets", self.sockets.list())?;
        // As either side's socket would see the flow.
        let mut known: HashMap<(SocketAddr, SocketAddr), Flow> = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.proto == TCP) {
            let flow = flow(entry, &own);
            let Tuple { source, destination } = entry.original;
            let seen = if flow.inbound { (destination, source) } else { (source, destination) };
            known.insert(seen, flow);
        }
        let doomed: Vec<_> = sockets
            .iter()
            .filter(|socket| {
                let unknown = Flow {
                    proto: TCP,
                    original: Tuple { source: socket.local, destination: socket.peer },
                    answered_by: None,
                    inbound: false,
                };
                !may(known.get(&(socket.local, socket.peer)).unwrap_or(&unknown))
            })
            .collect();
        if !doomed.is_empty() {
            match self.sockets.destroy(&doomed) {
                // Without it the flow stands still until its programs give up: no packet of it passes.
                Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
                    crate::log::line(
                        "The kernel can't end sockets (INET_DIAG_DESTROY); old flows stand still",
                    );
                }
                other => doing("end old sockets", other)?,
            }
        }
        let forgotten = entries.iter().filter(|entry| forgets(entry, may, &own, closing));
        Ok(doing("delete conntrack's entries", self.conntrack.delete(forgotten))?)
    }
}

#[cfg(test)]
mod tests;
