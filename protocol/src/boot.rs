//! The boot config: what the host writes for init before the container starts.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::enforcement::Enforcement;
use crate::names::Name;

/// The version of the boot config's form. Init refuses any other.
pub const VERSION: u32 = 1;

/// The state that a container starts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootState {
    /// The firewall is on: the default.
    #[default]
    Enforcing,
    /// The project's settings say that the firewall is off.
    Disabled,
}

/// `/run/clawker/host/boot.json`. An unknown field is an error: it could have narrowed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootConfig {
    /// [`VERSION`].
    pub v: u32,
    /// The project's name, for messages.
    pub project: Name,
    /// The agent's name, for messages.
    pub agent: Name,
    /// The state to start in.
    #[serde(default)]
    pub state: BootState,
    /// What the enforcing state lets through.
    pub enforcement: Enforcement,
    /// SHA-256 of the control secret, in hex.
    pub secret_sha256: String,
    /// What to run, and as whom.
    pub run: Run,
    /// PEM certificates that the agent must trust besides the image's own; empty when there are none.
    #[serde(default)]
    pub extra_ca_pem: String,
    /// Bounds that the host chose.
    #[serde(default)]
    pub limits: Limits,
    /// What the agent may know of its policy ([`crate::summary`]); init writes it where `clawker-init why` finds it.
    #[serde(default)]
    pub summary: String,
    /// Folders that must be mounted as the host saw them: others may replace one while the engine looks for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounted: Vec<Mounted>,
}

/// A folder, and which one it is (stat(2)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mounted {
    /// Where in the container.
    pub path: String,
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
}

/// What init runs as the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The uid; an agent's is never 0.
    pub uid: u32,
    /// The gid; an agent's is never 0.
    pub gid: u32,
    /// Groups besides the image's own; never 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// Program and arguments; never empty.
    pub command: Vec<String>,
    /// Variables set for the agent on top of the container's own.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The container has a terminal.
    #[serde(default)]
    pub tty: bool,
    /// Give the agent a session of its own with the terminal as its controlling one (a shell wants that).
    #[serde(default)]
    pub session: bool,
    /// Lets it make user namespaces, in which it holds capabilities of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub userns: bool,
    /// The folder that reaches the agent through an idmapped mount: root's on the host, the agent's in the container. Init
    /// starts nothing where it isn't, and no file gets a set-id bit. Not together with `userns`: a file's capabilities,
    /// given from a user namespace, would be root's on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idmapped: Option<String>,
}

/// Bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The longest bypass, in seconds.
    #[serde(default = "Limits::default_bypass_max")]
    pub bypass_max_seconds: u64,
    /// From the first TERM or INT to KILL, in milliseconds; below Docker's 10 s.
    #[serde(default = "Limits::default_grace")]
    pub grace_millis: u64,
    /// The event log's size at which the older half goes, in bytes.
    #[serde(default = "Limits::default_events")]
    pub events_max_bytes: u64,
}

impl Limits {
    fn default_bypass_max() -> u64 {
        3_600
    }
    fn default_grace() -> u64 {
        8_000
    }
    fn default_events() -> u64 {
        1 << 20
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bypass_max_seconds: Self::default_bypass_max(),
            grace_millis: Self::default_grace(),
            events_max_bytes: Self::default_events(),
        }
    }
}

