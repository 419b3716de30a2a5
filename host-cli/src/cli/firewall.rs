//! The firewall's verbs.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::OneAgent;
use super::rule::{ActionArg, RuleArgs};

const EXAMPLES: &str = "\
Examples:
  clawker firewall list
  clawker firewall add .example.com
  clawker firewall why https://example.com/page
  clawker firewall bypass 30s --agent dev
  clawker firewall log -f --denied";

/// `clawker firewall …`
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Firewall {
    /// Start Envoy and CoreDNS
    Up(UpArgs),
    /// Stop Envoy and CoreDNS
    Down(DownArgs),
    /// Show the stack's health
    Status(StatusArgs),
    /// List this project's rules
    List(ListArgs),
    /// Open a destination to this project's agents
    Add(AddArgs),
    /// Take back what add opened
    Remove(RemoveArgs),
    /// Take .clawker.yaml and settings.yaml anew
    Reload(ReloadArgs),
    /// Make a new certificate authority and have every agent trust it
    RotateCa(RotateCaArgs),
    /// Turn one agent's firewall on
    #[command(after_help = "Examples:\n  clawker firewall enable --agent dev")]
    Enable(ToggleArgs),
    /// Turn one agent's firewall off until enable or a restart
    #[command(after_help = "Examples:\n  clawker firewall disable --agent dev")]
    Disable(ToggleArgs),
    /// Open everything to one agent for a while
    Bypass(BypassArgs),
    /// Show what was refused and let through
    Log(LogArgs),
    /// Turn what was refused, or passed in a bypass, into rules
    Learn(LearnArgs),
    /// Say what would happen to a destination, by which rule, and how to change that
    Why(WhyArgs),
}

const UP_EXAMPLES: &str = "\
Examples:
  clawker firewall up";

/// `clawker firewall up`
#[derive(Debug, Args)]
#[command(after_help = UP_EXAMPLES)]
pub struct UpArgs {}

const DOWN_EXAMPLES: &str = "\
Examples:
  clawker firewall down";

/// `clawker firewall down`
#[derive(Debug, Args)]
#[command(after_help = DOWN_EXAMPLES)]
pub struct DownArgs {}

const STATUS_EXAMPLES: &str = "\
Examples:
  clawker firewall status
  clawker firewall status --json | jq .envoy.state";

/// `clawker firewall status`
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub struct StatusArgs {}

const LIST_EXAMPLES: &str = "\
Examples:
  clawker firewall list
  clawker firewall list --agent dev --json";

/// `clawker firewall list`
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// Only what holds for this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}

const ADD_EXAMPLES: &str = "\
Examples:
  clawker firewall add example.com                       TLS on 443
  clawker firewall add .example.com                      it and every name below it
  clawker firewall add example.com --proto ssh           port 22
  clawker firewall add example.com --for 10m             ends by itself, with its open connections
  clawker firewall add 10.1.2.0/24 --proto tcp --port 5432
  clawker firewall add api.example.com --path /repos/    only what lies below /repos/
  clawker firewall add git.example.com --path '~.*/git-receive-pack' --action deny
                                                         all but pushing to it
  clawker firewall add git.corp.example --private 10.1.0.0/16";

/// `clawker firewall add`
#[derive(Debug, Args)]
#[command(after_help = ADD_EXAMPLES)]
pub struct AddArgs {
    /// The rule.
    #[command(flatten)]
    pub rule: RuleArgs,
    /// What it does
    #[arg(long, value_enum, default_value = "allow")]
    pub action: ActionArg,
    /// Open TLS to log every request, also without --path
    #[arg(long)]
    pub inspect: bool,
    /// Private addresses that the name may resolve to, like 10.1.2.0/24; may be given again
    #[arg(long, value_name = "CIDR")]
    pub private: Vec<String>,
    /// apex: whichever name below .name is asked for, name is what is resolved
    #[arg(long, value_name = "HOW")]
    pub resolve_as: Option<String>,
    /// Only for so long, like 30s or 10m; given again, the new time counts
    #[arg(
        long = "for",
        value_name = "DURATION",
        value_parser = clawker_protocol::duration::parse,
        conflicts_with = "path"
    )]
    pub length: Option<Duration>,
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  clawker firewall remove example.com
  clawker firewall remove example.com --proto ssh
  clawker firewall remove api.example.com --path /repos/";

