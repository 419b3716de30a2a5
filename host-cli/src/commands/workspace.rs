//! `clawker workspace`: what is new in the workspace, and in the project's worktrees, that the host's git or clawker would run
//! or trust.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::cli::WorkspaceArgs;
use crate::context::Context;
use crate::exit::{FAILED, OK, Outcome};
use crate::lock::StateLock;
use crate::output::escape;
use crate::workspace::guard;
use crate::workspace::look::{Finding, Look};
use crate::{config, worktree};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct News<'a> {
    new: Vec<One<'a>>,
}

#[derive(Debug, Serialize)]
struct One<'a> {
    dir: &'a Path,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Shows, accepts or undoes it.
///
/// # Errors
/// When the workspace can't be read or something can't be set aside.
pub fn run(ctx: &Context, args: &WorkspaceArgs) -> Outcome {
    let project = config::load(&ctx.cwd, &ctx.paths)?.dir;
    let worktrees = worktree::of_project(&ctx.paths, &project)?.into_iter().map(|one| one.dir);
    let mut new: Vec<(PathBuf, Look)> = Vec::new();
    for dir in std::iter::once(project.clone()).chain(worktrees.filter(|dir| dir.is_dir())) {
        let found = guard::news(&ctx.paths, &dir)?.unwrap_or_default();
        if !found.is_empty() {
            new.push((dir, found));
        }
    }
    if ctx.output.json {
        let all = new.iter().flat_map(|(dir, look)| look.keys().map(move |finding| One { dir, finding }));
        ctx.output.value(&News { new: all.collect() })?;
    } else {
        for (dir, look) in &new {
            ctx.output.line(&crate::output::escape_lines(guard::describe(dir, look).trim_end()))?;
        }
    }
    if new.is_empty() {
        ctx.output.note(&format!("Nothing is new in {}", escape(&project.to_string_lossy())));
        return Ok(OK);
    }
    if !args.accept && !args.undo {
        return Ok(FAILED);
    }
    let _lock = StateLock::acquire(&ctx.paths)?;
    for (dir, look) in new {
        if args.accept {
            guard::accept(&ctx.paths, &dir, look)?;
        } else {
            guard::set_aside(&ctx.paths, &dir)?;
        }
    }
    Ok(OK)
}
