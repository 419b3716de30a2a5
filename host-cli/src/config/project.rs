//! `.clawker.yaml`: a project's own file. An agent can write it, so it takes effect only through commands of the
//! user's, after what it widens was shown and accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clawker_protocol::enforcement::PortRange;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectConfig {
    /// The project's name.
    pub project: Option<String>,
    /// What runs in the container.
    pub agent: Agent,
    /// The image.
    pub build: Build,
    /// What the agent may do.
    pub security: Security,
}

/// `agent:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// `build:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Image reference.
    pub image: Option<String>,
}

/// `security:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// PEM files with roots that the agent trusts besides the image's, relative to the project.
    pub extra_ca: Vec<PathBuf>,
    /// What it may reach.
    pub firewall: Firewall,
}

/// `security.firewall:`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Firewall {
    /// Names, for TLS on port 443.
    pub add_domains: Vec<Spanned<String>>,
    /// Everything else.
    pub rules: Vec<Spanned<RawRule>>,
    /// Resolvers for listed names, and for everything while the firewall is off.
    #[serde(deserialize_with = "super::settings::resolvers")]
    pub upstream_dns: Vec<Ipv4Addr>,
}

/// A rule as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRule {
    /// Name, `.name`, address or range.
    pub dst: String,
    /// `tls`, `http`, `ssh` or `tcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proto: Option<String>,
    /// A port, or a range as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// `allow` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
}

/// `443` or `"9000-9100"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Port(pub PortRange);

impl std::str::FromStr for Port {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("port {text:?}: write a number from 1 to 65535, or a range like \"9000-9100\"");
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ends = number(first).zip(number(last));
        ends.and_then(|(first, last)| PortRange::new(first, last)).map(Self).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PortVisitor;
        impl<'de> Visitor<'de> for PortVisitor {
            type Value = Port;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port from 1 to 65535, or a range like \"9000-9100\"")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Port, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Port, E> {
                number.to_string().parse().map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Port, E> {
                text.parse().map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut ends: A) -> Result<Port, A::Error> {
                let (first, last) = (ends.next_element::<u16>()?, ends.next_element::<u16>()?);
                let range = first.zip(last).and_then(|(first, last)| PortRange::new(first, last));
                range.map(Port).ok_or_else(|| de::Error::custom("not a port range"))
            }
        }
        deserializer.deserialize_any(PortVisitor)
    }
}
