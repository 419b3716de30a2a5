//! The rules as a listing that `nft -f` reads. For people and for tests: the kernel never sees it.

use std::fmt;

use clawker_protocol::enforcement::PortRange;

use super::expr::Step;
use super::rules::{Base, Chain, Ruleset, Table};
use super::sets::{Elements, Opened, Set};
use super::uapi::{NF_INET_LOCAL_IN, NFPROTO_NETDEV, NFT_SET_INTERVAL, NFT_SET_TIMEOUT};

impl Ruleset {
    /// A listing that `nft -f` reads.
    pub fn render(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.tables.iter().try_for_each(|table| table.fmt(f))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = if self.family == NFPROTO_NETDEV { "netdev" } else { "inet" };
        writeln!(f, "table {family} {} {{", self.name)?;
        if self.owned {
            writeln!(f, "\tflags owner")?;
        }
        for counter in &self.counters {
            writeln!(f, "\tcounter {counter} {{\n\t}}")?;
        }
        self.sets.iter().try_for_each(|set| set.fmt(f))?;
        self.chains.iter().try_for_each(|chain| chain.fmt(f))?;
        writeln!(f, "}}")
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = &self.base {
            base.fmt(f)?;
        }
        for rule in &self.rules {
            let steps: Vec<String> = rule.iter().map(Step::to_string).collect();
            writeln!(f, "\t\t{}", steps.join(" "))?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hook = match (&self.device, self.hook) {
            (Some(_), _) => "egress",
            (None, NF_INET_LOCAL_IN) => "input",
            (None, _) => "output",
        };
        write!(f, "\t\ttype {} hook {hook}", self.kind)?;
        if let Some(device) = &self.device {
            write!(f, " device \"{device}\"")?;
        }
        let policy = if self.drops { "drop" } else { "accept" };
        writeln!(f, " priority {}; policy {policy};", self.priority)
    }
}

pub(super) fn range(ports: PortRange) -> String {
    if ports.first() == ports.last() {
        ports.first().to_string()
    } else {
        format!("{}-{}", ports.first(), ports.last())
    }
}

impl Elements {
    fn kind(&self) -> &'static str {
        match self {
            Self::Families(_) => "nf_proto",
            Self::Services(_) | Self::Grants(_) => "ipv4_addr . inet_service : inet_service",
            Self::PortRoutes(_) => "inet_service : inet_service",
            Self::Listeners(_) | Self::GrantListeners(..) | Self::Direct4(_) => "ipv4_addr . inet_service",
            Self::Direct6(_) => "ipv6_addr . inet_service",
            Self::L4Ports(_) => "inet_proto . inet_service",
        }
    }

    fn listed(&self) -> Vec<String> {
        match self {
            Self::Families(None) => Vec::new(),
            Self::Families(Some(Opened::Indefinitely)) => vec!["ipv4".into(), "ipv6".into()],
            Self::Families(Some(Opened::For(time))) => {
                ["ipv4", "ipv6"].map(|family| format!("{family} timeout {}ms", time.as_millis())).to_vec()
            }
            Self::Services(services) => services
                .iter()
                .map(|((address, port), listener)| format!("{address} . {port} : {listener}"))
                .collect(),
            Self::Grants(running) => running
                .grants
                .iter()
                .map(|grant| {
                    let left = grant.left.as_millis();
                    format!("{} . {} timeout {left}ms : {}", grant.address, grant.port, grant.listener)
                })
                .collect(),
            Self::GrantListeners(envoy, running) => running
                .listeners()
                .iter()
                .map(|(listener, left)| format!("{envoy} . {listener} timeout {}ms", left.as_millis()))
                .collect(),
            Self::PortRoutes(routes) => {
                routes.iter().map(|(ports, listener)| format!("{} : {listener}", range(*ports))).collect()
            }
            Self::Listeners(listeners) => {
                listeners.iter().map(|(address, port)| format!("{address} . {port}")).collect()
            }
            Self::Direct4(direct) => {
                direct.iter().map(|(net, ports)| format!("{net} . {}", range(*ports))).collect()
            }
            Self::Direct6(direct) => {
                direct.iter().map(|(net, ports)| format!("{net} . {}", range(*ports))).collect()
            }
            Self::L4Ports(ports) => ports.iter().map(|(l4, port)| format!("{l4} . {port}")).collect(),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_map() { "map" } else { "set" };
        writeln!(f, "\t{word} {} {{", self.name)?;
        writeln!(f, "\t\ttype {}", self.elements.kind())?;
        if self.flags() & NFT_SET_INTERVAL != 0 {
            writeln!(f, "\t\tflags interval")?;
        }
        if self.flags() & NFT_SET_TIMEOUT != 0 {
            writeln!(f, "\t\tflags timeout")?;
        }
        let listed = self.elements.listed();
        if !listed.is_empty() {
            writeln!(f, "\t\telements = {{ {} }}", listed.join(", "))?;
        }
        writeln!(f, "\t}}")
    }
}
