//! What the host remembers of a project: the copy of its file that was accepted, and the rules that commands added.
//! Policies are made of this, never of `.clawker.yaml` itself, which the agent can write.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::build::{self, Asked, SourceError, Sources};
use crate::config::{ConfigError, FILE, Loaded, RawRule, SETTINGS, Settings, Telemetry, Written};
use crate::grant;
use crate::lent::Lending;
use crate::lock::StateLock;
use crate::paths::Paths;
use crate::policy::{Action, Layer, Policy, PolicyError, Proto, Rule, RuleError};
use crate::store::{self, StoreError};

/// Why a project's rules can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// Its file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Its state.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rules against each other.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// What its image is made of.
    #[error(transparent)]
    Build(#[from] SourceError),
}

/// A project's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its folder, for people.
    pub dir: PathBuf,
    /// Its file as it was accepted.
    #[serde(default)]
    pub accepted: Option<Accepted>,
    /// Rules that commands added.
    #[serde(default)]
    pub cli: Vec<CliRule>,
}

/// What was accepted of a project's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Rules, those of `add_domains` among them.
    pub rules: Vec<FileRule>,
    /// Resolvers in place of the user's.
    pub upstream_dns: Vec<Ipv4Addr>,
    /// Certificates.
    pub extra_ca: Vec<Ca>,
    /// Third parties' telemetry.
    #[serde(default, skip_serializing_if = "Telemetry::is_none")]
    pub telemetry: Telemetry,
    /// TLS to every name of the file is inspected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inspect: bool,
    /// User namespaces.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub userns: bool,
    /// Variables of the host that the agent is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from_env: Vec<String>,
    /// Files with variables that it is given, links resolved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<PathBuf>,
    /// What of the project it does not see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// It holds Docker's socket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub docker_socket: bool,
    /// What of the user's it is lent.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub lent: BTreeSet<Lending>,
    /// What its image is made of, in the build's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build: Vec<Asked>,
}

/// A rule of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    /// The rule.
    pub rule: RawRule,
    /// `file:line`.
    pub place: String,
}

/// Certificates of a file, as they were when they were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ca {
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub pem: String,
}

/// A rule of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CliRule {
    /// The rule.
    pub rule: RawRule,
    /// For one agent only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// When it ends by itself: milliseconds since 1970, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// 8 hex digits of a project's folder.
pub fn id(dir: &Path) -> String {
    Sha256::digest(dir.as_os_str().as_encoded_bytes())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether anything is remembered of a folder.
pub fn is_remembered(paths: &Paths, dir: &Path) -> bool {
    file(paths, dir).exists()
}

fn file(paths: &Paths, dir: &Path) -> PathBuf {
    paths.projects().join(format!("{}.json", id(dir)))
}

impl Project {
    /// What is remembered of a folder, without what has ended by itself: the next change forgets that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(paths: &Paths, dir: &Path) -> Result<Self, StoreError> {
        let loaded: Option<Self> = store::load(&file(paths, dir))?;
        let mut project = loaded.unwrap_or_else(|| Self { dir: dir.to_owned(), ..Self::default() });
        let now = grant::now();
        project.cli.retain(|rule| !grant::is_over(rule.expires, now));
        Ok(project)
    }

    /// Remembers it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, paths: &Paths, _lock: &StateLock) -> Result<(), StoreError> {
        store::save(&file(paths, &self.dir), self)
    }

    /// Whether an agent has rules of its own, and so a policy of its own.
    pub fn is_apart(&self, agent: &Name) -> bool {
        self.cli.iter().any(|rule| rule.agent.as_ref() == Some(agent))
    }

    /// The rules that hold for all its agents, or for one.
    ///
    /// # Errors
    /// [`ProjectError`].
    pub fn policy(&self, settings: &Settings, agent: Option<&Name>) -> Result<Policy, ProjectError> {
        let mut rules = of_user(settings)?;
        if let Some(accepted) = &self.accepted {
            rules.extend(accepted.parsed()?);
        }
        for one in &self.cli {
            let layer = match &one.agent {
                None => Layer::Cli,
                Some(name) if Some(name) == agent => Layer::Agent,
                Some(_) => continue,
            };
            let rule = Rule::parse(&one.rule, layer, "clawker firewall add")?;
            rules.push(Rule { expires: one.expires, ..rule });
        }
        Ok(Policy::new(rules)?)
    }

    /// Resolvers for listed names.
    pub fn upstream_dns<'a>(&'a self, of_user: &'a [Ipv4Addr]) -> &'a [Ipv4Addr] {
        self.accepted
            .as_ref()
            .map(|accepted| accepted.upstream_dns.as_slice())
            .filter(|own| !own.is_empty())
            .unwrap_or(of_user)
    }
}

