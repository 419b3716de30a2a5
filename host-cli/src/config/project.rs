//! `.clawker.yaml`: a project's own file. An agent can write it, so it takes effect only through commands of the
//! user's, after what it widens was shown and accepted.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use clawker_protocol::enforcement::PortRange;
use schemars::JsonSchema;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::Written;
use crate::recipe::Instructions;

/// The whole file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectConfig {
    /// The project's name.
    pub project: Option<String>,
    /// What runs in the container.
    pub agent: Agent,
    /// The image.
    pub build: Build,
    /// How the project reaches it.
    pub workspace: super::Workspace,
    /// What the agent may do.
    pub security: Security,
    /// How much of the machine it may eat.
    pub limits: super::Limits,
}

/// `agent:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Agent {
    /// Files with variables (`NAME=value`, dotenv quoting), relative to this file.
    pub env_file: Vec<PathBuf>,
    /// Variables of this machine that are passed on, over those of the files.
    pub from_env: Vec<String>,
    /// Variables, over both.
    pub env: BTreeMap<String, String>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Shell commands that run once in a new container, as the agent, before it starts.
    pub post_init: Option<String>,
    /// Whom it runs as: `auto`, the default, is the owner of the project's folder where that is an ordinary user, else
    /// 1001; `host` is whoever calls clawker; or a number.
    pub uid: Uid,
    /// What Claude Code finds of the user's.
    pub claude_code: ClaudeCode,
}

/// `agent.uid`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Uid {
    /// The folder's owner, or 1001.
    #[default]
    Auto,
    /// Whoever calls clawker.
    Host,
    /// This one.
    Number(u32),
}

impl<'de> Deserialize<'de> for Uid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match (text.as_str(), text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            ("host", _) => Ok(Self::Host),
            // The last number means that nobody is changed.
            (_, Ok(uid)) if uid != 0 && uid != u32::MAX => Ok(Self::Number(uid)),
            _ => Err(de::Error::custom(
                "auto, host or the number of an ordinary user is expected here; never 0",
            )),
        }
    }
}

impl Serialize for Uid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Host => serializer.serialize_str("host"),
            Self::Number(uid) => serializer.serialize_u32(*uid),
        }
    }
}

impl JsonSchema for Uid {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Uid".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "anyOf": [{ "enum": ["auto", "host"] }, { "type": "integer", "minimum": 1 }] })
    }
}

/// `agent.claude_code:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaudeCode {
    /// Whether the agent is given this machine's login to Claude, once, when its volume is made.
    pub use_host_auth: bool,
    /// Its settings.
    pub config: ClaudeConfig,
}

/// `agent.claude_code.config:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaudeConfig {
    /// What a new agent begins with: nothing (`fresh`, the default), or a `copy` of the user's settings, commands,
    /// agents and skills.
    pub strategy: Strategy,
}

/// What an agent's configuration begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Nothing.
    #[default]
    Fresh,
    /// A copy of the user's.
    Copy,
}

/// `build:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Build {
    /// Image reference: what agents run in, or what is built upon.
    pub image: Option<String>,
    /// A Dockerfile in the place of `image`, relative to this file. It may copy what `instructions.copy` names.
    pub dockerfile: Option<PathBuf>,
    /// Packages of the image's distribution: Debian, Ubuntu or Alpine.
    pub packages: Vec<String>,
    /// What else is done to the image.
    pub instructions: Instructions,
}

/// `security:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Security {
    /// PEM files with roots that the agent trusts besides the image's, relative to the project.
    pub extra_ca: Vec<PathBuf>,
    /// Whether the agent may make user namespaces, in which it holds capabilities of their own.
    pub userns: bool,
    /// Whether the agent holds Docker's socket, and with it this machine. Off by default.
    pub docker_socket: bool,
    /// What the agent's git is lent of the user's.
    pub git_credentials: GitCredentials,
    /// What it may reach.
    pub firewall: Firewall,
}

/// `security.git_credentials:`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GitCredentials {
    /// Name and address of the user's git go along, and nothing else of its configuration. The default.
    pub copy_git_config: bool,
    /// Git over HTTPS asks this machine's credential helper, for hosts that the policy lists. Off by default.
    pub forward_https: bool,
    /// SSH signs with this machine's ssh-agent, for hosts that the policy lists. Off by default.
    pub forward_ssh: bool,
}

impl Default for GitCredentials {
    fn default() -> Self {
        Self { copy_git_config: true, forward_https: false, forward_ssh: false }
    }
}

/// `security.firewall:`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Firewall {
    /// Names, for TLS on port 443.
    pub add_domains: Vec<Written<String>>,
    /// Everything else.
    pub rules: Vec<Written<RawRule>>,
    /// Whether third parties' telemetry is open: `third-party`, or `none`, the default.
    pub telemetry: Telemetry,
    /// Inspect TLS to every name of this file.
    pub inspect: bool,
    /// Resolvers for listed names, and for everything while the firewall is off.
    #[serde(deserialize_with = "super::settings::resolvers")]
    pub upstream_dns: Vec<Ipv4Addr>,
}

/// `telemetry:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Telemetry {
    /// Only what goes to the API's own host.
    #[default]
    None,
    /// Ingest hosts that take anyone's keys, too.
    ThirdParty,
}

impl Telemetry {
    /// Whether it is the default.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// A rule as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// What holds for which paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_rules: Option<Vec<RawPathRule>>,
    /// What holds for every other path: `allow` or `deny`, the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_default: Option<String>,
    /// Open TLS to look at every request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inspect: bool,
    /// Private addresses that this name may resolve to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private: Vec<String>,
    /// `apex`: whichever name below is asked for, the wildcard's own is dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve_as: Option<String>,
}

/// A path rule as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPathRule {
    /// A prefix, or `~` and a pattern.
    pub path: String,
    /// Only for these methods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
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
