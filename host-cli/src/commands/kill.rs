//! `clawker kill`: a signal to agents. KILL ends the container at once; any other goes to init, which hands it on.

use bollard::query_parameters::KillContainerOptions;

use crate::cli::KillArgs;
use crate::commands::chosen;
use crate::context::Context;
use crate::docker::DockerError;
use crate::exit::{OK, Outcome};

/// Sends it to each; the first that fails ends it.
///
/// # Errors
/// When one isn't there, doesn't run, or Docker does not know the signal.
pub async fn run(ctx: &Context, args: &KillArgs) -> Outcome {
    let (engine, chosen) = chosen::running(ctx, &args.agents).await?;
    for (record, container) in chosen {
        let options = KillContainerOptions { signal: args.signal.to_ascii_uppercase() };
        engine.api.kill_container(&container.id, Some(options)).await.map_err(DockerError::from)?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}
