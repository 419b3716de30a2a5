//! What is said about a project's worktrees.

use clap::{Args, Subcommand};

use crate::worktree::{Wanted, name};

/// What `clawker worktree` shows.
pub const EXAMPLES: &str = "\
Examples:
  clawker run --worktree feature-x --detach    an agent of that name, on that branch
  clawker worktree list
  clawker worktree remove feature-x";

/// `clawker worktree`
#[derive(Debug, Subcommand)]
pub enum WorktreeCommand {
    /// Make a branch's worktree, or find it, and print its folder
    Add(WorktreeAddArgs),
    /// List the project's worktrees
    #[command(
        after_help = "Examples:\n  clawker worktree list\n  clawker worktree list --json | jq -r .[].dir"
    )]
    List,
    /// End a worktree; its branch stays
    Remove(WorktreeRemoveArgs),
}

const ADD_EXAMPLES: &str = "\
Examples:
  clawker worktree add feature-x            a new branch from HEAD, or the branch that is there
  clawker worktree add fix/login:origin/main

clawker run --worktree BRANCH[:BASE] does the same and starts an agent in it.";

/// `clawker worktree add`
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub struct WorktreeAddArgs {
    /// The branch, and where it begins if it is new [default: HEAD]
    #[arg(value_name = "BRANCH[:BASE]", value_parser = name::parse)]
    pub branch: Wanted,
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  clawker worktree remove feature-x
  clawker worktree remove --force feature-x    with what is not committed

The branch and its commits stay: git branch -D deletes them.";

/// `clawker worktree remove`
#[derive(Debug, Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub struct WorktreeRemoveArgs {
    /// The branch that it was made for
    #[arg(value_name = "BRANCH")]
    pub branch: String,
    /// With what is not committed
    #[arg(short, long)]
    pub force: bool,
}
