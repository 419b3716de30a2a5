//! The verbs that people know from Docker.

use clap::Args;

use super::{OneAgent, SomeAgents};

const RESTART_EXAMPLES: &str = "\
Examples:
  clawker restart            this project's only agent
  clawker restart api web
  clawker restart -t 30 api  it has half a minute to end

It starts behind the firewall, whatever it was before.";

/// `clawker restart`
#[derive(Debug, Args)]
#[command(after_help = RESTART_EXAMPLES)]
pub struct RestartArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
    /// Seconds until it is killed
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10)]
    pub time: i32,
    /// Accept what the project's configuration widens
    #[arg(short, long)]
    pub yes: bool,
}

const PAUSE_EXAMPLES: &str = "\
Examples:
  clawker pause dev
  clawker unpause dev

A bypass goes on to its end meanwhile, and ends on time.";

/// `clawker pause|unpause`
#[derive(Debug, Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub struct PauseArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
}

const KILL_EXAMPLES: &str = "\
Examples:
  clawker kill dev         at once
  clawker kill -s HUP dev  another signal, which init hands to the program";

/// `clawker kill`
#[derive(Debug, Args)]
#[command(after_help = KILL_EXAMPLES)]
pub struct KillArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
    /// The signal, by name or number
    #[arg(short, long, value_name = "SIGNAL", default_value = "KILL")]
    pub signal: String,
}

const WAIT_EXAMPLES: &str = "\
Examples:
  clawker run --detach -- make test && clawker wait
  clawker wait api web       an exit code a line, in this order";

/// `clawker wait`
#[derive(Debug, Args)]
#[command(after_help = WAIT_EXAMPLES)]
pub struct WaitArgs {
    /// Which agents.
    #[command(flatten)]
    pub agents: SomeAgents,
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  clawker inspect dev
  clawker inspect dev | jq .firewall.state

It is always JSON. Variables are named, their values never shown.";

/// `clawker inspect`
#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
pub struct InspectArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: OneAgent,
}

const STATS_EXAMPLES: &str = "\
Examples:
  clawker stats                     all running agents, until ^C
  clawker stats --no-stream dev
  clawker stats --json | jq .[0]    one list a line";

/// `clawker stats`
#[derive(Debug, Args)]
#[command(after_help = STATS_EXAMPLES)]
pub struct StatsArgs {
    /// The agents [default: all that run, of every project]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// The same, as an option
    #[arg(long = "agent", value_name = "NAME")]
    pub agents: Vec<String>,
    /// Print once
    #[arg(long)]
    pub no_stream: bool,
}

const RENAME_EXAMPLES: &str = "\
Examples:
  clawker rename dev api    after clawker stop dev

Its rules, its volumes and its history come along; its volumes keep their names.";

/// `clawker rename`
#[derive(Debug, Args)]
#[command(after_help = RENAME_EXAMPLES)]
pub struct RenameArgs {
    /// The agent
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it should be called
    #[arg(value_name = "NEW")]
    pub new: String,
}

const CP_EXAMPLES: &str = "\
Examples:
  clawker cp dev:/tmp/report.html .    out, yours
  clawker cp data.csv dev:/tmp/        in, the agent's
  clawker cp src/. dev:/srv/app        what a folder holds
  clawker cp ./a:b dev:/tmp/           a name with a colon

Links are copied as links, and out only those that stay within what is copied. A link in a project
that leads out of it is never followed. Where something was left out the exit code is 1.";

/// `clawker cp`
#[derive(Debug, Args)]
#[command(after_help = CP_EXAMPLES)]
pub struct CpArgs {
    /// A path, or AGENT:PATH
    #[arg(value_name = "FROM")]
    pub from: String,
    /// A path, or AGENT:PATH
    #[arg(value_name = "TO")]
    pub to: String,
}
