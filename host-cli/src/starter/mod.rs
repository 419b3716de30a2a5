//! What `clawker init` writes: a project's first `.clawker.yaml` and `.clawkerignore`, made of what lies in its folder
//! and of where this machine's package managers get their packages. Only hosts and ports come out of what is read,
//! never an address as it is written: such addresses hold passwords and tokens. No program is started inside of the
//! project, whose files may choose what it would run.

mod endpoint;
mod host;
mod ignore;
mod language;
mod packages;
mod remote;
mod render;

#[cfg(test)]
mod tests;

use std::path::Path;

use clawker_protocol::names::Name;

pub use host::{Host, Machine};
pub use language::Language;
pub use render::yaml;

use crate::config::{Port, RawRule};
use crate::policy::{Layer, Policy, PolicyError, Proto, Rule, RuleError};
use endpoint::Endpoint;

/// What the user asked for beyond what can be seen.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// `github`, `gitlab`, `bitbucket`, or a host, with its port.
    pub vcs: Option<String>,
    /// Git over SSH.
    pub ssh: bool,
}

/// Why there is no draft.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// `--vcs`.
    #[error("--vcs takes github, gitlab, bitbucket, or a host like git.example.com:8443: {0}")]
    Vcs(String),
    /// `--ssh` of nothing.
    #[error("--ssh: no git remote is known here; name its host with --vcs")]
    SshOfNothing,
}

/// One destination and why it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The rule.
    pub rule: RawRule,
    /// Who says so, in a few words.
    pub why: String,
}

/// A project's first configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its name.
    pub project: Name,
    /// What it is written in.
    pub languages: Vec<Language>,
    /// What its agents may reach.
    pub lines: Vec<Line>,
    /// What could not become a rule, and why.
    pub notes: Vec<String>,
}

impl Draft {
    /// Looks at a folder and asks the machine.
    ///
    /// # Errors
    /// [`DraftError`]: what was asked for makes no sense. What can't be found out is a note.
    pub fn of(dir: &Path, project: Name, wishes: &Wishes, host: &dyn Host) -> Result<Self, DraftError> {
        let languages = language::detect(dir);
        let mut draft = Self { project, languages, lines: Vec::new(), notes: Vec::new() };
        for language in draft.languages.clone() {
            let found = packages::of(language, dir, host);
            found.endpoints.into_iter().for_each(|(endpoint, why)| draft.add(&endpoint, why));
            draft.notes.extend(found.notes);
        }
        for (endpoint, why) in remote::rules(dir, wishes, host)? {
            draft.add(&endpoint, why);
        }
        Ok(draft)
    }

    fn add(&mut self, endpoint: &Endpoint, why: String) {
        let rule = match rule(endpoint) {
            Ok(rule) => rule,
            Err(error) => return self.notes.push(format!("{why}: {error}")),
        };
        match self.lines.iter_mut().find(|line| line.rule == rule) {
            Some(line) if line.why.contains(&why) => {}
            Some(line) => line.why = format!("{}; {why}", line.why),
            None => self.lines.push(Line { rule, why }),
        }
    }

    /// Reads the rules as `run` will.
    ///
    /// # Errors
    /// When two of them contradict each other, which is a fault of the draft.
    pub fn check(&self) -> Result<Policy, PolicyError> {
        let parsed = self.lines.iter().filter_map(|line| Rule::parse(&line.rule, Layer::Project, "").ok());
        Policy::new(parsed)
    }
}

/// The rule for an endpoint, in its shortest form.
fn rule(endpoint: &Endpoint) -> Result<RawRule, RuleError> {
    let number: Option<std::net::IpAddr> = endpoint.host.parse().ok();
    // An address has no name that could be looked for in the connection.
    let proto = if number.is_some() && endpoint.proto != Proto::Ssh { Proto::Tcp } else { endpoint.proto };
    let port = (proto.default_port() != Some(endpoint.port)).then_some(endpoint.port);
    let port = port.and_then(|port| port.to_string().parse::<Port>().ok());
    let proto = (proto != Proto::Tls).then(|| proto.as_str().to_owned());
    let rule = RawRule { dst: endpoint.host.clone(), proto, port, ..RawRule::default() };
    Rule::parse(&rule, Layer::Project, "")?;
    Ok(rule)
}

/// `.clawkerignore` for these languages.
pub fn ignore_file(languages: &[Language]) -> String {
    ignore::text(languages)
}
