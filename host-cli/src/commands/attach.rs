//! `clawker attach`: back to a running agent.

use std::io::IsTerminal;

use crate::cli::AttachArgs;
use crate::commands::run::{attach, follow};
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::docker::wait::{Until, Wait};
use crate::exit::{Failure, Outcome};
use crate::ours;
use crate::resolve;
use crate::session::Shape;

/// Attaches.
///
/// # Errors
/// When the agent isn't there or doesn't run.
pub async fn run(ctx: &Context, args: &AttachArgs) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.given())?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let container = ours::running(&engine, &record).await?;
    let stdin = !args.no_stdin && container.open_stdin;
    if container.tty && stdin && !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "The agent has a terminal and standard input is none; pass --no-stdin to watch",
        ));
    }
    let shape = Shape { tty: container.tty, stdin };
    let wait = Wait::register(&engine, &container.id, Until::NotRunning).await?;
    let connection = attach(&engine, &container.id, stdin, &args.detach_keys).await?;
    Ok(follow(ctx, &engine, &record, connection, wait, shape).await?.code)
}
