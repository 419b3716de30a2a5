//! What a project's file asks for beyond what was accepted before: shown as a diff, and taken only after a yes.
//! Narrowing needs no question.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use bollard::Docker;

use crate::apply::ApplyError;
use crate::build;
use crate::config::Loaded;
use crate::docker_socket;
use crate::exit::{self, Failure};
use crate::lock::StateLock;
use crate::paths::Paths;
use crate::policy::{self, Action};
use crate::project::{Accepted, Project, ProjectError};
use crate::step::{self, StepError};

/// What a file asks for beyond what was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Widening {
    /// The files, the nearest first; without any the project's folder.
    pub files: Vec<PathBuf>,
    /// The diff: `+` is new, `-` is a limit that goes.
    pub lines: Vec<String>,
}

impl fmt::Display for Widening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        let asks = if files.len() == 1 { "asks" } else { "ask" };
        writeln!(f, "{} {asks} for more than was accepted:", files.join(", "))?;
        for line in &self.lines {
            writeln!(f, "  {line}")?;
        }
        f.write_str("Accept it?")
    }
}

/// Takes a project's file as it is now; asks first where it widens. What comes back is to be stored and put into
/// force: `None` where it is what was accepted before.
///
/// # Errors
/// When the file is wrong or what it widens was not accepted.
pub fn accept(
    before: &Project,
    loaded: &Loaded,
    ask: &mut dyn FnMut(&Widening) -> Result<bool, Failure>,
) -> Result<Option<Project>, Failure> {
    let mut project = before.clone();
    let wanted = Accepted::wanted(loaded)?;
    if project.accepted.as_ref() == Some(&wanted) {
        return Ok(None);
    }
    let lines = widening(project.accepted.as_ref(), &wanted)?;
    if !lines.is_empty() {
        let files = if loaded.files.is_empty() { vec![loaded.dir.clone()] } else { loaded.files.clone() };
        if !ask(&Widening { files, lines })? {
            return Err(Failure::new("Not accepted; what was in force still is"));
        }
    }
    project.accepted = Some(wanted);
    // With the rules of commands it must hold together as well.
    let agents: Vec<_> = project.cli.iter().filter_map(|rule| rule.agent.clone()).collect();
    for agent in std::iter::once(None).chain(agents.iter().map(Some)) {
        project.policy(&loaded.settings, agent)?;
    }
    Ok(Some(project))
}

/// What the files ask for beyond what was accepted: the lines that would be asked about.
///
/// # Errors
/// When a file is wrong.
pub fn pending(project: &Project, loaded: &Loaded) -> Result<Vec<String>, ProjectError> {
    widening(project.accepted.as_ref(), &Accepted::wanted(loaded)?)
}

/// Brings a project's file, as it is now, into force for the agents that it has: for a command that starts another one.
///
/// # Errors
/// As [`accept`], or when the change can't be made.
pub async fn take(
    docker: &Docker,
    paths: &Paths,
    lock: &StateLock,
    loaded: &Loaded,
    ask: &mut dyn FnMut(&Widening) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    step::settle(docker, paths, lock, &loaded.settings).await?;
    let before = Project::load(paths, &loaded.dir)?;
    let Some(after) = accept(&before, loaded, ask)? else { return Ok(()) };
    match step::make(docker, paths, lock, &loaded.settings, (&before, &after)).await {
        Ok(_) => Ok(()),
        // Of another agent, which is no reason not to start this one.
        Err(error @ StepError::Apply(ApplyError::Unreached(..))) => {
            crate::output::complain(&exit::chain(&error));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The diff's lines.
fn widening(old: Option<&Accepted>, new: &Accepted) -> Result<Vec<String>, ProjectError> {
    let nothing = Accepted::default();
    let old = old.unwrap_or(&nothing);
    let rules = |accepted: &Accepted, action: Action| -> Result<BTreeSet<String>, ProjectError> {
        let parts = accepted.parsed()?.into_iter().flat_map(|rule| rule.parts());
        Ok(parts.filter(|(of, _)| *of == action).map(|(_, text)| text).collect())
    };
    let built_in: BTreeSet<String> =
        policy::built_in().flat_map(|rule| rule.parts()).map(|(_, text)| text).collect();
    let mut lines = Vec::new();
    let (before, after) = (rules(old, Action::Allow)?, rules(new, Action::Allow)?);
    let new_allows = after.difference(&before).filter(|rule| !built_in.contains(*rule));
    lines.extend(new_allows.map(|rule| format!("+ {rule}")));
    let (before, after) = (rules(old, Action::Deny)?, rules(new, Action::Deny)?);
    lines.extend(before.difference(&after).map(|rule| format!("- {rule}")));
    if new.upstream_dns != old.upstream_dns {
        let list: Vec<String> = new.upstream_dns.iter().map(ToString::to_string).collect();
        let list = if list.is_empty() { "the user's".to_owned() } else { list.join(", ") };
        lines.push(format!("+ ask these resolvers: {list}"));
    }
    for ca in new.extra_ca.iter().filter(|ca| !old.extra_ca.iter().any(|known| known.pem == ca.pem)) {
        lines.push(format!("+ trust the certificates of {}", ca.path.display()));
    }
    if new.userns && !old.userns {
        lines.push(
            "+ user namespaces: in one the agent holds capabilities, and meets more of the kernel".to_owned(),
        );
    }
    if new.docker_socket && !old.docker_socket {
        lines.push(format!("+ {}", docker_socket::QUESTION));
    }
    let shown = old.ignore.iter().filter(|pattern| !new.ignore.contains(pattern));
    lines.extend(shown.map(|pattern| format!("- hide {pattern}")));
    let of_host = new.from_env.iter().filter(|name| !old.from_env.contains(name));
    lines.extend(of_host.map(|name| format!("+ give the agent this machine's variable {name}")));
    let files = new.env_files.iter().filter(|file| !old.env_files.contains(file));
    lines.extend(files.map(|file| format!("+ give the agent the variables in {}", file.display())));
    lines.extend(new.lent.difference(&old.lent).map(|lending| format!("+ {}", lending.question())));
    lines.extend(build::widening(&old.build, &new.build));
    Ok(lines)
}

#[cfg(test)]
mod tests;
