//! `clawker-init`: the order of events, top to bottom. PID 1 of an agent's container and of Envoy's, and the few
//! commands that run beside it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clawker_init::child::{Plan, Terminal};
use clawker_init::fence::{Opening, Policy};
use clawker_init::netfilter::Netfilter;
use clawker_init::resolv::{self, ResolvConf};
use clawker_init::{
    boot, ca, control, ctl, enter, events, exit_code, keeper, lent, log, network, privileges, signals, state,
};
use clawker_init::{supervisor, why};
use clawker_protocol::boot::{BootState, Limits, Run};
use clawker_protocol::control::Network;
use clawker_protocol::places;

const USAGE: &str = "\
clawker-init: PID 1 of an agent's container, and of the gateway's

  clawker-init [--config FILE]          boot: rules, resolver, control socket, then the agent
  clawker-init --profile gateway        boot around Envoy: rules, control socket, then Envoy
  clawker-init why HOST[:PORT][/PATH]   what the policy says of a destination, and whom to ask
  clawker-init status                   the firewall's state, as JSON (needs the control secret)
  clawker-init ctl OPERATION            speak to the control socket (needs the control secret)
  clawker-init git-credential get       a password of the user's, for git, where one is lent
  clawker-init enter [--root] -- CMD    run a command fenced as the agent is
  clawker-init supervise -- CMD         only reap and forward signals, as a plain init
  clawker-init version";

