//! What can be typed: one definition from which parsing, help and completions come. It never does anything.

mod config;
mod firewall;
mod init;
mod passed;
mod pull;
mod rule;
mod run;
mod shell;
mod verbs;
mod workspace;
mod worktree;

use clap::{Args, Parser, Subcommand};

pub use config::{Config, SchemaArgs};
pub use firewall::{
    AddArgs, BypassArgs, DownArgs, Firewall, LearnArgs, ListArgs, LogArgs, ReloadArgs, RemoveArgs,
    RotateCaArgs, StatusArgs, ToggleArgs, UpArgs, WhyArgs,
};
pub use init::InitArgs;
pub use passed::PassedArgs;
pub use pull::{DiffArgs, PullArgs};
pub use rule::{ActionArg, RuleArgs};
pub use run::{BuildArgs, ExecArgs, RunArgs, ShellArgs};
pub use shell::{CompletionsArgs, DoctorArgs, ManArgs, Shell, WordsArgs};
pub use verbs::{CpArgs, InspectArgs, KillArgs, PauseArgs, RenameArgs, RestartArgs, StatsArgs, WaitArgs};
pub use workspace::WorkspaceArgs;
pub use worktree::{WorktreeAddArgs, WorktreeCommand, WorktreeRemoveArgs};

/// The help's width, in columns.
pub const WIDTH: usize = 98;

const EXAMPLES: &str = "\
Examples:
  clawker run                              Claude Code in this folder, behind the firewall
  clawker run --image alpine -- sh         any image, any command
  clawker firewall add .example.com        open one more site to this project's agents
  clawker firewall bypass 30s --agent dev  open everything for half a minute
  clawker doctor                           what is wrong here, and the command that mends it";

/// Runs coding agents in containers that can reach only what you list.
#[derive(Debug, Parser)]
#[command(name = "clawker", version, max_term_width = WIDTH, after_help = EXAMPLES)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Print data by a template: its fields are those of --json
    #[arg(long, global = true, value_name = "TEMPLATE", conflicts_with = "json")]
    pub format: Option<String>,
    /// Print no notes and no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Begin a project: write .clawker.yaml and .clawkerignore
    Init(InitArgs),
    /// Make the agent image ready
    Build(BuildArgs),
    /// Create an agent's container, start it and attach
    Run(Box<RunArgs>),
    /// List agents
    Ps(PsArgs),
    /// Print what an agent's container wrote
    Logs(LogsArgs),
    /// Attach to a running agent
    Attach(AttachArgs),
    /// Run a command beside the agent, as the agent's user and behind the same fence
    Exec(Box<ExecArgs>),
    /// Open a shell beside the agent
    Shell(ShellArgs),
    /// Stop agents
    Stop(StopArgs),
    /// Start stopped agents
    Start(StartArgs),
    /// Stop and start agents, behind the policy as it is now
    Restart(RestartArgs),
    /// Have agents stand still
    Pause(PauseArgs),
    /// Let paused agents go on
    Unpause(PauseArgs),
    /// Send agents a signal
    Kill(KillArgs),
    /// Wait for agents' ends and print their exit codes
    Wait(WaitArgs),
    /// Copy files between here and an agent
    Cp(CpArgs),
    /// Show what an agent changed in its copy of the project
    Diff(DiffArgs),
    /// Bring what an agent changed in its copy to the project
    Pull(PullArgs),
    /// Remove agents
    Rm(RmArgs),
    /// Show what agents use of the machine
    Stats(StatsArgs),
    /// Print all that is known of an agent, as JSON
    Inspect(InspectArgs),
    /// Give a stopped agent another name
    Rename(RenameArgs),
    /// The firewall: its stack, its rules, and one agent's switch
    #[command(subcommand)]
    Firewall(Firewall),
    /// The configuration: what holds here, and what can be written
    #[command(subcommand)]
    Config(Config),
    /// Check kernel, Docker, images, stack and state, and mend what can be mended
    Doctor(DoctorArgs),
    /// Show what is new in the workspace that the host's git would run or trust
    Workspace(WorkspaceArgs),
    /// Worktrees of the project's repository, for agents on several branches at a time
    #[command(subcommand, after_help = worktree::EXAMPLES)]
    Worktree(WorktreeCommand),
    /// Attack a twin of an agent, on a made-up internet, and tell what held
    Prove(ProveArgs),
    /// Print a shell's completions
    Completions(CompletionsArgs),
    /// Write the manual pages
    Man(ManArgs),
    /// What a shell's completions ask
    #[command(name = "__complete", hide = true)]
    Words(WordsArgs),
    /// Print versions
    #[command(after_help = "Examples:\n  clawker version\n  clawker version --json")]
    Version,
    /// Answer for what one agent is lent, until its container ends
    #[command(hide = true)]
    Lend(LendArgs),
}