impl Accepted {
    /// What a project's file asks for, each value checked, each mistake with its place.
    ///
    /// # Errors
    /// [`ProjectError`].
    pub fn wanted(loaded: &Loaded) -> Result<Self, ProjectError> {
        let firewall = &loaded.config.security.firewall;
        let names = firewall.add_domains.iter().map(|name| {
            let rule = RawRule { dst: name.value.clone(), ..RawRule::default() };
            let Written { file, line, column, .. } = name.clone();
            (Written { value: rule, file, line, column }, "add_domains")
        });
        let written = firewall.rules.iter().map(|rule| (rule.clone(), "rules"));
        let mut rules = Vec::new();
        for (rule, key) in names.chain(written) {
            let at = |message: String| {
                ConfigError::at(&rule.file, rule.line, rule.column, format!("{key}: {message}"))
            };
            let parsed =
                Rule::parse(&rule.value, Layer::Project, "").map_err(|error| at(error.to_string()))?;
            if key == "add_domains" && !parsed.dst.is_name() {
                return Err(at("takes names; write an address into rules".to_owned()).into());
            }
            let place = rule.place(&loaded.dir);
            rules.push(FileRule { rule: rule.value, place });
        }
        let mut extra_ca = Vec::new();
        for path in &loaded.config.security.extra_ca {
            extra_ca.push(Ca { path: path.clone(), pem: certificates(&loaded.dir.join(path))? });
        }
        let agent = &loaded.config.agent;
        let accepted = Self {
            rules,
            from_env: if loaded.is_of_user("agent.from_env") { vec![] } else { agent.from_env.clone() },
            env_files: if loaded.is_of_user("agent.env_file") { vec![] } else { loaded.env_files.clone() },
            lent: Lending::wanted(loaded).filter(|lending| !loaded.is_of_user(lending.key())).collect(),
            upstream_dns: firewall.upstream_dns.clone(),
            extra_ca,
            telemetry: firewall.telemetry,
            userns: loaded.config.security.userns,
            ignore: loaded.config.workspace.ignore.clone(),
            docker_socket: loaded.config.security.docker_socket,
            inspect: firewall.inspect,
            build: build::wanted(loaded, &Sources::read(loaded)?),
        };
        Policy::new(accepted.parsed()?)?;
        Ok(accepted)
    }

    /// Its rules, those that its switches stand for among them.
    pub(crate) fn parsed(&self) -> Result<Vec<Rule>, RuleError> {
        let mut rules = Vec::new();
        for one in &self.rules {
            let mut rule = Rule::parse(&one.rule, Layer::Project, one.place.as_str())?;
            let opens_tls = rule.dst.is_name() && rule.proto == Proto::Tls && rule.action == Action::Allow;
            rule.inspect |= self.inspect && opens_tls;
            rules.push(rule);
        }
        let place = format!("{FILE}: telemetry");
        rules.extend(
            self.telemetry.names().iter().filter_map(|name| Rule::of_name(name, Layer::Telemetry, &place)),
        );
        Ok(rules)
    }
}

/// The rules of the user's settings.
///
/// # Errors
/// [`ProjectError::Config`] with the place.
pub fn of_user(settings: &Settings) -> Result<Vec<Rule>, ProjectError> {
    let parsed = settings.firewall.rules.iter().map(|one| {
        let place = format!("{SETTINGS}:{}", one.line);
        Rule::parse(&one.value, Layer::User, place).map_err(|error| {
            ConfigError::at(Path::new(SETTINGS), one.line, one.column, format!("rules: {error}")).into()
        })
    });
    parsed.collect()
}

/// The certificates of a PEM file.
///
/// # Errors
/// [`ConfigError`] when it can't be read, holds none, or holds a private key.
pub fn certificates(path: &Path) -> Result<String, ConfigError> {
    let failed = |error| ConfigError::read(path, error);
    let text = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(text).map_err(|_| failed(std::io::Error::other("not a PEM file")))?;
    if text.contains("PRIVATE KEY-----") {
        return Err(failed(std::io::Error::other("it holds a private key; list certificates alone")));
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(failed(std::io::Error::other("it holds no PEM certificate")));
    }
    Ok(text)
}
