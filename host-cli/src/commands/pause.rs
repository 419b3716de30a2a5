//! `clawker pause` and `clawker unpause`: every process of an agent stands still. Its rules don't, and a bypass ends
//! on time: the kernel ends it, and not init, which stands still too.

use crate::cli::PauseArgs;
use crate::commands::chosen;
use crate::context::Context;
use crate::docker::DockerError;
use crate::exit::{OK, Outcome};

/// Pauses each; the first that fails ends it.
///
/// # Errors
/// When one isn't there, doesn't run, or Docker does not do it.
pub async fn pause(ctx: &Context, args: &PauseArgs) -> Outcome {
    let (engine, chosen) = chosen::running(ctx, &args.agents).await?;
    for (record, container) in chosen {
        engine.api.pause_container(&container.id).await.map_err(DockerError::from)?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}

/// Lets each go on; the first that fails ends it.
///
/// # Errors
/// When one isn't there, isn't paused, or Docker does not do it.
pub async fn unpause(ctx: &Context, args: &PauseArgs) -> Outcome {
    let (engine, chosen) = chosen::running(ctx, &args.agents).await?;
    for (record, container) in chosen {
        engine.api.unpause_container(&container.id).await.map_err(DockerError::from)?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}
