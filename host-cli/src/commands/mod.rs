//! One file a verb. A verb that toggles an agent's firewall runs as it is; the others get a runtime.

pub mod attach;
pub mod build;
pub mod chosen;
pub mod completions;
pub mod config;
pub mod cp;
pub mod diff;
pub mod doctor;
pub mod exec;
pub mod extras;
pub mod firewall;
pub mod init;
pub mod inspect;
pub mod kill;
pub mod leftovers;
pub mod logs;
pub mod man;
pub mod pause;
pub mod prove;
pub mod ps;
pub mod pull;
pub mod rename;
pub mod restart;
pub mod rm;
pub mod run;
pub mod shell;
pub mod start;
pub mod stats;
pub mod stop;
pub mod version;
pub mod wait;
pub mod workspace;
pub mod worktree;

use std::future::Future;

use crate::cli::{Cli, Command};
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::workspace::guard;

/// Does what the command line says.
///
/// # Errors
/// [`Failure`]: what to tell the user.
pub fn dispatch(cli: Cli) -> Outcome {
    let output = Output::of(&cli)?;
    // What needs none of the user's folders must not make any: it is called where clawker is installed.
    match &cli.command {
        Command::Version => return version::run(output),
        Command::Completions(args) => return completions::run(args),
        Command::Man(args) => return man::run(output, args),
        _ => {}
    }
    let ctx = Context::from_env(output)?;
    if tells_of_the_workspace(&cli.command) {
        guard::notice(&ctx);
        crate::idmap::sweep(&ctx.paths);
    }
    match cli.command {
        Command::Workspace(args) => workspace::run(&ctx, &args),
        Command::Worktree(command) => worktree::dispatch(&ctx, &command),
        Command::Firewall(command) => firewall::dispatch(&ctx, command),
        Command::Config(command) => config::dispatch(&ctx, &command),
        Command::Words(args) => completions::words(&ctx, &args),
        Command::Init(args) => init::run(&ctx, &args),
        Command::Build(args) => block_on(build::run(&ctx, &args)),
        Command::Run(args) => block_on(run::run(&ctx, &args)),
        Command::Prove(args) => block_on(prove::run(&ctx, &args)),
        Command::Ps(args) => block_on(ps::run(&ctx, &args)),
        Command::Logs(args) => block_on(logs::run(&ctx, &args)),
        Command::Attach(args) => block_on(attach::run(&ctx, &args)),
        Command::Exec(args) => block_on(exec::run(&ctx, &args)),
        Command::Shell(args) => block_on(shell::run(&ctx, &args)),
        Command::Stop(args) => block_on(stop::run(&ctx, &args)),
        Command::Start(args) => block_on(start::run(&ctx, &args)),
        Command::Cp(args) => block_on(cp::run(&ctx, &args)),
        Command::Diff(args) => block_on(diff::run(&ctx, &args)),
        Command::Pull(args) => block_on(pull::run(&ctx, &args)),
        Command::Restart(args) => block_on(restart::run(&ctx, &args)),
        Command::Pause(args) => block_on(pause::pause(&ctx, &args)),
        Command::Unpause(args) => block_on(pause::unpause(&ctx, &args)),
        Command::Kill(args) => block_on(kill::run(&ctx, &args)),
        Command::Wait(args) => block_on(wait::run(&ctx, &args)),
        Command::Stats(args) => block_on(stats::run(&ctx, &args)),
        Command::Inspect(args) => block_on(inspect::run(&ctx, &args)),
        Command::Rename(args) => block_on(rename::run(&ctx, &args)),
        Command::Rm(args) => block_on(rm::run(&ctx, &args)),
        Command::Lend(args) => block_on(crate::lent::serve(&ctx, &args.id)),
        Command::Doctor(args) => block_on(doctor::run(&ctx, &args)),
        Command::Completions(_) | Command::Man(_) | Command::Version => Ok(crate::exit::OK),
    }
}

/// Whether a command says what was planted in the workspace: not what asks about it, nor the switches, which are quick.
fn tells_of_the_workspace(command: &Command) -> bool {
    use crate::cli::Firewall::{Bypass, Disable, Enable};
    !matches!(
        command,
        Command::Run(_)
            | Command::Start(_)
            | Command::Workspace(_)
            | Command::Firewall(Bypass(_) | Disable(_) | Enable(_))
    )
}

/// Runs a command on one thread.
fn block_on<T>(command: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("Can't start: {error}")))?;
    let outcome = runtime.block_on(command);
    // What still waits (a silent registry, say) must not hold the process.
    runtime.shutdown_background();
    outcome
}