/// `clawker lend`
#[derive(Debug, Args)]
pub struct LendArgs {
    /// The agent's id.
    pub id: String,
}

impl Command {
    /// An option that we don't know and the parser took for the program's first word. After `--` it is one.
    pub fn stray_option(&self, dashes: bool) -> Option<&str> {
        match self {
            Self::Exec(args) => {
                args.words.first().filter(|word| !dashes && word.starts_with('-')).map(String::as_str)
            }
            _ => None,
        }
    }

    /// Whether the exit code is that of a program in the container, so that ours is 125.
    pub fn returns_program_code(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Exec(_) | Self::Shell(_) | Self::Attach(_))
    }
}

/// Names one agent, in either way.
#[derive(Debug, Clone, Default, Args)]
pub struct OneAgent {
    /// The agent [default: the project's only one, else dev]
    #[arg(value_name = "NAME", conflicts_with = "agent")]
    pub name: Option<String>,
    /// The same, as an option
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}

impl OneAgent {
    /// The name that was given.
    pub fn given(&self) -> Option<&str> {
        self.name.as_deref().or(self.agent.as_deref())
    }
}

/// Names several agents.
#[derive(Debug, Clone, Default, Args)]
pub struct SomeAgents {
    /// The agents [default: the project's only one, else dev]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The same, as an option
    #[arg(long = "agent", value_name = "NAME")]
    pub agents: Vec<String>,
}

impl SomeAgents {
    /// What was given; one `None` when nothing was.
    pub fn given(&self) -> Vec<Option<&str>> {
        let given: Vec<_> = self.names.iter().chain(&self.agents).map(|name| Some(name.as_str())).collect();
        if given.is_empty() { vec![None] } else { given }
    }
}

const PS_EXAMPLES: &str = "\
Examples:
  clawker ps                              what runs, of every project
  clawker ps -a                           stopped agents too
  clawker ps --json | jq -r .[].agent";

/// `clawker ps`
#[derive(Debug, Args)]
#[command(after_help = PS_EXAMPLES)]
pub struct PsArgs {
    /// Stopped agents too
    #[arg(short, long)]
    pub all: bool,
}

const LOGS_EXAMPLES: &str = "\
Examples:
  clawker logs -f dev
  clawker logs -n 50 --timestamps

What the firewall refused is in clawker firewall log.";

/// `clawker logs`
#[derive(Debug, Args)]
#[command(after_help = LOGS_EXAMPLES)]
pub struct LogsArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: OneAgent,
    /// Go on as more is written
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<u32>,
    /// Begin each line with its time
    #[arg(short, long)]
    pub timestamps: bool,
}

const ATTACH_EXAMPLES: &str = "\
Examples:
  clawker attach dev
  clawker attach --detach-keys ctrl-x dev";

/// `clawker attach`
#[derive(Debug, Args)]
#[command(after_help = ATTACH_EXAMPLES)]
pub struct AttachArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: OneAgent,
    /// Keys that detach
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS)]
    pub detach_keys: String,
    /// Send nothing of standard input
    #[arg(long)]
    pub no_stdin: bool,
}

/// Docker's own detach keys.
pub const DETACH_KEYS: &str = "ctrl-p,ctrl-q";

const STOP_EXAMPLES: &str = "\
Examples:
  clawker stop              this project's only agent
  clawker stop api web
  clawker stop -t 30 api    it has half a minute to end";

