//! One rule: a destination, a protocol, ports, allow or deny; and where it comes from.

use std::fmt;

use clawker_protocol::enforcement::PortRange;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::dst::{Dst, DstError};
use super::path::{PathError, Paths};
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
    /// The user's `settings.yaml`, for every project.
    User,
    /// The project's `.clawker.yaml`, as accepted.
    Project,
    /// What its `telemetry` stands for.
    Telemetry,
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
            Self::User => "user",
            Self::Project => "project",
            Self::Telemetry => "telemetry",
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
    /// A large range on a name.
    #[error("A name takes a range of {MAX_RANGE} ports at most; list fewer, or an address")]
    RangeOfName,
    /// Path rules.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What looks into requests, where there are none.
    #[error("{0} is for names over tls or http")]
    NotHttp(&'static str),
    /// Inspection of plain text.
    #[error("inspect is for tls: http is looked at as it is")]
    InspectHttp,
    /// A deny with conditions.
    #[error(
        "{0} narrows an allow; a deny closes all (allow the name with path_default: allow and deny the path)"
    )]
    DenyWith(&'static str),
    /// Private space of a rule that has none.
    #[error("private is for names; an address is listed as it is")]
    PrivateOfNet,
    /// A private range that is none.
    #[error("private: \"{}\" is not an address or range", .0.escape_debug())]
    Private(String),
    /// A pin.
    #[error("resolve_as: \"{}\": only apex is known, for a wildcard (.name)", .0.escape_debug())]
    ResolveAs(String),
    /// A wildcard where the name is not in the connection.
    #[error("A wildcard can't be told apart over {0}; list each name")]
    Wildcard(&'static str),
}

/// The most ports in a range of a name: each is a listener of its own.
pub const MAX_RANGE: usize = 256;

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where to.
    pub dst: Dst,
    /// How.
    pub proto: Proto,
    /// At which ports.
    pub ports: PortRange,
    /// A user's deny that names no protocol: it holds for every protocol and port.
    pub everywhere: bool,
    /// What holds for which paths; `None` when nothing is said of them.
    pub paths: Option<Paths>,
    /// TLS is opened to look at every request.
    pub inspect: bool,
    /// Private space that the name may resolve to.
    pub private: Vec<IpNet>,
    /// Whichever name below a wildcard is asked for, its own is dialled.
    pub apex: bool,
    /// Whether it may.
    pub action: Action,
    /// Who says so.
    pub layer: Layer,
    /// Where it was said: `built in`, a file with its line, or a command.
    pub place: String,
    /// When it ends by itself: milliseconds since 1970, UTC.
    pub expires: Option<u64>,
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
        let final_deny = layer == Layer::User && action == Action::Deny;
        let everywhere = final_deny && raw.proto.is_none() && raw.port.is_none();
        if dst.is_name() && usize::from(ports.last() - ports.first()) >= MAX_RANGE {
            return Err(RuleError::RangeOfName);
        }
        if dst.is_wildcard() && !proto.carries_its_name() && !final_deny {
            return Err(RuleError::Wildcard(proto.as_str()));
        }
        let paths = Paths::parse(raw.path_rules.as_deref(), raw.path_default.as_deref())?;
        let asked = [
            (paths.is_some(), if raw.path_rules.is_some() { "path_rules" } else { "path_default" }),
            (raw.inspect, "inspect"),
            (!raw.private.is_empty(), "private"),
            (raw.resolve_as.is_some(), "resolve_as"),
        ];
        if action == Action::Deny
            && let Some((_, what)) = asked.iter().find(|(is_asked, _)| *is_asked)
        {
            return Err(RuleError::DenyWith(what));
        }
        if (paths.is_some() || raw.inspect) && !(dst.is_name() && proto.carries_its_name()) {
            return Err(RuleError::NotHttp(if raw.inspect { "inspect" } else { "path_rules" }));
        }
        if raw.inspect && proto == Proto::Http {
            return Err(RuleError::InspectHttp);
        }
        if !raw.private.is_empty() && !dst.is_name() {
            return Err(RuleError::PrivateOfNet);
        }
        let apex = match raw.resolve_as.as_deref() {
            None => false,
            Some("apex") if dst.is_wildcard() => true,
            Some(other) => return Err(RuleError::ResolveAs(other.to_owned())),
        };
        let (inspect, private) = (raw.inspect, private(&raw.private)?);
        let place = place.into();
        let expires = None;
        Ok(Self {
            dst,
            proto,
            ports,
            action,
            layer,
            place,
            everywhere,
            paths,
            inspect,
            private,
            apex,
            expires,
        })
    }

    /// A rule that says nothing but the name.
    pub(crate) fn of_name(name: &str, layer: Layer, place: &str) -> Option<Self> {
        let raw = RawRule { dst: name.to_owned(), ..RawRule::default() };
        Self::parse(&raw, layer, place).ok()
    }

    /// Whether requests are looked into.
    pub fn looks_into(&self) -> bool {
        self.inspect || self.paths.is_some()
    }

    /// Every port.
    pub fn each_port(&self) -> impl Iterator<Item = u16> + use<> {
        self.ports.first()..=self.ports.last()
    }

    /// What it opens and what it closes, each by itself, so that two versions can be compared.
    pub fn parts(&self) -> Vec<(Action, String)> {
        let head = self.head();
        let Some(paths) = &self.paths else {
            let mut parts = vec![(self.action, format!("{} {head}", self.action.as_str()))];
            parts.extend(self.conditions(&head));
            return parts;
        };
        let mut parts: Vec<(Action, String)> =
            paths.rules.iter().map(|rule| (rule.action, format!("{head}: {rule}"))).collect();
        if paths.default == Action::Allow {
            parts.push((Action::Allow, format!("allow {head}: every path that no rule denies")));
        }
        parts.extend(self.conditions(&head));
        parts
    }

    fn conditions(&self, head: &str) -> Vec<(Action, String)> {
        let private = self.private.iter().map(|net| (Action::Allow, format!("{head} may resolve to {net}")));
        let apex = self.apex.then(|| (Action::Deny, format!("{head} is dialled by the wildcard's own name")));
        private.chain(apex).collect()
    }

    fn head(&self) -> String {
        if self.everywhere {
            return format!("{} everywhere", self.dst);
        }
        format!("{} {} port {}", self.proto.as_str(), self.dst, self.port_text())
    }

    /// What it is about, as text: two rules with the same key in one file contradict each other.
    pub fn key(&self) -> String {
        if self.everywhere {
            return format!("{}:everywhere", self.dst);
        }
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
        write!(f, "{} {}", self.action.as_str(), self.head())
    }
}

fn private(texts: &[String]) -> Result<Vec<IpNet>, RuleError> {
    let mut nets = Vec::new();
    for text in texts {
        match Dst::parse(text)? {
            Dst::Net(net) => nets.push(net),
            _ => return Err(RuleError::Private(text.clone())),
        }
    }
    nets.sort();
    nets.dedup();
    Ok(nets)
}