/// Why a boot config can't be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBoot {
    /// Not JSON, or not of this form.
    #[error("Boot config is not valid")]
    Form(#[from] serde_json::Error),
    /// Written for another version.
    #[error("Boot config has version {0}, this init knows {VERSION}: rebuild the agent or update clawker")]
    Version(u32),
    /// A value that must never be.
    #[error("Boot config: {0}")]
    Value(&'static str),
}

impl BootConfig {
    /// Reads a boot config and checks every value that could weaken the fence.
    ///
    /// # Errors
    /// [`InvalidBoot`]: the container must not start its agent then.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidBoot> {
        let config: Self = versioned(bytes, VERSION)?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), InvalidBoot> {
        let run = &self.run;
        let checks = [
            (run.uid == 0 || run.gid == 0 || run.groups.contains(&0), "the agent must not be uid or gid 0"),
            (
                run.userns && run.idmapped.is_some(),
                "user namespaces and an idmapped workspace exclude each other",
            ),
            (!is_secret_hash(&self.secret_sha256), "secret_sha256 is not 64 hex digits"),
        ];
        let wrong = checks.iter().find(|(wrong, _)| *wrong).map(|(_, what)| *what);
        match wrong.or_else(|| run.mistake()).or_else(|| self.enforcement.mistake()) {
            Some(what) => Err(InvalidBoot::Value(what)),
            None => Ok(()),
        }
    }
}

impl Run {
    /// What in it can't be run; `None` when all can.
    pub(crate) fn mistake(&self) -> Option<&'static str> {
        let variable =
            |key: &str, value: &str| !(key.is_empty() || key.contains(['=', '\0']) || value.contains('\0'));
        if self.uid == u32::MAX || self.gid == u32::MAX {
            Some("uid or gid out of range")
        } else if self.command.first().is_none_or(String::is_empty) {
            Some("run.command is empty")
        } else if self.command.iter().any(|arg| arg.contains('\0')) {
            Some("run.command holds a NUL")
        } else if !self.env.iter().all(|(key, value)| variable(key, value)) {
            Some("run.env holds a name or value that can't be set")
        } else {
            None
        }
    }
}

/// Reads a config of this version. The version is looked at first, so that a newer form is named as such.
pub(crate) fn versioned<T: DeserializeOwned>(bytes: &[u8], version: u32) -> Result<T, InvalidBoot> {
    /// The one field.
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }
    let Versioned { v } = serde_json::from_slice(bytes)?;
    if v != version {
        return Err(InvalidBoot::Version(v));
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// Whether a text can be the hash of a secret.
pub(crate) fn is_secret_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(changes: &[(&str, &str)]) -> String {
        let mut text = format!(
            r#"{{"v":1,"project":"p","agent":"dev","enforcement":{{"generation":1,"envoy":"172.20.0.2",
            "coredns":"172.20.0.3","dns_port":5301,"open_dns_port":5300}},"secret_sha256":"{}",
            "run":{{"uid":1001,"gid":1001,"command":["true"]}}}}"#,
            "0".repeat(64)
        );
        for (from, to) in changes {
            text = text.replace(from, to);
        }
        text
    }

    #[test]
    fn the_smallest_config_enforces() {
        let config = BootConfig::parse(text(&[]).as_bytes()).unwrap();
        assert_eq!(config.state, BootState::Enforcing);
        assert_eq!(config.limits.bypass_max_seconds, 3600);
    }

    #[test]
    fn what_would_weaken_the_fence_is_refused() {
        for change in [
            ("\"uid\":1001", "\"uid\":0"),
            ("\"gid\":1001", "\"gid\":0"),
            ("[\"true\"]", "[]"),
            ("[\"true\"]", "[\"a\\u0000b\"]"),
            ("172.20.0.2", "127.0.0.1"),
            ("\"uid\":1001", "\"userns\":true,\"idmapped\":\"/w\",\"uid\":1001"),
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\":1,\"unknown\":true"),
            ("\"000", "\"xyz"),
            ("dev", "de v"),
        ] {
            assert!(BootConfig::parse(text(&[change]).as_bytes()).is_err(), "{change:?}");
        }
        for alone in ["\"userns\":true,\"uid\":1001", "\"idmapped\":\"/w\",\"uid\":1001"] {
            assert!(BootConfig::parse(text(&[("\"uid\":1001", alone)]).as_bytes()).is_ok(), "{alone}");
        }
        assert!(BootConfig::parse(b"").is_err());
        assert!(BootConfig::parse(b"{}").is_err());
    }
}