/// `clawker stop`
#[derive(Debug, Args)]
#[command(after_help = STOP_EXAMPLES)]
pub struct StopArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
    /// Seconds until it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub time: i32,
}

const START_EXAMPLES: &str = "\
Examples:
  clawker start api web
  clawker start -a dev    and attach

An agent starts behind the firewall, whatever it was before it stopped.";

/// `clawker start`
#[derive(Debug, Args)]
#[command(after_help = START_EXAMPLES)]
pub struct StartArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
    /// Attach after the start
    #[arg(short, long)]
    pub attach: bool,
    /// Accept what the project's configuration widens
    #[arg(short, long)]
    pub yes: bool,
}

const PROVE_NOTES: &str = "\
Examples:
  clawker prove
  clawker prove --only dns,rebinding
  clawker prove --agent api --json
  clawker prove --list

The twin has the agent's image, init and rules, and names of its own; it is gone afterwards. Nothing is
sent to the real internet. Each attack is first shown to work where nothing is in its way.
Exit code: 0 all held, 1 something leaked, 3 something could not be proven.";

/// `clawker prove`
#[derive(Debug, Args)]
#[command(after_help = PROVE_NOTES)]
pub struct ProveArgs {
    /// Whose rules and image [default: dev]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Another image
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Only these families and attacks
    #[arg(long, value_name = "FAMILY|ID", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print the attacks and run none
    #[arg(long)]
    pub list: bool,
}

const RM_EXAMPLES: &str = "\
Examples:
  clawker rm dev
  clawker rm -f api web    running ones too";

/// `clawker rm`
#[derive(Debug, Args)]
#[command(after_help = RM_EXAMPLES)]
pub struct RmArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
    /// Running ones too
    #[arg(short, long)]
    pub force: bool,
    /// With the agent's own volumes: Claude's folder and history, and the copy made with --mode snapshot
    #[arg(short, long)]
    pub volumes: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn every_command(command: &clap::Command, path: &str, each: &mut dyn FnMut(&str, clap::Command)) {
        each(path, command.clone());
        for sub in command.get_subcommands() {
            every_command(sub, &format!("{path} {}", sub.get_name()), each);
        }
    }

    #[test]
    fn definitions_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_into_98_columns() {
        let mut command = Cli::command();
        command.build();
        every_command(&command, "clawker", &mut |path, mut command| {
            for line in command.render_long_help().to_string().lines() {
                assert!(line.chars().count() <= WIDTH, "{path}: {line}");
            }
        });
    }

    #[test]
    fn the_toggles_read_word_for_word() {
        for line in [
            "clawker firewall disable --agent dev",
            "clawker firewall enable --agent dev",
            "clawker firewall bypass 30s --agent dev",
            "clawker firewall bypass --stop --agent dev",
            "clawker firewall disable dev",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "clawker firewall bypass soon --agent dev",
            "clawker firewall bypass 30s --stop --agent dev",
            "clawker stop --time x",
        ] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_mistyped_option_is_not_taken_for_a_program() {
        assert!(Cli::try_parse_from(["clawker", "run", "--frob"]).is_err());
        let cli = Cli::try_parse_from(["clawker", "exec", "--frob", "dev", "ls"]).unwrap();
        assert_eq!(cli.command.stray_option(false), Some("--frob"));
        let cli = Cli::try_parse_from(["clawker", "run", "--", "--version"]).unwrap();
        assert_eq!(cli.command.stray_option(true), None);
        let cli = Cli::try_parse_from(["clawker", "run", "ls", "-l"]).unwrap();
        assert_eq!(cli.command.stray_option(false), None);
    }

    #[test]
    fn what_follows_the_dashes_is_the_program_s() {
        let cli =
            Cli::try_parse_from(["clawker", "run", "--agent", "a", "--", "ls", "--json", "-q"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert_eq!(args.command, ["ls", "--json", "-q"]);
        assert!(!cli.json && !cli.quiet);
        let cli = Cli::try_parse_from(["clawker", "exec", "dev", "ls", "-l"]).unwrap();
        let Command::Exec(args) = cli.command else { panic!("not exec") };
        assert_eq!(args.words, ["dev", "ls", "-l"]);
    }
}
