//! `clawker worktree`: the folders in which a project's agents work on branches of their own.

use crate::cli::{WorktreeAddArgs, WorktreeCommand, WorktreeRemoveArgs};
use crate::config;
use crate::context::Context;
use crate::exit::{Failure, OK, Outcome};
use crate::launch::Interrupt;
use crate::output::{escape, table};
use crate::worktree::host::HostGit;
use crate::worktree::{self, Branch, Worktree, make, state};

/// Does what is asked for.
///
/// # Errors
/// When git does not do it, or something would be lost.
pub fn dispatch(ctx: &Context, command: &WorktreeCommand) -> Outcome {
    match command {
        WorktreeCommand::Add(args) => add(ctx, args),
        WorktreeCommand::List => list(ctx),
        WorktreeCommand::Remove(args) => remove(ctx, args),
    }
}

fn add(ctx: &Context, args: &WorktreeAddArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    ctx.warn(&loaded);
    super::run::check_workspace(ctx, &loaded)?;
    let ready = make::ensure(ctx, &loaded, &args.branch, false, &Interrupt::watch()?)?;
    if ctx.output.json {
        let git = HostGit::new(&loaded.dir)?;
        ctx.output.value(&state::of(ctx, &git, &ready.worktree)?)?;
    } else {
        ctx.output.line(&escape(&ready.worktree.dir.to_string_lossy()))?;
    }
    Ok(OK)
}

fn list(ctx: &Context) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let git = HostGit::new(&loaded.dir)?;
    let all = worktree::of_project(&ctx.paths, &loaded.dir)?;
    let all: Result<Vec<_>, _> =
        all.iter().filter(|one| one.whole).map(|one| state::of(ctx, &git, one)).collect();
    let all = all?;
    if ctx.output.json {
        ctx.output.value(&all)?;
        return Ok(OK);
    }
    if all.is_empty() {
        ctx.output.note("No worktrees; make one: clawker run --worktree BRANCH");
        return Ok(OK);
    }
    let mut rows = vec![["BRANCH", "AGENTS", "STATE", "FOLDER"].map(str::to_owned).to_vec()];
    for one in all {
        let state = match (one.intact, one.dirty) {
            (false, _) => "gone",
            (true, Some(true)) => "dirty",
            (true, Some(false)) => "clean",
            (true, None) => "new, see clawker workspace",
        };
        let branch = match &one.head {
            Some(head) if *head != one.branch => format!("{} (now {})", one.branch, escape(head)),
            _ => one.branch,
        };
        let agents = if one.agents.is_empty() { "-".to_owned() } else { one.agents.join(",") };
        rows.push(vec![escape(&branch), agents, state.to_owned(), escape(&one.dir)]);
    }
    ctx.output.line(table(&rows).trim_end())?;
    Ok(OK)
}

fn remove(ctx: &Context, args: &WorktreeRemoveArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let branch = Branch::new(&args.branch).map_err(|error| Failure::usage(error.to_string()))?;
    let found = Worktree::load(&ctx.paths, &loaded.dir, &branch)?.ok_or_else(|| {
        Failure::new(format!("No worktree for {branch} in this project; see clawker worktree list"))
    })?;
    make::remove(ctx, &found, args.force, &Interrupt::watch()?)?;
    ctx.output.line(&escape(branch.as_str()))?;
    ctx.output.note("Branches and commits are kept; git branch -D deletes one");
    Ok(OK)
}
