//! `clawker restart`: stops agents and starts them behind the policy as it is now, whatever their firewalls were.

use bollard::query_parameters::StopContainerOptions;

use crate::cli::RestartArgs;
use crate::commands::{chosen, start};
use crate::config;
use crate::context::Context;
use crate::docker::DockerError;
use crate::exit::{Failure, OK, Outcome};
use crate::idmap::Placed;
use crate::ours::Container;

/// Restarts each; the first that fails ends it. What the next start needs is ready before an agent is stopped.
///
/// # Errors
/// When one isn't there, would be gone once it is stopped, or Docker does not do it.
pub async fn run(ctx: &Context, args: &RestartArgs) -> Outcome {
    let (engine, chosen) = chosen::find(ctx, &args.agents).await?;
    for (record, container) in &chosen {
        let found = engine.api.inspect_container(&container.id, None).await.map_err(DockerError::from)?;
        if found.host_config.and_then(|host| host.auto_remove) == Some(true) {
            let agent = &record.agent;
            return Err(Failure::new(format!(
                "Agent {agent} was made with --rm and is gone once it stops; make it without, to restart it"
            )));
        }
    }
    for (record, container) in chosen {
        let loaded = config::load(&record.project_dir, &ctx.paths)?;
        ctx.warn(&loaded);
        start::prepare(ctx, &engine, &loaded, &record, args.yes).await?;
        let _placed = Placed::place(&ctx.paths, &record, true)?;
        let options = StopContainerOptions { t: Some(args.time), signal: None };
        engine.api.stop_container(&container.id, Some(options)).await.map_err(DockerError::from)?;
        start::begin(ctx, &engine, &record, &Container { running: false, ..container }).await?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}
