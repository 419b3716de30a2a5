//! How a worktree stands: what is checked out in it, who works in it, and whether anything in it would be lost. Git looks into
//! it only where nothing is new that it would run.

use std::path::Path;

use serde::Serialize;

use super::host::HostGit;
use super::{Worktree, share};
use crate::context::Context;
use crate::exit::Failure;
use crate::launch::Interrupt;
use crate::output::escape;
use crate::workspace::beneath::Beneath;
use crate::workspace::guard;
use crate::workspace::look::Kind;

/// A line of `clawker worktree list`.
#[derive(Debug, Serialize)]
pub struct Standing {
    /// The branch that it was made for.
    pub branch: String,
    /// What is checked out: a branch, a commit's id, or null where that can't be told.
    pub head: Option<String>,
    /// Its folder.
    pub dir: String,
    /// The agents that work in it, running or not.
    pub agents: Vec<String>,
    /// Whether something is not committed; null where it can't be told.
    pub dirty: Option<bool>,
    /// It is there, and leads where it did.
    pub intact: bool,
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Head {
    Branch(String),
    Commit(String),
}

fn head(worktree: &Worktree) -> Option<Head> {
    let root = Beneath::open(&worktree.project_dir).ok()?;
    let text = root.read(&worktree.git_dir.join("HEAD"), 4096).ok()?;
    let text = std::str::from_utf8(&text).ok()?.trim_end();
    match text.strip_prefix("ref: ") {
        Some(reference) => {
            Some(Head::Branch(reference.strip_prefix("refs/heads/").unwrap_or(reference).to_owned()))
        }
        None if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Some(Head::Commit(text.to_owned()))
        }
        None => None,
    }
}

/// How it stands.
///
/// # Errors
/// When state can't be read.
pub fn of(ctx: &Context, git: &HostGit, worktree: &Worktree) -> Result<Standing, Failure> {
    let intact = worktree.is_intact();
    let agents = worktree.agents(&ctx.paths)?;
    let dirty = match intact && is_settled(ctx, worktree)? {
        true => git.is_dirty(worktree, &share::common(worktree)).ok(),
        false => None,
    };
    Ok(Standing {
        branch: worktree.branch.to_string(),
        head: head(worktree).map(|head| match head {
            Head::Branch(name) | Head::Commit(name) => name,
        }),
        dir: worktree.dir.to_string_lossy().into_owned(),
        agents: agents.iter().map(|agent| agent.agent.to_string()).collect(),
        dirty,
        intact,
    })
}

/// Whether nothing is new that git would run, in the folder and in its part of the repository.
fn is_settled(ctx: &Context, worktree: &Worktree) -> Result<bool, Failure> {
    let of_folder = guard::news(&ctx.paths, &worktree.dir)?.is_some_and(|new| new.is_empty());
    let of_repository = guard::news(&ctx.paths, &worktree.project_dir)?.is_some_and(|new| {
        let below_git = |path: &Path| path.starts_with(".git");
        !new.values().any(|path| below_git(path))
    });
    Ok(of_folder && of_repository)
}

/// Why it should not be removed: what would be lost.
///
/// # Errors
/// When it can't be looked at.
pub fn kept_by(
    ctx: &Context,
    git: &HostGit,
    worktree: &Worktree,
    interrupt: &Interrupt,
) -> Result<Option<String>, Failure> {
    let dir = escape(&worktree.dir.to_string_lossy());
    if !worktree.is_intact() {
        return Ok(Some(format!("{dir} does not lead where it did; look what is in it")));
    }
    if !is_settled(ctx, worktree)? {
        return Ok(Some("Something is new that git would run; look at it: clawker workspace".to_owned()));
    }
    if git.is_dirty(worktree, &share::common(worktree))? {
        return Ok(Some(format!("{dir} holds work that is not committed; see git status there")));
    }
    if let Some(path) = guard::first(&worktree.dir, Kind::Repository)? {
        return Ok(Some(format!("{dir} holds a repository of its own, {}", escape(&path))));
    }
    let Some(Head::Commit(id)) = head(worktree) else { return Ok(None) };
    let words = ["for-each-ref", "--count=1", "--contains", &id, "--format=%(refname)"];
    if git.must(&words, interrupt)?.is_empty() {
        return Ok(Some(format!(
            "{id} is checked out in it, and on no branch; name it: git branch NAME {id}"
        )));
    }
    Ok(None)
}
