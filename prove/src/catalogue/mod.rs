//! Every attack as data: what it is, what it tries, what counts as success. The code has the same id elsewhere.

mod control;
mod dns;
mod ip_kernel;
mod kernel;
mod local;
mod markdown;
pub mod needs;
mod questions;
mod quic;
pub mod rebind;
mod services;
mod six;
mod time;
mod tls_http;
pub mod told;
mod wire;

use serde::Serialize;

pub use markdown::markdown;

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Attack {
    /// Its name, for ever.
    pub id: &'static str,
    /// What it is aimed at.
    pub family: Family,
    /// One line.
    pub title: &'static str,
    /// Who tries it.
    pub who: Who,
    /// What shows that it works where nothing is in its way.
    pub control: Control,
    /// What counts as success.
    pub arrival: Arrival,
    /// Where it is known from: a paper, a tool, a standard, a fault of another's.
    pub source: &'static str,
}

/// What an attack is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Names.
    Dns,
    /// What Envoy judges.
    TlsHttp,
    /// Listed names that answer with what is not public.
    Rebinding,
    /// Packets and sockets.
    IpKernel,
    /// The container itself.
    Local,
    /// Moments of change.
    Time,
    /// Init's socket and the gateway's.
    Control,
    /// Refusals that nobody is told of.
    Told,
}

impl Family {
    /// All, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Dns,
        Self::TlsHttp,
        Self::Rebinding,
        Self::IpKernel,
        Self::Local,
        Self::Time,
        Self::Control,
        Self::Told,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::TlsHttp => "tls-http",
            Self::Rebinding => "rebinding",
            Self::IpKernel => "ip-kernel",
            Self::Local => "local",
            Self::Time => "time",
            Self::Control => "control",
            Self::Told => "told",
        }
    }
}

/// Who tries it in the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// The agent: its uid, through init's drop.
    Agent,
    /// Another uid without any privilege, past init.
    Other,
    /// root with the container's capabilities, past init: `docker exec -u 0`.
    Root,
    /// root with NET_ADMIN and NET_RAW in a container that shares its network.
    Network,
    /// root in a plain container beside it.
    Neighbour,
}

impl Who {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Agent => "the agent",
            Self::Other => "another uid",
            Self::Root => "root in the container",
            Self::Network => "root on its network, with NET_RAW",
            Self::Neighbour => "root in a container beside it",
        }
    }
}

/// Where an attack is shown to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// By the same user in the same container, with the firewall off.
    Open,
    /// By root in a plain container beside it, of the same image, without any init of ours and with more capabilities.
    Beside,
    /// By the host, which has the secret.
    Host,
    /// By a frame made by hand on its network, which passes no other rule.
    Frame,
}

impl Control {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Open => "the same with the firewall off",
            Self::Beside => "the same in a plain container beside it",
            Self::Host => "the same by the host",
            Self::Frame => "a frame made by hand",
        }
    }
}

/// What counts as success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// The canary is in any record of the sink.
    Anywhere,
    /// The canary is in a record of another host than the allowed ones: who is allowed may be told anything.
    Elsewhere,
    /// What was tried was done: read, changed, taken.
    Effect,
    /// Init did not count it, or did not log it.
    Untold,
    /// It came as far as the guard behind the rules, which counts it.
    Unmarked,
}

impl Arrival {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Anywhere => "the canary arrives",
            Self::Elsewhere => "the canary arrives at another host than the allowed one",
            Self::Effect => "it is done",
            Self::Untold => "it is not counted or not logged",
            Self::Unmarked => "the guard counts it",
        }
    }
}

/// The names that the twin's policy lists besides the user's own rules.
pub mod names {
    /// TLS, passed on unopened.
    pub const GOOD: &str = "good.example";
    /// TLS, opened: everything below [`OPEN_PATH`].
    pub const PATHS: &str = "allowed.example";
    /// What is open of [`PATHS`].
    pub const OPEN_PATH: &str = "/open/";
    /// Plain HTTP.
    pub const PLAIN: &str = "other.example";
    /// SSH.
    pub const SSH: &str = "ssh.example";
    /// Its address.
    pub const SSH_AT: std::net::Ipv4Addr = std::net::Ipv4Addr::new(198, 51, 100, 137);
    /// Likewise as a record has it.
    pub const SSH_TO: &str = "198.51.100.137:22";
    /// TLS, passed on unopened, for a while.
    pub const GRANTED: &str = "granted.example";
    /// TLS, passed on unopened, for seconds.
    pub const BRIEF: &str = "brief.example";
    /// An address that is listed, at the port of TLS.
    pub const DIRECT: std::net::Ipv4Addr = std::net::Ipv4Addr::new(198, 51, 100, 136);
    /// Likewise as a record has it.
    pub const DIRECT_TO: &str = "198.51.100.136:443";
    /// TLS, passed on unopened, with a private address that its rule opens.
    pub const PRIVATE: &str = "private.example";
    /// That address.
    pub const PRIVATE_TO: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 254, 254, 2);
    /// Listed nowhere.
    pub const EVIL: &str = "evil.example";

    /// The link's IPv6 network: of the documentation's (RFC 3849).
    pub const LINK: [u16; 4] = [0x2001, 0xdb8, 0xc1a0, 0];

    /// The IPv6 address on the link of whoever has an IPv4 one.
    pub fn on_link(address: std::net::Ipv4Addr) -> std::net::Ipv6Addr {
        let ([a, b, c, d], [w, x, y, z]) = (LINK, address.octets());
        let (high, low) = (u16::from_be_bytes([w, x]), u16::from_be_bytes([y, z]));
        std::net::Ipv6Addr::new(a, b, c, d, 0, 0, high, low)
    }
}

/// All attacks, by family.
pub fn all() -> impl Iterator<Item = &'static Attack> {
    let parts = [
        dns::ALL,
        questions::ALL,
        tls_http::ALL,
        quic::ALL,
        rebind::ALL,
        services::LOOPBACK,
        ip_kernel::ALL,
        wire::ALL,
        six::ALL,
        kernel::CALLS,
        local::ALL,
        kernel::OWN,
        time::ALL,
        control::ALL,
        services::ALL,
        told::ALL,
    ];
    parts.into_iter().flatten()
}

/// Rows of a family that agree in everything but id and title.
const fn attack(
    family: Family,
    (who, control, arrival): (Who, Control, Arrival),
    id: &'static str,
    title: &'static str,
    source: &'static str,
) -> Attack {
    Attack { id, family, title, who, control, arrival, source }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_and_titles_are_told_apart() {
        let ids: BTreeSet<_> = all().map(|attack| attack.id).collect();
        let titles: BTreeSet<_> = all().map(|attack| attack.title).collect();
        assert_eq!((ids.len(), titles.len()), (all().count(), all().count()));
        assert!(ids.len() >= 80, "{}", ids.len());
    }

    #[test]
    fn an_effect_is_never_shown_by_a_firewall_that_is_off() {
        for attack in all().filter(|attack| attack.arrival == Arrival::Effect) {
            assert_ne!(attack.control, Control::Open, "{}", attack.id);
        }
    }
}
