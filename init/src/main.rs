//! `clawker-init`: the order of events, top to bottom. PID 1 of an agent's container, and the few commands that
//! run beside it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clawker_init::child::{Plan, Terminal};
use clawker_init::fence::Opening;
use clawker_init::netfilter::Netfilter;
use clawker_init::resolv::{self, ResolvConf};
use clawker_init::{
    boot, ca, control, ctl, enter, events, exit_code, keeper, log, network, privileges, signals, state,
};
use clawker_init::{supervise, supervisor, why};
use clawker_protocol::boot::{BootConfig, BootState};
use clawker_protocol::places;

const USAGE: &str = "\
clawker-init: PID 1 of an agent's container

  clawker-init [--config FILE]          boot: rules, resolver, control socket, then the agent
  clawker-init why HOST[:PORT][/PATH]   what the policy says of a destination, and whom to ask
  clawker-init status                   the firewall's state, as JSON (needs the control secret)
  clawker-init ctl OPERATION            speak to the control socket (needs the control secret)
  clawker-init enter [--root] -- CMD    run a command fenced as the agent is
  clawker-init supervise -- CMD         only reap and forward signals, as a plain init
  clawker-init version";

fn main() -> ExitCode {
    // Before arguments, environment or memory: a signal that PID 1 has not blocked yet is lost.
    signals::block_all();
    supervisor::close_inherited();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_pid_1 = std::process::id() == 1;
    // In an agent's container the boot config alone says what runs; the arguments are for `docker ps`.
    if is_pid_1 && Path::new(places::BOOT_CONFIG).exists() {
        return ExitCode::from(start(Path::new(places::BOOT_CONFIG)));
    }
    let (verb, rest) = match args.split_first() {
        Some((verb, rest)) => (verb.to_string_lossy().into_owned(), rest),
        None => (String::new(), &[][..]),
    };
    ExitCode::from(match (verb.as_str(), rest) {
        ("supervise", _) => supervise::command(rest),
        ("enter", _) => enter::command(rest),
        ("ctl", _) => ctl::command(&text(rest)),
        ("status", []) => ctl::command(&["status".to_owned()]),
        ("why", _) => why::command(&text(rest)),
        ("version" | "--version" | "-V", _) => say(&format!("clawker-init {}", env!("CARGO_PKG_VERSION"))),
        ("help" | "--help" | "-h", _) => say(USAGE),
        ("--config", [file]) => start(Path::new(file)),
        _ if is_pid_1 => start(Path::new(places::BOOT_CONFIG)),
        _ => {
            log::line("Unknown command; try clawker-init --help");
            2
        }
    })
}

fn text(args: &[OsString]) -> Vec<String> {
    args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// A closed pipe is no reason to panic.
fn say(text: &str) -> u8 {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{text}");
    0
}

fn start(config: &Path) -> u8 {
    match boot(config) {
        Ok(code) => code,
        Err(why) => {
            log::line(&format!("{why}; the agent was not started"));
            exit_code::SETUP_FAILED
        }
    }
}

fn boot(path: &Path) -> Result<u8, String> {
    if std::process::id() != 1 {
        return Err("This is not PID 1: only supervise runs as anything else".to_owned());
    }
    // 1. What is to be enforced, and what is to run.
    let config = boot::read_config(path).map_err(sentence)?;
    // 2. Nobody but root gets as far as the control socket.
    boot::seal_run_dir().map_err(sentence)?;
    boot::open_public_dir().map_err(sentence)?;
    // 3. The rules, in one transaction, read back. What they divert to must be our neighbours.
    let network = network::find(&config.enforcement).map_err(sentence)?;
    let opening = match config.state {
        BootState::Enforcing => Opening::Closed,
        BootState::Disabled => Opening::Indefinitely,
    };
    let mut netfilter = Netfilter::open().map_err(sentence)?;
    netfilter.install(&config.enforcement, opening).map_err(sentence)?;
    // 4. The resolver.
    let resolver = ResolvConf::open(Path::new("/etc/resolv.conf")).map_err(sentence)?;
    resolver.point(&resolv::nameservers(opening, config.enforcement.coredns)).map_err(sentence)?;
    // 5. Trust and the policy's summary, for everybody to read.
    let public = |error| format!("Can't write below {}: {error}", places::PUBLIC_DIR);
    ca::publish(&config.extra_ca_pem).map_err(public)?;
    boot::publish_summary(&config.summary).map_err(public)?;
    // 6. The control socket and the event log, in the host's folder.
    let socket = Path::new(places::CONTROL_SOCKET);
    let control = control::Control::listen(socket, &config.secret_sha256)
        .map_err(|error| cannot_use(places::CONTROL_SOCKET, &error))?;
    let log_bytes = config.limits.events_max_bytes;
    let events = events::Events::open(Path::new(places::EVENTS), log_bytes)
        .map_err(|error| cannot_use(places::EVENTS, &error))?;
    boot::mark_ready().map_err(sentence)?;
    // 7. The agent, dropped; after that this process keeps little, and only the loop runs.
    let plan = agent_plan(&config)?;
    let grace = Duration::from_millis(config.limits.grace_millis);
    let bypass_max = config.limits.bypass_max_seconds;
    let machine = state::Machine::new(netfilter, resolver, config.enforcement, config.state, bypass_max);
    let mut keeper = keeper::Keeper::new(machine, control, events, network)
        .map_err(|error| format!("Can't make a timer: {error}"))?;
    let options = supervisor::Options { grace, keep: Some(&privileges::PID1_KEEPS) };
    Ok(supervisor::run(plan, options, &mut keeper))
}

fn agent_plan(config: &BootConfig) -> Result<Plan, String> {
    let command: Vec<OsString> = config.run.command.iter().map(OsString::from).collect();
    let mut plan = enter::agent_plan(config, &command)?;
    plan.umask = Some(enter::UMASK);
    plan.terminal = if config.run.session { Terminal::Session } else { Terminal::Group };
    let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
    plan.set_directory(&directory).map_err(sentence)?;
    Ok(plan)
}

fn cannot_use(path: &str, error: &std::io::Error) -> String {
    format!("Can't use {path}: {error} (take away what is there, in the agent's folder on the host)")
}

fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string()
}
