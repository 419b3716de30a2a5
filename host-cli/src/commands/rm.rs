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
use crate::{idmap, kept, launch, ours, resolve, snapshot, worktree};

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
        remove(ctx, &engine, &record, args).await?;
        tell_of_the_copy(ctx, &engine, &record).await?;
        if let Some(worktree) = worktree::around(&ctx.paths, record.workspace())? {
            let branch = worktree.branch;
            ctx.output.note(&format!("The worktree is kept; end it: clawker worktree remove {branch}"));
        }
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}

/// The copy of the project goes only where that is asked for: it is the agent's work.
async fn tell_of_the_copy(ctx: &Context, engine: &Engine, record: &AgentRecord) -> Result<(), Failure> {
    let volumes = record.volumes(&ctx.paths);
    if snapshot::exists(engine, &volumes, &record.id).await? {
        let (agent, volume) = (record.first_name(), snapshot::volume(&volumes));
        ctx.output.note(&format!(
            "The copy of the project that {agent} worked on is kept; bring back what it changed: clawker pull {agent}, or \
             remove it: docker volume rm {volume}"
        ));
    }
    Ok(())
}

/// The record goes also where the container is gone or its name is a stranger's, which stays.
async fn remove(ctx: &Context, engine: &Engine, record: &AgentRecord, args: &RmArgs) -> Result<(), Failure> {
    let force = args.force;
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
    // Before the record: what Docker does not give back must still be found.
    if args.volumes {
        let volumes = record.volumes(&ctx.paths);
        snapshot::remove(&ctx.paths, engine, &volumes, &record.id).await?;
        kept::remove(&engine.api, &volumes).await?;
    }
    store::delete_agent(&ctx.paths, &lock, &record.id)?;
    idmap::sweep(&ctx.paths);
    launch::released(ctx, record);
    Ok(())
}
