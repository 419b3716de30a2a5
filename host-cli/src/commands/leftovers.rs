//! What `clawker doctor` takes away with `--fix`: the halves of agents that a killed command, or somebody else's hand,
//! left behind. Under the lock, and never anything that runs.

use std::collections::HashMap;

use bollard::models::ContainerSummaryStateEnum as State;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};

use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::doctor::Check;
use crate::doctor::leftovers::{self, Known, Leftover, Seen};
use crate::exit::Failure;
use crate::lock::StateLock;
use crate::making::Making;
use crate::store;

const NAME: &str = "leftovers";
const MEND: &str = "clawker doctor --fix";

/// Looks, and with `fix` takes away what it may.
pub async fn check(ctx: &Context, engine: &Engine, fix: bool) -> Vec<Check> {
    match checks(ctx, engine, fix).await {
        Ok(checks) if checks.is_empty() => vec![Check::ok(NAME, "none")],
        Ok(checks) => checks,
        Err(failure) => vec![Check::fail(NAME, failure.message, MEND)],
    }
}

async fn checks(ctx: &Context, engine: &Engine, fix: bool) -> Result<Vec<Check>, Failure> {
    // Nobody makes or removes an agent meanwhile.
    let lock = StateLock::acquire(&ctx.paths)?;
    if fix {
        store::sweep(&ctx.paths, &lock);
    }
    let mut checks = Vec::new();
    for one in leftovers::find(&known(ctx)?, &seen(ctx, engine).await?, &folders(ctx)) {
        checks.push(match (one.by_hand(), fix) {
            (Some(command), _) => Check::warn(NAME, one.seen(), command),
            (None, false) => Check::warn(NAME, one.seen(), MEND),
            (None, true) => {
                take_away(ctx, engine, &lock, &one).await?;
                Check::ok(NAME, format!("{}: removed", one.seen()))
            }
        });
    }
    Ok(checks)
}

async fn take_away(ctx: &Context, engine: &Engine, lock: &StateLock, one: &Leftover) -> Result<(), Failure> {
    let (container, id) = match one {
        Leftover::Record(known) => (None, Some(&known.id)),
        Leftover::HalfMade(known, seen) => (Some(seen), Some(&known.id)),
        Leftover::Container(seen) => (Some(seen), None),
        Leftover::Folder(id) => (None, Some(id)),
    };
    if let Some(seen) = container {
        // Without force: one that began to run meanwhile stays.
        let options = RemoveContainerOptions { v: true, ..Default::default() };
        engine.api.remove_container(&seen.name, Some(options)).await.map_err(DockerError::from)?;
    }
    if let Some(id) = id {
        store::delete_agent(&ctx.paths, lock, id)?;
    }
    Ok(())
}

fn known(ctx: &Context) -> Result<Vec<Known>, Failure> {
    let records = store::agents(&ctx.paths)?.into_iter();
    Ok(records
        .map(|record| Known {
            under_way: Making::is_under_way(&ctx.paths, &record.id),
            shown: format!("{}/{}", record.project, record.agent),
            id: record.id,
        })
        .collect())
}

/// This user's and this instance's alone.
async fn seen(ctx: &Context, engine: &Engine) -> Result<Vec<Seen>, Failure> {
    let labels = [
        "clawker.role=agent".to_owned(),
        format!("clawker.instance={}", ctx.paths.instance_label()),
        format!("clawker.owner={}", nix::unistd::geteuid()),
    ];
    let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let found = engine.api.list_containers(Some(options)).await.map_err(DockerError::from)?;
    let seen = found.into_iter().filter_map(|container| {
        Some(Seen {
            name: container.names?.first()?.trim_start_matches('/').to_owned(),
            id: container.labels?.remove("clawker.id")?,
            running: matches!(container.state, Some(State::RUNNING | State::PAUSED | State::RESTARTING)),
            created: container.state == Some(State::CREATED),
        })
    });
    Ok(seen.collect())
}

fn folders(ctx: &Context) -> Vec<String> {
    let entries = std::fs::read_dir(ctx.paths.agents()).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_id(name)).collect()
}

/// An agent's id: eight hex digits.
fn is_id(name: &str) -> bool {
    name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
