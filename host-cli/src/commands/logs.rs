//! `clawker logs`: what an agent's container wrote, byte for byte, as `docker logs` has it.

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;

use crate::cli::LogsArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::{OK, Outcome};
use crate::{ours, output, resolve};

/// Prints them.
///
/// # Errors
/// When the agent isn't there or Docker does not do it.
pub async fn run(ctx: &Context, args: &LogsArgs) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.given())?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let container = ours::find(&engine, &record).await?;
    let options = LogsOptions {
        follow: args.follow,
        stdout: true,
        stderr: true,
        timestamps: args.timestamps,
        tail: args.tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string()),
        ..Default::default()
    };
    let mut pieces = engine.api.logs(&container.id, Some(options));
    while let Some(piece) = pieces.next().await {
        match piece.map_err(DockerError::from)? {
            LogOutput::StdErr { message } => {
                use std::io::Write;
                let _ = std::io::stderr().write_all(&message);
            }
            LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
                output::write_stdout(&message)?;
            }
        }
    }
    Ok(OK)
}