fn main() -> ExitCode {
    // Before arguments, environment or memory: a signal that PID 1 has not blocked yet is lost.
    signals::block_all();
    supervisor::close_inherited();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let is_pid_1 = std::process::id() == 1;
    // Where there is a boot config it alone says what runs; the arguments are for `docker ps`.
    let profiles: [(&str, Boot); 2] = [(places::BOOT_CONFIG, boot), (places::GATEWAY_CONFIG, boot_gateway)];
    for (config, boot) in profiles {
        if is_pid_1 && Path::new(config).exists() {
            return ExitCode::from(start(boot, Path::new(config)));
        }
    }
    let (verb, rest) = match args.split_first() {
        Some((verb, rest)) => (verb.to_string_lossy().into_owned(), rest),
        None => (String::new(), &[][..]),
    };
    ExitCode::from(match (verb.as_str(), rest) {
        ("supervise", _) => clawker_init::supervise::command(rest),
        ("enter", _) => enter::command(rest),
        ("ctl", _) => ctl::command(&text(rest)),
        ("status", []) => ctl::command(&["status".to_owned()]),
        ("why", _) => why::command(&text(rest)),
        ("git-credential", [operation]) => lent::git_credential(operation),
        ("version" | "--version" | "-V", _) => say(&format!("clawker-init {}", env!("CARGO_PKG_VERSION"))),
        ("help" | "--help" | "-h", _) => say(USAGE),
        #[cfg(feature = "mutants")]
        ("mutants", [config]) => match clawker_init::nft::mutants::list(Path::new(config)) {
            Ok(list) => say(&list),
            Err(error) => {
                log::line(&error.to_string());
                1
            }
        },
        ("--config", [file]) => start(boot, Path::new(file)),
        ("--profile", [profile, ..]) if profile == "gateway" => {
            start(boot_gateway, Path::new(places::GATEWAY_CONFIG))
        }
        _ if is_pid_1 => start(boot, Path::new(places::BOOT_CONFIG)),
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

type Boot = fn(&Path) -> Result<u8, String>;

fn start(boot: Boot, config: &Path) -> u8 {
    let booted = match std::process::id() {
        1 => boot(config),
        _ => Err("This is not PID 1: only supervise runs as anything else".to_owned()),
    };
    match booted {
        Ok(code) => code,
        Err(why) => {
            log::line(&format!("{why}; the command was not started"));
            exit_code::SETUP_FAILED
        }
    }
}

/// Around an agent.
fn boot(path: &Path) -> Result<u8, String> {
    // 1. What is to be enforced, and what is to run.
    let config = boot::read_config(path).map_err(sentence)?;
    boot::check_idmapped(&config.run).map_err(sentence)?;
    // 2. Nobody but root gets as far as the control socket.
    boot::seal_run_dir().map_err(sentence)?;
    boot::open_public_dir().map_err(sentence)?;
    boot::check_mounted(&config.mounted).map_err(sentence)?;
    // 3. The rules, in one transaction, read back. What they divert to must be our neighbours.
    let opening = match config.state {
        BootState::Enforcing => Opening::Closed,
        BootState::Disabled => Opening::Indefinitely,
    };
    let coredns = config.enforcement.coredns;
    let fence = fence(config.enforcement.into(), opening)?;
    // 4. The resolver.
    let resolver = ResolvConf::open(Path::new("/etc/resolv.conf")).map_err(sentence)?;
    resolver.point(&resolv::nameservers(opening, coredns)).map_err(sentence)?;
    // 5. Trust and the policy's summary, for everybody to read.
    let public = |error| format!("Can't write below {}: {error}", places::PUBLIC_DIR);
    ca::publish(&config.extra_ca_pem).map_err(public)?;
    boot::publish_summary(&config.summary).map_err(public)?;
    // 6. The control socket and the event log, in the host's folder.
    let desk = listen(&config.secret_sha256, &config.limits)?;
    // 7. The agent, dropped; after that this process keeps little, and only the loop runs.
    let trust = if config.extra_ca_pem.is_empty() { Vec::new() } else { ca::variables() };
    let plan = plan(&config.run, &trust)?;
    supervise(plan, fence, Some(resolver), desk, config.state, &config.limits)
}

/// Around Envoy: the same order, without what is for an agent alone.
fn boot_gateway(path: &Path) -> Result<u8, String> {
    let config = boot::read_gateway_config(path).map_err(sentence)?;
    boot::seal_run_dir().map_err(sentence)?;
    let fence = fence(config.gateway.into(), Opening::Closed)?;
    let limits = Limits::default();
    let desk = listen(&config.secret_sha256, &limits)?;
    let plan = plan(&config.run, &[])?;
    supervise(plan, fence, None, desk, BootState::Enforcing, &limits)
}

/// What stands around this container, and where it is.
struct Fenced {
    policy: Policy,
    netfilter: Netfilter,
    network: Network,
}

fn fence(policy: Policy, opening: Opening) -> Result<Fenced, String> {
    let network = network::find(&policy).map_err(sentence)?;
    let mut netfilter = Netfilter::open().map_err(sentence)?;
    netfilter.install(&policy, opening).map_err(sentence)?;
    Ok(Fenced { policy, netfilter, network })
}

type Desk = (control::Control, events::Events);

fn listen(secret_sha256: &str, limits: &Limits) -> Result<Desk, String> {
    let socket = Path::new(places::CONTROL_SOCKET);
    let control = control::Control::listen(socket, secret_sha256)
        .map_err(|error| cannot_use(places::CONTROL_SOCKET, &error))?;
    let events = events::Events::open(Path::new(places::EVENTS), limits.events_max_bytes)
        .map_err(|error| cannot_use(places::EVENTS, &error))?;
    boot::mark_ready().map_err(sentence)?;
    Ok((control, events))
}

fn plan(run: &Run, trust: &[(&str, &str)]) -> Result<Plan, String> {
    let command: Vec<OsString> = run.command.iter().map(OsString::from).collect();
    let mut plan = enter::plan(run, &command, trust)?;
    plan.terminal = if run.session { Terminal::Session } else { Terminal::Group };
    let directory = std::env::current_dir().unwrap_or_else(|_| "/".into());
    plan.set_directory(&directory).map_err(sentence)?;
    Ok(plan)
}

fn supervise(
    plan: Plan,
    fence: Fenced,
    resolver: Option<ResolvConf>,
    (control, events): Desk,
    state: BootState,
    limits: &Limits,
) -> Result<u8, String> {
    let Fenced { policy, netfilter, network } = fence;
    let machine = state::Machine::new(netfilter, resolver, policy, state, limits.bypass_max_seconds);
    let mut keeper = keeper::Keeper::new(machine, control, events, network)
        .map_err(|error| format!("Can't make a timer: {error}"))?;
    let grace = Duration::from_millis(limits.grace_millis);
    let options = supervisor::Options { grace, keep: Some(&privileges::PID1_KEEPS) };
    Ok(supervisor::run(plan, options, &mut keeper))
}

fn cannot_use(path: &str, error: &std::io::Error) -> String {
    format!("Can't use {path}: {error} (take away what is there, in this container's folder on the host)")
}

fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string()
}
