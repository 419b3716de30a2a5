//! What the host hands to the probe, and what the probe hands back: JSON both ways.

use std::net::{Ipv4Addr, SocketAddrV4};

use serde::{Deserialize, Serialize};

/// What is to be done in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The attacks.
    pub tasks: Vec<Task>,
    /// Where they are run.
    pub places: Places,
}

/// One attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its id in the catalogue.
    pub id: String,
    /// What must not arrive: fit for a DNS label.
    pub canary: String,
}

/// What an attacker on the inside finds out sooner or later, so it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// The container's address on its network.
    pub twin: Ipv4Addr,
    /// The addresses that the closed firewall gave to listed names, once they were asked for.
    #[serde(default)]
    pub remembered: Vec<Ipv4Addr>,
    /// The plain container beside it.
    pub neighbour: Ipv4Addr,
    /// A service of the host's at the network's gateway, where that is this machine.
    #[serde(default)]
    pub host: Option<SocketAddrV4>,
    /// The sink's address on the network of the container.
    pub sink: Ipv4Addr,
    /// Envoy.
    pub envoy: Ipv4Addr,
    /// A listener of Envoy's for the container's own policy.
    pub listener: u16,
    /// CoreDNS.
    pub coredns: Ipv4Addr,
    /// The port at which CoreDNS answers only what is listed.
    pub dns_port: u16,
    /// The port at which CoreDNS answers everything, for open containers.
    pub open_dns_port: u16,
    /// The port at which CoreDNS tells its health.
    pub health_port: u16,
}

/// What came of one attack, as the attacker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The attack.
    pub id: String,
    /// What came of it.
    pub end: End,
    /// In words: the error, or what was read.
    pub said: String,
}

/// How an attack ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All of it was done: sent, or its effect was had.
    Done,
    /// It was refused.
    Refused,
    /// This kernel or this container has nothing of the kind.
    Impossible,
}
