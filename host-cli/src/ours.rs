//! An agent's container as Docker knows it, told apart from a missing one and from a stranger's of the same
//! name.

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::RenameContainerOptions;

use crate::control::ControlError;
use crate::docker::{DockerError, Engine};
use crate::store::AgentRecord;

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// It runs.
    pub running: bool,
    /// It has a terminal.
    pub tty: bool,
    /// Its standard input is open.
    pub open_stdin: bool,
}

/// Finds a record's container.
///
/// # Errors
/// [`ControlError::Gone`], [`ControlError::NotOurs`], or Docker's.
pub async fn find(engine: &Engine, record: &AgentRecord) -> Result<Container, ControlError> {
    let agent = record.agent.to_string();
    let found = match inspect(engine, &record.container).await? {
        Some(found) => found,
        None => finish_renaming(engine, record).await?.ok_or(ControlError::Gone { agent: agent.clone() })?,
    };
    let of_record = is_of(&found, record);
    let config = found.config.unwrap_or_default();
    if !of_record {
        return Err(ControlError::NotOurs { container: record.container.clone(), agent });
    }
    Ok(Container {
        id: found.id.unwrap_or_default(),
        running: found.state.and_then(|state| state.running) == Some(true),
        tty: config.tty == Some(true),
        open_stdin: config.open_stdin == Some(true),
    })
}

/// What Docker knows of this name; `None` where that is nothing.
async fn inspect(engine: &Engine, name: &str) -> Result<Option<ContainerInspectResponse>, DockerError> {
    match engine.api.inspect_container(name, None).await.map_err(DockerError::from) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it is this record's, whatever its name.
fn is_of(found: &ContainerInspectResponse, record: &AgentRecord) -> bool {
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    labels.and_then(|labels| labels.get("clawker.id")) == Some(&record.id)
}

/// Does what a `clawker rename` that was killed had still to do: the record has the new name already.
async fn finish_renaming(
    engine: &Engine,
    record: &AgentRecord,
) -> Result<Option<ContainerInspectResponse>, DockerError> {
    let Some(was) = &record.was else { return Ok(None) };
    if !inspect(engine, was).await?.is_some_and(|found| is_of(&found, record)) {
        return Ok(None);
    }
    rename(engine, was, &record.container).await?;
    inspect(engine, &record.container).await
}

/// Gives a container another name.
///
/// # Errors
/// [`DockerError`].
pub async fn rename(engine: &Engine, from: &str, to: &str) -> Result<(), DockerError> {
    let options = RenameContainerOptions { name: to.to_owned() };
    engine.api.rename_container(from, options).await.map_err(DockerError::from)
}

/// As [`find`], and it must run.
///
/// # Errors
/// [`ControlError::NotRunning`] besides.
pub async fn running(engine: &Engine, record: &AgentRecord) -> Result<Container, ControlError> {
    let container = find(engine, record).await?;
    if container.running {
        Ok(container)
    } else {
        Err(ControlError::NotRunning { agent: record.agent.to_string() })
    }
}
