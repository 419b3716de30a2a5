//! `clawker-init enter [--root] -- CMD`: what `clawker exec` and `clawker shell` run. The command goes through
//! the same drop as the agent, so that it is no weaker fenced; with `--root` it stays root, without the
//! capabilities that could touch the rules.

use std::ffi::OsString;
use std::path::Path;

use clawker_protocol::boot::{BootConfig, Run};
use clawker_protocol::places;

use crate::child::Plan;
use crate::privileges::{self, Identity, seccomp};
use crate::{boot, ca, exit_code, identity, log};

/// `linux/capability.h`: what a root shell keeps, to look around and to mend files: CHOWN, DAC_OVERRIDE, KILL,
/// SETGID, SETUID. Not NET_ADMIN, which could add a hook behind ours, and not SETPCAP.
const ROOT_SHELL_KEEPS: [u32; 5] = [0, 1, 5, 6, 7];
/// The umask of a fresh container.
pub const UMASK: u32 = 0o022;

const USAGE: &str = "usage: clawker-init enter [--root] -- COMMAND [ARGUMENT...]";

/// Becomes the command; comes back only with the exit code of a failure.
pub fn command(args: &[OsString]) -> u8 {
    let (root, command) = match args {
        [flag, dashes, command @ ..] if flag == "--root" && dashes == "--" => (true, command),
        [dashes, command @ ..] if dashes == "--" => (false, command),
        _ => (false, &[][..]),
    };
    if command.is_empty() {
        log::line(USAGE);
        return exit_code::SETUP_FAILED;
    }
    match enter(root, command) {
        Ok(never) => match never {},
        Err((why, code)) => {
            log::line(&why);
            code
        }
    }
}

fn enter(root: bool, command: &[OsString]) -> Result<std::convert::Infallible, (String, u8)> {
    let failed = |why: String| (why, exit_code::SETUP_FAILED);
    // Until init has read the rules back, nothing runs here: an exec that comes early would run unfenced.
    if !Path::new(places::READY).exists() {
        return Err(failed("The firewall is not up yet (or this is not root): try again".to_owned()));
    }
    let mut plan = if root {
        privileges::shrink_pid1(&ROOT_SHELL_KEEPS).map_err(|error| failed(error.to_string()))?;
        let environment: Vec<_> = std::env::vars_os().collect();
        Plan::new(command, &environment).map_err(|error| failed(error.to_string()))?
    } else {
        own_plan(command).map_err(failed)?
    };
    plan.umask = Some(UMASK);
    let failure = plan.exec_here();
    Err((failure.to_string(), failure.exit_code()))
}

/// A command as whoever PID 1 started: the agent, or Envoy.
fn own_plan(command: &[OsString]) -> Result<Plan, String> {
    let gateway = Path::new(places::GATEWAY_CONFIG);
    if gateway.exists() {
        let config = boot::read_gateway_config(gateway).map_err(|error| error.to_string())?;
        return plan(&config.run, command, &[]);
    }
    let config = boot::read_config(Path::new(places::BOOT_CONFIG)).map_err(|error| error.to_string())?;
    agent_plan(&config, command)
}

/// A command as the agent's user, with the agent's environment, where this process stands.
fn agent_plan(config: &BootConfig, command: &[OsString]) -> Result<Plan, String> {
    let trust = if config.extra_ca_pem.is_empty() { Vec::new() } else { ca::variables() };
    plan(&config.run, command, &trust)
}

/// A command as the user of a boot config, with these variables and the config's own.
///
/// # Errors
/// One sentence, when a string can't be passed to a program.
pub fn plan(run: &Run, command: &[OsString], trust: &[(&str, &str)]) -> Result<Plan, String> {
    let mut account = identity::account(run.uid);
    account.groups.extend(&run.groups);
    account.groups.sort_unstable();
    account.groups.dedup();
    let environment = boot::environment(std::env::vars_os(), &account, trust, &run.env);
    let mut plan = Plan::new(command, &environment).map_err(|error| error.to_string())?;
    plan.identity = Some(Identity {
        uid: run.uid,
        gid: run.gid,
        groups: account.groups,
        filter: seccomp::program(seccomp::Options { userns: run.userns, no_set_id: run.idmapped.is_some() }),
    });
    plan.umask = Some(UMASK);
    plan.raise_oom_score_adj(OOM_SCORE);
    Ok(plan)
}

/// Of -1000 to 1000. When memory runs out the agent goes before PID 1, which holds the rules.
const OOM_SCORE: i32 = 500;
