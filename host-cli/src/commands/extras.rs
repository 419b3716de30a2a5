//! What `clawker run` was asked for besides the fence, checked against this machine and this engine; and what was
//! mounted then, checked again before a later start.

use std::path::PathBuf;

use bollard::models::SystemInfo;

use crate::cli::RunArgs;
use crate::config::{self, Loaded};
use crate::context::Context;
use crate::docker::extras::{Extras, VOLUMES_LABEL};
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;
use crate::limits::{Limits, Machine};
use crate::store::AgentRecord;
use crate::volume::Kept;

/// Limits, mounts and what is passed on.
///
/// # Errors
/// When a mount would reach past the fence, or Docker can't be asked.
pub async fn of(ctx: &Context, engine: &Engine, loaded: &Loaded, args: &RunArgs) -> Result<Extras, Failure> {
    let info = engine.api.info().await.map_err(DockerError::from)?;
    let typed = config::Limits { memory: args.memory, cpus: args.cpus, pids: args.pids_limit };
    let kept = Kept::new(&ctx.paths, engine, info.docker_root_dir.as_deref(), &loaded.dir);
    Ok(Extras {
        limits: Limits::choose(typed, loaded.config.limits, machine(&info)),
        volumes: kept.check_all(&args.passed.volume, &ctx.cwd)?,
        passed: args.passed.clone(),
    })
}

fn machine(info: &SystemInfo) -> Machine {
    Machine { memory: info.mem_total.unwrap_or_default(), cpus: info.ncpu.unwrap_or_default() }
}

/// Looks again at what an agent's container mounts of the host, which may have become a link meanwhile.
///
/// # Errors
/// When it would reach past the fence by now, or Docker can't be asked.
pub async fn check_again(ctx: &Context, engine: &Engine, record: &AgentRecord) -> Result<(), Failure> {
    let found = engine.api.inspect_container(&record.container, None).await.map_err(DockerError::from)?;
    let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
    let Some(list) = labels.get(VOLUMES_LABEL) else { return Ok(()) };
    let sources: Vec<PathBuf> = serde_json::from_str(list)?;
    let info = engine.api.info().await.map_err(DockerError::from)?;
    let kept = Kept::new(&ctx.paths, engine, info.docker_root_dir.as_deref(), &record.project_dir);
    for source in sources {
        kept.check_again(&source)?;
    }
    Ok(())
}
