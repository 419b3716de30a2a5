//! The verb that begins a project.

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  clawker init                               by what lies here and where packages come from
  clawker init --print                       show it, write nothing
  clawker init --vcs github --ssh            git over https and ssh to github.com
  clawker init --vcs git.example.com:8443    a forge of your own
  clawker init --yes --force                 ask nothing, write over what is there

Package managers are asked where they get packages; a password in such an address is never written.";

/// `clawker init`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// Open git over https: github, gitlab, bitbucket or HOST[:PORT] [default: the git remotes' hosts]
    #[arg(long, value_name = "WHICH")]
    pub vcs: Option<String>,
    /// Open git over ssh to the same hosts
    #[arg(long)]
    pub ssh: bool,
    /// Print what would be written and write nothing
    #[arg(long)]
    pub print: bool,
    /// Write over files that are there
    #[arg(long)]
    pub force: bool,
    /// Write without asking
    #[arg(short, long)]
    pub yes: bool,
}