/// `clawker firewall remove`
#[derive(Debug, Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub struct RemoveArgs {
    /// As it was added; with --path only those paths.
    #[command(flatten)]
    pub rule: RuleArgs,
}

const RELOAD_EXAMPLES: &str = "\
Examples:
  clawker firewall reload          shows what is new, and asks
  clawker firewall reload --yes";

/// `clawker firewall reload`
#[derive(Debug, Args)]
#[command(after_help = RELOAD_EXAMPLES)]
pub struct ReloadArgs {
    /// Accept what the project's configuration widens
    #[arg(short, long)]
    pub yes: bool,
}

const ROTATE_EXAMPLES: &str = "\
Examples:
  clawker firewall rotate-ca
  clawker firewall rotate-ca --yes";

/// `clawker firewall rotate-ca`
#[derive(Debug, Args)]
#[command(after_help = ROTATE_EXAMPLES)]
pub struct RotateCaArgs {
    /// Make it without asking
    #[arg(short, long)]
    pub yes: bool,
}

/// `clawker firewall enable|disable`
#[derive(Debug, Args)]
pub struct ToggleArgs {
    /// Which agent.
    #[command(flatten)]
    pub agent: OneAgent,
}

const BYPASS_EXAMPLES: &str = "\
Examples:
  clawker firewall bypass 30s --agent dev            counts down; ^C ends it early
  clawker firewall bypass 10m --agent dev --detach   returns at once
  clawker firewall bypass --stop --agent dev         ends it

The window ends by itself, whatever becomes of this command. A second one replaces the first.";

/// `clawker firewall bypass`
#[derive(Debug, Args)]
#[command(after_help = BYPASS_EXAMPLES)]
pub struct BypassArgs {
    /// How long, like 30s or 10m [default: firewall.bypass_default of settings.yaml]
    #[arg(value_name = "DURATION", value_parser = clawker_protocol::duration::parse, conflicts_with = "stop")]
    pub duration: Option<Duration>,
    /// Which agent [default: the project's only one, else dev]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// End it now
    #[arg(long)]
    pub stop: bool,
    /// Don't wait for its end
    #[arg(short, long, conflicts_with = "stop")]
    pub detach: bool,
}

const LOG_EXAMPLES: &str = "\
Examples:
  clawker firewall log --denied --since 10m         what was refused lately
  clawker firewall log -f --agent dev               goes on until ^C
  clawker firewall log -f --json | jq .target       one object a line";

/// `clawker firewall log`
#[derive(Debug, Args)]
#[command(after_help = LOG_EXAMPLES)]
pub struct LogArgs {
    /// Go on with what comes, until ^C
    #[arg(short, long)]
    pub follow: bool,
    /// Only this agent's
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only what was refused
    #[arg(long)]
    pub denied: bool,
    /// Only the last N lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200)]
    pub tail: usize,
    /// Only what is younger, like 30s or 10m
    #[arg(long, value_name = "DURATION", value_parser = clawker_protocol::duration::parse)]
    pub since: Option<Duration>,
}

const LEARN_EXAMPLES: &str = "\
Examples:
  clawker firewall bypass 2m --agent dev            let it do what it needs once
  clawker firewall learn --since 5m                 shows the rules that would have sufficed, and asks
  clawker firewall learn --agent dev --yes          adds them, for this agent only

Two names below one are never widened to a wildcard. Without a terminal and --yes rules are only shown.";

/// `clawker firewall learn`
#[derive(Debug, Args)]
#[command(after_help = LEARN_EXAMPLES)]
pub struct LearnArgs {
    /// From what this agent met, and for it alone [default: all agents of the project]
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
    /// Only from what is younger, like 30s or 10m
    #[arg(long, value_name = "DURATION", value_parser = clawker_protocol::duration::parse)]
    pub since: Option<Duration>,
    /// Add them without asking
    #[arg(short, long)]
    pub yes: bool,
}

const WHY_EXAMPLES: &str = "\
Examples:
  clawker firewall why example.com
  clawker firewall why https://example.com/page
  clawker firewall why https://api.example.com/repos/x --method POST
  clawker firewall why git.example.com:22 --agent dev

The exit code is 0 where it would be let through, else 1.";

/// `clawker firewall why`
#[derive(Debug, Args)]
#[command(after_help = WHY_EXAMPLES)]
pub struct WhyArgs {
    /// HOST[:PORT][/PATH], or an address as a browser shows it
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
    /// The request's method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// With the rules of this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}
