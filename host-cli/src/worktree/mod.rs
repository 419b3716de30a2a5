//! Git worktrees of a project's repository: a folder and a branch for each agent, so that several work at the same time.
//! What the host remembers of them, and where they lie. The project they belong to is known by this record alone, never by
//! what stands in the folder, which an agent can write.

pub mod host;
pub mod make;
pub mod name;
pub mod share;
pub mod state;

use std::io;
use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use name::{Branch, Wanted};

use crate::config::Loaded;
use crate::context::Context;
use crate::exit::Failure;
use crate::output::escape;
use crate::paths::{Paths, PathsError};
use crate::project;
use crate::store::{self, AgentRecord, StoreError};
use crate::workspace::beneath::Beneath;
use crate::workspace::guard;

/// A worktree that clawker made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worktree {
    /// The project's name.
    pub project: Name,
    /// The project's folder, canonical: the main checkout.
    pub project_dir: PathBuf,
    /// The branch that it was made for.
    pub branch: Branch,
    /// Its folder, canonical.
    pub dir: PathBuf,
    /// Its folder in the repository, from the project's: `.git/worktrees/NAME`. Empty until it is made.
    pub git_dir: PathBuf,
    /// The commit where its branch began, where the branch was made with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    /// It is whole. Until then no agent has seen it.
    pub whole: bool,
}

impl Worktree {
    /// For a project's branch; nothing is there yet.
    ///
    /// # Errors
    /// When there is no home.
    pub fn new(paths: &Paths, loaded: &Loaded, branch: &Branch) -> Result<Self, PathsError> {
        let of_project = format!("{}-{}", loaded.project, project::id(&loaded.dir));
        Ok(Self {
            project: loaded.project.clone(),
            project_dir: loaded.dir.clone(),
            branch: branch.clone(),
            dir: paths.worktrees()?.join(of_project).join(branch.folder()),
            git_dir: PathBuf::new(),
            made_at: None,
            whole: false,
        })
    }

    fn file(paths: &Paths, project_dir: &Path, branch: &Branch) -> PathBuf {
        let text = [project_dir.as_os_str().as_encoded_bytes(), b"\0", branch.as_str().as_bytes()].concat();
        let digits: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        folder(paths).join(format!("{digits}.json"))
    }

    /// What is remembered of a branch's worktree.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn load(paths: &Paths, project_dir: &Path, branch: &Branch) -> Result<Option<Self>, StoreError> {
        store::load(&Self::file(paths, project_dir, branch))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn save(&self, paths: &Paths) -> Result<(), StoreError> {
        store::save(&Self::file(paths, &self.project_dir, &self.branch), self)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn forget(&self, paths: &Paths) -> Result<(), StoreError> {
        store::remove(&Self::file(paths, &self.project_dir, &self.branch))
    }

    /// Its folder in the repository.
    pub fn git_dir(&self) -> PathBuf {
        self.project_dir.join(&self.git_dir)
    }

    /// Whether folder and repository still lead to each other as they did when it was made.
    pub fn is_intact(&self) -> bool {
        let leads = || -> io::Result<bool> {
            let link = Beneath::open(&self.dir)?.read(Path::new(".git"), 4096)?;
            let commondir = Beneath::open(&self.project_dir)?.read(&self.git_dir.join("commondir"), 4096)?;
            Ok(self.gitdir_of(&link).as_deref() == Some(&self.git_dir()) && commondir == b"../..\n")
        };
        self.whole && leads().unwrap_or(false)
    }

    /// Where a `.git` file leads.
    fn gitdir_of(&self, file: &[u8]) -> Option<PathBuf> {
        let text = std::str::from_utf8(file).ok()?.strip_prefix("gitdir: ")?;
        std::fs::canonicalize(self.dir.join(text.strip_suffix('\n').unwrap_or(text))).ok()
    }

    /// The agents that work in it, running or not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn agents(&self, paths: &Paths) -> Result<Vec<AgentRecord>, StoreError> {
        let mut agents = store::agents(paths)?;
        agents.retain(|agent| agent.worktree.as_deref() == Some(&self.dir));
        Ok(agents)
    }
}

fn folder(paths: &Paths) -> PathBuf {
    paths.state.join("worktrees")
}

/// All worktrees of a project, by branch.
///
/// # Errors
/// [`StoreError`].
pub fn of_project(paths: &Paths, project_dir: &Path) -> Result<Vec<Worktree>, StoreError> {
    let mut all: Vec<Worktree> = store::load_all(&folder(paths))?;
    all.retain(|worktree| worktree.project_dir == project_dir);
    all.sort_by(|a, b| a.branch.as_str().cmp(b.branch.as_str()));
    Ok(all)
}

/// The worktree that a folder lies in.
///
/// # Errors
/// [`StoreError`].
pub fn around(paths: &Paths, cwd: &Path) -> Result<Option<Worktree>, StoreError> {
    let all: Vec<Worktree> = store::load_all(&folder(paths))?;
    Ok(all.into_iter().find(|worktree| cwd.starts_with(&worktree.dir)))
}

/// All folders that a project's agents work in, for who stands in one of them: the project's own first.
///
/// # Errors
/// [`StoreError`].
pub fn family(paths: &Paths, cwd: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let all: Vec<Worktree> = store::load_all(&folder(paths))?;
    let here = all.iter().find(|one| cwd.starts_with(&one.dir) || cwd.starts_with(&one.project_dir));
    let Some(project) = here.map(|one| one.project_dir.clone()) else { return Ok(Vec::new()) };
    let of_project = all.into_iter().filter(|one| one.whole && one.project_dir == project);
    let folders: Vec<PathBuf> = of_project.map(|one| one.dir).collect();
    Ok([vec![project], folders].concat())
}

/// The worktree that a run is for: the one that is asked for, else the one that the user stands in.
///
/// # Errors
/// [`StoreError`].
pub fn chosen(paths: &Paths, cwd: &Path, asked: Option<&Wanted>) -> Result<Option<Wanted>, StoreError> {
    match asked {
        Some(wanted) => Ok(Some(wanted.clone())),
        None => Ok(around(paths, cwd)?.map(|found| Wanted { branch: found.branch, base: None })),
    }
}

/// The agent's name where none is given: the branch's, or as near as it comes.
///
/// # Errors
/// When nothing of the branch's name is left.
pub fn default_agent(branch: &Branch) -> Result<Name, Failure> {
    branch.agent().ok_or_else(|| {
        Failure::usage(format!(
            "No agent can be named after {}; name it: --agent NAME",
            escape(branch.as_str())
        ))
    })
}

/// Before an agent's later start: shows what is new in its worktree, and finds it where it was.
///
/// # Errors
/// When the user does not accept it, or it is gone.
pub fn check_again(ctx: &Context, record: &AgentRecord, yes: bool) -> Result<(), Failure> {
    let Some(dir) = &record.worktree else { return Ok(()) };
    match around(&ctx.paths, dir)? {
        Some(worktree) if worktree.is_intact() => guard::settle(ctx, dir, yes),
        Some(worktree) => Err(share::gone(&worktree)),
        None => Err(Failure::new(format!(
            "The worktree of {0} is gone; remove the agent: clawker rm {0}",
            record.agent
        ))),
    }
}

#[cfg(test)]
mod tests;
