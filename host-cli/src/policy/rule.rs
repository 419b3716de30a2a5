//! One rule: a destination, a protocol, ports, allow or deny; and where it comes from.

use std::fmt;

use clawker_protocol::enforcement::PortRange;
use serde::{Deserialize, Serialize};

use super::dst::{Dst, DstError};
use crate::config::{Port, RawRule};

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    /// TLS, judged by SNI.
    Tls,
    /// Plain HTTP, judged by Host.
    Http,
    /// SSH, true to the name by its virtual address.
    Ssh,
    /// Any TCP, likewise.
    Tcp,
}

impl Proto {
    /// The name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Tcp => "tcp",
        }
    }

    fn parse(text: &str) -> Result<Self, RuleError> {
        match text {
            "tls" | "https" | "wss" => Ok(Self::Tls),
            "http" | "ws" => Ok(Self::Http),
            "ssh" => Ok(Self::Ssh),
            "tcp" => Ok(Self::Tcp),
            "udp" => Err(RuleError::Udp),
            _ => Err(RuleError::Proto(text.to_owned())),
        }
    }

    /// The port that it has when none is named; TCP has none.
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Tls => Some(443),
            Self::Http => Some(80),
            Self::Ssh => Some(22),
            Self::Tcp => None,
        }
    }

    /// Whether the name is in the first bytes of a connection.
    pub fn carries_its_name(self) -> bool {
        matches!(self, Self::Tls | Self::Http)
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Lets it through.
    Allow,
    /// Doesn't.
    Deny,
}

impl Action {
    /// The name in rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// Built in.
    Floor,
    /// The project's `.clawker.yaml`, as accepted.
    Project,
    /// `clawker firewall add`, for the project.
    Cli,
    /// `clawker firewall add --agent`.
    Agent,
}

impl Layer {
    /// The name in listings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Project => "project",
            Self::Cli => "cli",
            Self::Agent => "agent",
        }
    }
}

/// Why a rule can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The destination.
    #[error(transparent)]
    Dst(#[from] DstError),
    /// The protocol.
    #[error("proto \"{}\": use tls, http, ssh or tcp", .0.escape_default())]
    Proto(String),
    /// UDP.
    #[error("proto udp: no rule can open UDP; it goes nowhere but DNS")]
    Udp,
    /// The action.
    #[error("action \"{}\": use allow or deny", .0.escape_default())]
    Action(String),
    /// TCP without a port.
    #[error("proto tcp needs a port (--port N on the command line)")]
    NoPort,
    /// A range on a name.
    #[error("A range of ports is for addresses; give each port of a name its own rule")]
    RangeOfName,
    /// A wildcard where the name is not in the connection.
    #[error("A wildcard can't be told apart over {0}; list each name")]
    Wildcard(&'static str),
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where to.
    pub dst: Dst,
    /// How.
    pub proto: Proto,
    /// At which ports.
    pub ports: PortRange,
    /// Whether it may.
    pub action: Action,
    /// Who says so.
    pub layer: Layer,
    /// Where it was said: `built in`, a file with its line, or a command.
    pub place: String,
}

impl Rule {
    /// Checks what was written.
    ///
    /// # Errors
    /// [`RuleError`].
    pub fn parse(raw: &RawRule, layer: Layer, place: impl Into<String>) -> Result<Self, RuleError> {
        let dst = Dst::parse(&raw.dst)?;
        let proto = Proto::parse(raw.proto.as_deref().unwrap_or("tls"))?;
        let action = match raw.action.as_deref() {
            None | Some("allow") => Action::Allow,
            Some("deny") => Action::Deny,
            Some(other) => return Err(RuleError::Action(other.to_owned())),
        };
        let ports = match (raw.port, proto.default_port()) {
            (Some(Port(ports)), _) => ports,
            (None, Some(port)) => PortRange::single(port),
            (None, None) => return Err(RuleError::NoPort),
        };
        if dst.is_name() && ports.first() != ports.last() {
            return Err(RuleError::RangeOfName);
        }
        if dst.is_wildcard() && !proto.carries_its_name() {
            return Err(RuleError::Wildcard(proto.as_str()));
        }
        Ok(Self { dst, proto, ports, action, layer, place: place.into() })
    }

    /// A rule of the floor.
    pub(super) fn floor(name: &str) -> Option<Self> {
        let raw = RawRule { dst: name.to_owned(), proto: None, port: None, action: None };
        Self::parse(&raw, Layer::Floor, "built in").ok()
    }

    /// What it is about, as text: two rules with the same key in one file contradict each other.
    pub fn key(&self) -> String {
        format!("{}:{}:{}", self.dst, self.proto.as_str(), self.port_text())
    }

    /// The port or range.
    pub fn port_text(&self) -> String {
        if self.ports.first() == self.ports.last() {
            self.ports.first().to_string()
        } else {
            format!("{}-{}", self.ports.first(), self.ports.last())
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} port {}", self.action.as_str(), self.proto.as_str(), self.dst, self.port_text())
    }
}
