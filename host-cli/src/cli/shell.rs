//! The verbs for the machine and the shell around clawker.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  clawker completions bash > ~/.local/share/bash-completion/completions/clawker
  clawker completions zsh > ~/.zfunc/_clawker
  clawker completions fish > ~/.config/fish/completions/clawker.fish

They know agents and rules, too, and stay right when clawker is updated: the shell asks clawker.";

/// `clawker completions`
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// What a shell's script asks.
#[derive(Debug, Args)]
pub struct WordsArgs {
    /// The words until now; the last one is being typed
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

const MAN_EXAMPLES: &str = "\
Examples:
  clawker man --dir ~/.local/share/man/man1";

/// `clawker man`
#[derive(Debug, Args)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// The folder to write them to
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
}

const DOCTOR_EXAMPLES: &str = "\
Examples:
  clawker doctor
  clawker doctor --fix                  mend what can be mended without you
  clawker doctor --json | jq .[].mend

--fix brings a stack up that agents need and removes halves of agents that a killed command left. It
removes nothing that runs, and changes nothing of the machine itself. Exit code 1 when a check fails.";

/// `clawker doctor`
#[derive(Debug, Args)]
#[command(after_help = DOCTOR_EXAMPLES)]
pub struct DoctorArgs {
    /// Mend what can be mended
    #[arg(long)]
    pub fix: bool,
}
