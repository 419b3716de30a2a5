//! Whose copy is meant: an agent's that is there, or one whose container is gone and whose copy was kept.

use std::path::{Path, PathBuf};

use clawker_protocol::names::{Name, agent_id};

use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::Failure;
use crate::resolve::{self, DEFAULT_AGENT, ResolveError};
use crate::store::AgentRecord;
use crate::{ours, snapshot};

/// Whose.
#[derive(Debug)]
pub struct Whose {
    /// The agent's id.
    pub id: String,
    /// Its name.
    pub agent: Name,
    /// What its volumes are named after, whether there is a container or not.
    pub container: String,
    /// The project's folder.
    pub dir: PathBuf,
    /// Its record, if it is there.
    pub record: Option<AgentRecord>,
    /// The copy's number.
    pub number: String,
}

impl Whose {
    /// Finds it.
    ///
    /// # Errors
    /// When there is no such agent, or it has no copy.
    pub async fn find(ctx: &Context, engine: &Engine, given: Option<&str>) -> Result<Self, Failure> {
        let mut found = match resolve::agent(&ctx.paths, &ctx.cwd, given) {
            Ok(record) => Self {
                id: record.id.clone(),
                agent: record.agent.clone(),
                container: record.volumes(&ctx.paths),
                dir: record.project_dir.clone(),
                record: Some(record),
                number: String::new(),
            },
            Err(ResolveError::Unknown { .. }) => {
                let loaded = config::load(&ctx.cwd, &ctx.paths)?;
                let agent = Name::new(given.unwrap_or(DEFAULT_AGENT))?;
                Self {
                    id: agent_id(loaded.dir.as_os_str().as_encoded_bytes(), &agent),
                    container: ctx.paths.agent_container(&loaded.project, &agent),
                    agent,
                    dir: loaded.dir,
                    record: None,
                    number: String::new(),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let whole = snapshot::whole(&ctx.paths, engine, &found.container, &found.id).await?;
        found.number = whole.ok_or_else(|| {
            let agent = &found.agent;
            Failure::new(match found.record {
                Some(_) => format!(
                    "Agent {agent} works in the project itself, not in a copy; see what changed with git, or give it a \
                     copy: clawker run --mode snapshot --agent {agent}"
                ),
                None => format!("No agent {agent} has a copy of {}; see clawker ps -a", found.dir.display()),
            })
        })?;
        Ok(found)
    }

    /// Whether its container runs.
    pub async fn runs(&self, engine: &Engine) -> bool {
        match &self.record {
            Some(record) => ours::running(engine, record).await.is_ok(),
            None => false,
        }
    }
}

/// The agent and the paths: the first word is the agent unless an option names it, as with `exec`.
pub fn split<'a>(agent: Option<&'a str>, words: &'a [PathBuf]) -> (Option<&'a str>, &'a [PathBuf]) {
    match (agent, words.split_first().and_then(|(first, rest)| Some((first.to_str()?, rest)))) {
        (None, Some((first, rest))) => (Some(first), rest),
        (agent, _) => (agent, words),
    }
}

/// Paths as they were typed, from the project's folder. None means all.
///
/// # Errors
/// One that lies elsewhere.
pub fn paths(typed: &[PathBuf], cwd: &Path, dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    typed
        .iter()
        .map(|typed| {
            let mut path = PathBuf::new();
            for part in cwd.join(typed).components() {
                match part {
                    std::path::Component::ParentDir => {
                        path.pop();
                    }
                    std::path::Component::CurDir => {}
                    part => path.push(part),
                }
            }
            path.strip_prefix(dir).map(Path::to_owned).map_err(|_| {
                Failure::usage(format!("{} does not lie in the project {}", typed.display(), dir.display()))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_from_where_the_user_stands() {
        let (cwd, dir) = (Path::new("/p/sub"), Path::new("/p"));
        let one = |typed: &str| paths(&[PathBuf::from(typed)], cwd, dir).ok();
        for (typed, expected) in [
            ("x", Some("sub/x")),
            ("../y/./z/", Some("y/z")),
            ("/p/a", Some("a")),
            ("..", Some("")),
            ("../../q", None),
            ("/etc", None),
        ] {
            assert_eq!(one(typed), expected.map(|path| vec![PathBuf::from(path)]), "{typed}");
        }
    }

    #[test]
    fn the_first_word_is_the_agent_unless_it_was_named() {
        let words = ["dev".into(), "src".into()];
        assert_eq!(split(None, &words), (Some("dev"), &words[1..]));
        assert_eq!(split(Some("api"), &words), (Some("api"), &words[..]));
        assert_eq!(split(None, &[]), (None, &[][..]));
    }
}
