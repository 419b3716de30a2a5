//! `clawker stop`: stops agents; their records and containers stay.

use bollard::query_parameters::StopContainerOptions;

use crate::cli::StopArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::{OK, Outcome};
use crate::{ours, resolve};

/// Stops each; the first that fails ends it.
///
/// # Errors
/// When one isn't there or Docker does not do it.
pub async fn run(ctx: &Context, args: &StopArgs) -> Outcome {
    let given = args.agents.given();
    let records: Result<Vec<_>, _> =
        given.into_iter().map(|name| resolve::agent(&ctx.paths, &ctx.cwd, name)).collect();
    let records = records?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    for record in records {
        let container = ours::find(&engine, &record).await?;
        let options = StopContainerOptions { t: Some(args.time), signal: None };
        engine.api.stop_container(&container.id, Some(options)).await.map_err(DockerError::from)?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}
