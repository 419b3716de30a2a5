//! `settings.yaml`: the user's own file, for all projects. No agent can write it.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clawker_protocol::duration;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Agent, Build, GitCredentials, RawRule, Written};

/// Cloudflare's resolvers that filter malware: what a container asks while its firewall is off.
pub const UPSTREAM_DNS: [Ipv4Addr; 2] = [Ipv4Addr::new(1, 1, 1, 2), Ipv4Addr::new(1, 0, 0, 2)];

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The firewall, for every project.
    pub firewall: FirewallSettings,
    /// Docker.
    pub docker: DockerSettings,
    /// What every agent trusts.
    pub security: SecuritySettings,
    /// What holds for every project that does not say otherwise: `agent:` as in its own file.
    pub agent: Agent,
    /// Likewise, `build:`.
    pub build: Build,
}

/// `firewall:`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FirewallSettings {
    /// Whether containers start behind it.
    pub enable: bool,
    /// A bypass's length when none is given.
    #[serde(deserialize_with = "duration", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub bypass_default: Duration,
    /// The longest bypass.
    #[serde(deserialize_with = "duration", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub bypass_max: Duration,
    /// Resolvers for listed names, and for everything while the firewall is off. Never empty.
    #[serde(deserialize_with = "some_resolvers")]
    pub upstream_dns: Vec<Ipv4Addr>,
    /// Rules for every project. Denies here are final: no project can open what they close.
    pub rules: Vec<Written<RawRule>>,
    /// Envoy's image, in place of the built-in choice.
    pub envoy_image: Option<String>,
    /// CoreDNS's image, likewise.
    pub coredns_image: Option<String>,
}

impl Default for FirewallSettings {
    fn default() -> Self {
        Self {
            enable: true,
            bypass_default: Duration::from_secs(30),
            bypass_max: Duration::from_secs(3_600),
            upstream_dns: UPSTREAM_DNS.to_vec(),
            rules: Vec::new(),
            envoy_image: None,
            coredns_image: None,
        }
    }
}

/// `docker:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DockerSettings {
    /// Where Docker listens.
    pub host: Option<String>,
}

/// `security:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecuritySettings {
    /// PEM files with roots that every agent trusts.
    pub extra_ca: Vec<PathBuf>,
    /// For every project that does not say otherwise: what an agent's git is lent of the user's.
    pub git_credentials: GitCredentials,
}

fn some_resolvers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Ipv4Addr>, D::Error> {
    let list = resolvers(deserializer)?;
    if list.is_empty() {
        return Err(serde::de::Error::custom("name at least one resolver, or leave upstream_dns out"));
    }
    Ok(list)
}

/// Addresses at which a resolver can be reached from a container.
pub(super) fn resolvers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Ipv4Addr>, D::Error> {
    let list = Vec::<Ipv4Addr>::deserialize(deserializer)?;
    match list.iter().find(|address| crate::policy::is_reserved((**address).into())) {
        Some(address) => {
            Err(serde::de::Error::custom(format!("no container can reach a resolver at {address}")))
        }
        None => Ok(list),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match duration::parse(&text) {
        Ok(length) if length >= Duration::from_secs(1) => Ok(length),
        Ok(_) => Err(serde::de::Error::custom("a bypass lasts at least 1s")),
        Err(error) => Err(serde::de::Error::custom(error)),
    }
}

fn as_text<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&duration::format(*length))
}
