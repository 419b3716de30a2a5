//! What init enforces: addresses, ports and where each leads. The policy's names are gone by here; only what
//! a packet shows is left. It says nothing of how it is enforced.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A closed range of ports, written in JSON as `[first, last]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(u16, u16)", into = "(u16, u16)")]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// One port.
    pub fn single(port: u16) -> Self {
        Self { first: port, last: port }
    }

    /// `first` to `last`; `None` when they are the wrong way round or `first` is 0.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first > 0 && first <= last).then_some(Self { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }

    /// Whether `port` lies in it.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = String;
    fn try_from((first, last): (u16, u16)) -> Result<Self, Self::Error> {
        Self::new(first, last).ok_or_else(|| format!("{first}-{last} is not a port range"))
    }
}

impl From<PortRange> for (u16, u16) {
    fn from(range: PortRange) -> Self {
        (range.first, range.last)
    }
}

/// The longest time that a service with an end can have left.
pub const GRANT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The transport protocols that a rule can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP: used for published ports only; no rule opens UDP egress.
    Udp,
}

/// A virtual address and port that lead to an Envoy listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The name's virtual address.
    pub address: Ipv4Addr,
    /// The port that the agent dials.
    pub port: u16,
    /// The Envoy listener's port. One with an end has a listener of its own: by it, packets of an open flow are
    /// known.
    pub listener: u16,
    /// When it ends by itself, with its open flows: milliseconds since 1970, UTC. Absent is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// Ports that lead to an Envoy listener whatever the address: it judges by SNI or Host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRoute {
    /// The ports that the agent dials.
    pub ports: PortRange,
    /// The Envoy listener's port.
    pub listener: u16,
}

/// An address range that the policy lists by number: reached directly, without Envoy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Direct {
    /// The destination.
    pub net: IpNet,
    /// The ports (TCP only).
    pub ports: PortRange,
}

/// A published port: inbound flows that the host declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// TCP or UDP.
    pub transport: Transport,
    /// The port inside the container.
    pub port: u16,
}

/// Everything that the enforcing state lets through, and where it leads. An empty one lets nothing through
/// but loopback and DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enforcement {
    /// Counts up with each change of the policy; shown in `status`.
    pub generation: u64,
    /// Envoy's address.
    pub envoy: Ipv4Addr,
    /// CoreDNS's address.
    pub coredns: Ipv4Addr,
    /// CoreDNS's port for this policy.
    pub dns_port: u16,
    /// CoreDNS's open forwarder, reachable only in bypass and disabled.
    pub open_dns_port: u16,
    /// Virtual addresses.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Ports judged by SNI or Host.
    #[serde(default)]
    pub port_routes: Vec<PortRoute>,
    /// Listed addresses and ranges.
    #[serde(default)]
    pub direct: Vec<Direct>,
    /// Published ports.
    #[serde(default)]
    pub published: Vec<Published>,
}

impl Enforcement {
    /// What in it must never be put into force; `None` when it is sound. Asked at the start and at every change.
    pub fn mistake(&self) -> Option<&'static str> {
        let is_containers = |address: Ipv4Addr| {
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast())
        };
        let no_listener = self.services.iter().any(|service| service.port == 0 || service.listener == 0)
            || self.port_routes.iter().any(|route| route.listener == 0);
        if self.dns_port == 0 || self.open_dns_port == 0 {
            Some("a DNS port is 0")
        } else if !is_containers(self.envoy) || !is_containers(self.coredns) {
            Some("the address of Envoy or CoreDNS is not one of a container")
        } else if no_listener {
            Some("a service's port is 0")
        } else if self.shares_a_timed_listener() {
            Some("a service with an end shares its listener with what ends at another time or never")
        } else {
            None
        }
    }

    /// Whether a listener would outlive the service that leads to it.
    fn shares_a_timed_listener(&self) -> bool {
        let timed = || self.services.iter().filter(|service| service.expires.is_some());
        timed().any(|timed| {
            let differs =
                |other: &Service| other.listener == timed.listener && other.expires != timed.expires;
            self.services.iter().any(differs)
                || self.port_routes.iter().any(|route| route.listener == timed.listener)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_the_wrong_way_round_is_refused() {
        assert!(serde_json::from_str::<PortRange>("[5,4]").is_err());
        assert!(serde_json::from_str::<PortRange>("[0,4]").is_err());
        assert_eq!(serde_json::from_str::<PortRange>("[4,5]").ok(), PortRange::new(4, 5));
    }

    #[test]
    fn what_leads_nowhere_is_a_mistake() {
        let with = |from: &str, to: &str| {
            let text = r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,
                           "open_dns_port":5300,"services":[{"address":"10.0.0.1","port":443,"listener":99}],
                           "port_routes":[{"ports":[80,80],"listener":98}]}"#;
            serde_json::from_str::<Enforcement>(&text.replace(from, to)).unwrap().mistake()
        };
        assert_eq!(with("", ""), None);
        for (from, to) in [
            ("172.20.0.2", "0.0.0.0"),
            ("172.20.0.2", "127.0.0.1"),
            ("172.20.0.3", "127.0.0.11"),
            ("172.20.0.3", "255.255.255.255"),
            ("172.20.0.3", "224.0.0.1"),
            ("5301", "0"),
            ("5300", "0"),
            ("443", "0"),
            ("99", "0"),
            ("98", "0"),
        ] {
            assert!(with(from, to).is_some(), "{from} -> {to}");
        }
    }

    #[test]
    fn a_listener_never_outlives_the_service_that_ends() {
        let with = |services: &str| {
            let text = format!(
                r#"{{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,"open_dns_port":5300,
                    "services":[{services}],"port_routes":[{{"ports":[80,80],"listener":98}}]}}"#
            );
            serde_json::from_str::<Enforcement>(&text).unwrap().mistake()
        };
        let timed = r#"{"address":"10.0.0.1","port":443,"listener":99,"expires":5}"#;
        assert_eq!(with(timed), None);
        assert_eq!(with(&[timed, &timed.replace("443", "444")].join(",")), None, "two that end together");
        for other in [timed.replace(",\"expires\":5", ""), timed.replace(":5}", ":6}")] {
            assert!(with(&format!("{timed},{other}")).is_some(), "{other}");
            assert!(with(&format!("{other},{timed}")).is_some(), "{other}");
        }
        assert!(with(&timed.replace("99", "98")).is_some(), "shared with a routed port");
    }

    #[test]
    fn an_unknown_field_is_an_error_so_that_nothing_that_narrows_is_lost() {
        let text = r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,
                       "open_dns_port":5300,"deny":[]}"#;
        assert!(serde_json::from_str::<Enforcement>(text).is_err());
    }
}
