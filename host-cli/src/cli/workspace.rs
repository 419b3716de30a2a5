//! What is said about a project's folder.

use clap::Args;

const WORKSPACE_NOTES: &str = "\
Examples:
  clawker workspace                        shows what is new
  clawker workspace --undo                 sets it aside; nothing is deleted
  clawker workspace --accept               takes it as yours

Shown, of the worktrees too, are hooks, keys that may run programs, repositories, files and links that
lead git elsewhere, programs of a rebase, and changes of .clawkerignore: what is there now and was not
when an agent was last started or you last accepted it.
Exit code: 0 nothing is new, 1 something is.";

/// `clawker workspace`
#[derive(Debug, Args)]
#[command(after_help = WORKSPACE_NOTES)]
pub struct WorkspaceArgs {
    /// Take what is new as yours
    #[arg(long, conflicts_with = "undo")]
    pub accept: bool,
    /// Put configurations back, and rename the rest so that git does not find it; nothing is deleted
    #[arg(long)]
    pub undo: bool,
}
