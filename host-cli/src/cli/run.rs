//! The verbs that put a program into a container.

use clap::Args;

use super::{DETACH_KEYS, OneAgent, PassedArgs};
use crate::config::Mode;

const BUILD_EXAMPLES: &str = "\
Examples:
  clawker build
  clawker build --yes      what the configuration asks for is accepted
  clawker build --print    the Dockerfile, and nothing is built
  clawker build -t mine --build-arg VERSION=2

Steps run on this machine's Docker, outside of the firewall: read what is asked.";

/// `clawker build`
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES)]
pub struct BuildArgs {
    /// One more name for the image
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub tag: Option<String>,
    /// Value of a build argument; without =VALUE it is taken from here
    #[arg(long, value_name = "NAME=VALUE")]
    pub build_arg: Vec<String>,
    /// Run every step anew
    #[arg(long)]
    pub no_cache: bool,
    /// Ask the registry for a newer base image
    #[arg(long)]
    pub pull: bool,
    /// Print the Dockerfile and build nothing
    #[arg(long)]
    pub print: bool,
    /// Accept what the project's configuration widens
    #[arg(short, long)]
    pub yes: bool,
}

const RUN_EXAMPLES: &str = "\
Examples:
  clawker run                                    Claude Code as agent dev
  clawker run --agent api --detach               another agent, in the background
  clawker run --rm --image python:3 -- python3   any image; gone when it ends
  clawker run -p 8080:80 -e DEBUG=1              a published port, a variable
  clawker run --mode snapshot --agent try        on a copy of the project, kept in a volume
  clawker run --worktree fix/login:main          on a branch of its own, beside other agents
  clawker run --memory 4g --cpus 2               less of the machine
  clawker run -v /srv/data:/data:ro              one more folder, read-only

Detach with ctrl-p ctrl-q; come back with clawker attach.";

/// `clawker run`
#[derive(Debug, Args)]
#[command(after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// The new agent's name [default: the worktree's branch, else dev]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// The image [default: build.image of .clawker.yaml, else clawker's own]
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// How the project reaches the container [default: workspace.default_mode, else bind]
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Work in the worktree of a branch, which is made where it isn't there: from BASE, else HEAD
    #[arg(long, value_name = "BRANCH[:BASE]", value_parser = crate::worktree::name::parse, conflicts_with = "fresh")]
    pub worktree: Option<crate::worktree::Wanted>,
    /// Begin with a new copy of the project (with --mode snapshot)
    #[arg(long)]
    pub fresh: bool,
    /// Memory limit, like 512m or 4g, or none [default: three quarters of the machine's]
    #[arg(short, long, value_name = "SIZE", value_parser = crate::limits::memory)]
    pub memory: Option<i64>,
    /// Processors, like 2 or 1.5, or none [default: all but one, where there are more than two]
    #[arg(long, value_name = "N", value_parser = crate::limits::cpus)]
    pub cpus: Option<i64>,
    /// Processes and threads, or none [default: 4096]
    #[arg(long, value_name = "N", value_parser = crate::limits::pids)]
    pub pids_limit: Option<i64>,
    /// What is passed on to Docker.
    #[command(flatten)]
    pub passed: PassedArgs,
    /// A variable; without =VALUE it is taken from here
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Publish a port: [[HOST_IP:]HOST_PORT:]PORT[/udp]
    #[arg(short, long, value_name = "PORT", value_parser = crate::publish::parse)]
    pub publish: Vec<crate::publish::Publish>,
    /// Run in the background and print the container's name
    #[arg(short, long)]
    pub detach: bool,
    /// Remove the agent when it ends
    #[arg(long)]
    pub rm: bool,
    /// Keep standard input open [on when this is a terminal]
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the program a terminal [on when this is one]
    #[arg(short, long)]
    pub tty: bool,
    /// Keys that detach
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS)]
    pub detach_keys: String,
    /// Accept what the project's configuration widens
    #[arg(short, long)]
    pub yes: bool,
    /// Program and arguments [default: the image's, claude in clawker's own]
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<String>,
}

const EXEC_EXAMPLES: &str = "\
Examples:
  clawker exec dev ls -l
  clawker exec --agent dev -- ls -l
  echo hello | clawker exec -i dev cat

The first word is the agent unless --agent names it.";

/// `clawker exec`
#[derive(Debug, Args)]
#[command(after_help = EXEC_EXAMPLES)]
pub struct ExecArgs {
    /// The agent, when it isn't the first word
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Keep standard input open [on when this is a terminal]
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the program a terminal [on when this is one]
    #[arg(short, long)]
    pub tty: bool,
    /// A variable; without =VALUE it is taken from here
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// The folder to start in
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Keys that detach
    #[arg(long, value_name = "KEYS", default_value = DETACH_KEYS)]
    pub detach_keys: String,
    /// Agent, program and arguments
    #[arg(
        value_name = "[NAME] COMMAND",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true
    )]
    pub words: Vec<String>,
}

/// `clawker shell`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  clawker shell dev\n  clawker shell --root dev\n\n\
                        The shell is the agent's user, fenced as the agent is. --root gives a root shell for\n\
                        debugging; it can't change the network's rules, and `clawker-init ctl status` works there.")]
pub struct ShellArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: OneAgent,
    /// As root, for debugging
    #[arg(long)]
    pub root: bool,
}
