//! `clawker rm`: removes agents: container, record, folder.

use bollard::query_parameters::RemoveContainerOptions;

use crate::cli::RmArgs;
use crate::config;
use crate::context::Context;
use crate::control::ControlError;
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::lock::StateLock;
use crate::store::{self, AgentRecord};
use crate::{launch, ours, resolve};

/// Removes each; the first that fails ends it.
///
/// # Errors
/// When one runs and `--force` isn't given, or Docker does not do it.
pub async fn run(ctx: &Context, args: &RmArgs) -> Outcome {
    let given = args.agents.given();
    let records: Result<Vec<_>, _> =
        given.into_iter().map(|name| resolve::agent(&ctx.paths, &ctx.cwd, name)).collect();
    let records = records?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    for record in records {
        remove(ctx, &engine, &record, args.force).await?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}

/// The record goes also where the container is gone or its name is a stranger's, which stays.
async fn remove(ctx: &Context, engine: &Engine, record: &AgentRecord, force: bool) -> Result<(), Failure> {
    let lock = StateLock::acquire(&ctx.paths)?;
    match ours::find(engine, record).await {
        Ok(container) if container.running && !force => {
            let agent = &record.agent;
            return Err(Failure::new(format!(
                "Agent {agent} is running; stop it first or remove it with rm -f"
            )));
        }
        Ok(container) => {
            let options = RemoveContainerOptions { force, v: true, ..Default::default() };
            engine.api.remove_container(&container.id, Some(options)).await.map_err(DockerError::from)?;
        }
        Err(ControlError::Gone { .. } | ControlError::NotOurs { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    store::delete_agent(&ctx.paths, &lock, &record.id)?;
    launch::release(ctx, &record.project_dir);
    Ok(())
}
