//! What an agent changed in a copy of the project, and how it comes back.

use std::path::PathBuf;

use clap::Args;

const DIFF_NOTES: &str = "\
Examples:
  clawker diff dev                   what the agent changed in its copy
  clawker diff dev src --stat        of one folder, in numbers
  clawker diff dev --raw | git apply --index

For agents with --mode snapshot, whether they run, are stopped or removed. What was pulled is not
shown again. Control characters are shown as \\u{...}; --raw writes them as they are.
Exit code: 0, also where something changed; with --exit-code 1 then.";

/// `clawker diff`
#[derive(Debug, Args)]
#[command(after_help = DIFF_NOTES, override_usage = "clawker diff [OPTIONS] [AGENT] [PATH]...")]
pub struct DiffArgs {
    /// The agent [default: the project's only one, else dev], and the paths to look at [default: all]
    #[arg(value_name = "AGENT|PATH")]
    pub words: Vec<PathBuf>,
    /// The agent; all words are paths then
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only how many lines, file by file
    #[arg(long, conflicts_with = "name_only")]
    pub stat: bool,
    /// Only the names
    #[arg(long)]
    pub name_only: bool,
    /// New files that .gitignore names, too
    #[arg(long)]
    pub ignored: bool,
    /// Write contents as they are, for a program
    #[arg(long, conflicts_with_all = ["stat", "name_only"])]
    pub raw: bool,
    /// Exit with 1 where something changed
    #[arg(long)]
    pub exit_code: bool,
}

const PULL_NOTES: &str = "\
Examples:
  clawker pull dev                   shows what would come, asks, and writes it
  clawker pull dev src --yes         of one folder, without asking
  clawker pull dev --beside          where both sides changed a file, writes FILE.dev beside yours
  clawker pull dev --commits         the agent's branches, as clawker/dev/BRANCH

What you changed since the copy is never overwritten, but by --theirs. Held back are what is in a
.git, links that lead out of the project and what .clawkerignore names; without --with-config also
.clawker.yaml, .clawkerignore, .gitattributes and .gitmodules. Nothing of the agent's is run.
Exit code: 0 all came, 1 something was held back, is in conflict, or was declined.";

/// `clawker pull`
#[derive(Debug, Args)]
#[command(after_help = PULL_NOTES, override_usage = "clawker pull [OPTIONS] [AGENT] [PATH]...")]
pub struct PullArgs {
    /// The agent [default: the project's only one, else dev], and the paths to bring [default: all]
    #[arg(value_name = "AGENT|PATH")]
    pub words: Vec<PathBuf>,
    /// The agent; all words are paths then
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Accept what is shown
    #[arg(short, long)]
    pub yes: bool,
    /// Only show it
    #[arg(short = 'n', long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// Where both sides changed a file, take the agent's: yours is lost
    #[arg(long, conflicts_with = "beside")]
    pub theirs: bool,
    /// Where both sides changed a file, write the agent's as FILE.AGENT beside yours
    #[arg(long)]
    pub beside: bool,
    /// New files that .gitignore names, too
    #[arg(long)]
    pub ignored: bool,
    /// Files that git or clawker reads by itself, too
    #[arg(long)]
    pub with_config: bool,
    /// Bring the agent's branches, and no files
    #[arg(long, conflicts_with_all = ["yes", "dry_run", "theirs", "beside", "ignored", "with_config"])]
    pub commits: bool,
}
