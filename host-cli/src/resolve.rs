//! Which agent is meant: by its name in the project that the user stands in, or by its container's name
//! anywhere. Looks at records only, never at files that an agent can write, so that no agent can hide from the
//! command that fences it.

use std::path::Path;

use clawker_protocol::names::Name;

use crate::paths::Paths;
use crate::store::{self, AgentRecord, StoreError};
use crate::worktree;

/// The agent's name when nothing names one and the project has none or several.
pub const DEFAULT_AGENT: &str = "dev";

/// Why no agent is meant.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Not a name at all.
    #[error(transparent)]
    Name(#[from] clawker_protocol::names::InvalidName),
    /// No such agent here.
    #[error("No agent \"{agent}\" in {folder}; see clawker ps -a, or make it: clawker run --agent {agent}")]
    Unknown {
        /// The name.
        agent: String,
        /// Where it was looked for.
        folder: String,
    },
    /// Records can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The record of the agent that is meant.
///
/// # Errors
/// [`ResolveError`].
pub fn agent(paths: &Paths, cwd: &Path, given: Option<&str>) -> Result<AgentRecord, ResolveError> {
    let records = store::agents(paths)?;
    // In a worktree: the agent that works there, else those of its project.
    let around = worktree::around(paths, cwd)?;
    let mut there = records
        .iter()
        .filter(|one| around.as_ref().is_some_and(|worktree| one.worktree.as_deref() == Some(&worktree.dir)));
    if let (None, Some(only), None) = (given, there.next(), there.next()) {
        return Ok(only.clone());
    }
    let cwd = around.as_ref().map_or(cwd, |worktree| &worktree.project_dir);
    let at = {
        let candidates: Vec<Candidate<'_>> = records.iter().map(Candidate::from).collect();
        choose(&candidates, cwd, given)?
    };
    let unknown = || ResolveError::Unknown {
        agent: given.unwrap_or(DEFAULT_AGENT).to_owned(),
        folder: crate::output::escape(&cwd.to_string_lossy()),
    };
    at.and_then(|at| records.into_iter().nth(at)).ok_or_else(unknown)
}

/// What the choice looks at.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    project_dir: &'a Path,
    agent: &'a str,
    container: &'a str,
}

impl<'a> From<&'a AgentRecord> for Candidate<'a> {
    fn from(record: &'a AgentRecord) -> Self {
        Self { project_dir: &record.project_dir, agent: record.agent.as_str(), container: &record.container }
    }
}

/// The position of the one that is meant. The nearest folder above `cwd` wins.
fn choose(
    candidates: &[Candidate<'_>],
    cwd: &Path,
    given: Option<&str>,
) -> Result<Option<usize>, clawker_protocol::names::InvalidName> {
    if let Some(container) = given.filter(|text| text.starts_with("clawker.")) {
        return Ok(candidates.iter().position(|candidate| candidate.container == container));
    }
    let wanted = given.map(Name::new).transpose()?;
    let here = |candidate: &Candidate<'_>| cwd.starts_with(candidate.project_dir);
    let depth = |candidate: &Candidate<'_>| candidate.project_dir.components().count();
    let by_name = |name: &str| {
        let matching = candidates.iter().enumerate().filter(|(_, one)| here(one) && one.agent == name);
        matching.max_by_key(|(_, one)| depth(one)).map(|(at, _)| at)
    };
    if let Some(name) = wanted {
        return Ok(by_name(name.as_str()));
    }
    let nearest = candidates.iter().filter(|one| here(one)).map(depth).max();
    let mut only = candidates.iter().enumerate().filter(|(_, one)| here(one) && Some(depth(one)) == nearest);
    Ok(match (only.next(), only.next()) {
        (Some((at, _)), None) => Some(at),
        _ => by_name(DEFAULT_AGENT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate<'a>(dir: &'a str, agent: &'a str, container: &'a str) -> Candidate<'a> {
        Candidate { project_dir: Path::new(dir), agent, container }
    }

    #[test]
    fn the_agent_that_is_meant_is_the_one_that_is_found() {
        let all = [
            candidate("/p", "dev", "clawker.p.dev"),
            candidate("/p", "api", "clawker.p.api"),
            candidate("/p/inner", "solo", "clawker.inner.solo"),
            candidate("/q", "only", "clawker.q.only"),
        ];
        for (cwd, given, expected) in [
            ("/p", Some("dev"), Some(0)),
            ("/p/src/deep", Some("api"), Some(1)),
            ("/p", None, Some(0)),
            ("/q", None, Some(3)),
            ("/p/inner", None, Some(2)),
            ("/p/inner", Some("dev"), Some(0)),
            ("/q", Some("dev"), None),
            ("/elsewhere", None, None),
            ("/pp", Some("dev"), None),
            ("/elsewhere", Some("clawker.p.api"), Some(1)),
            ("/p", Some("clawker.p.other"), None),
        ] {
            assert_eq!(choose(&all, Path::new(cwd), given), Ok(expected), "{cwd} {given:?}");
        }
        assert!(choose(&all, Path::new("/p"), Some("my agent")).is_err());
    }
}
