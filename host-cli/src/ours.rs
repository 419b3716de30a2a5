//! An agent's container as Docker knows it, told apart from a missing one and from a stranger's of the same
//! name.

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
    let found = engine.api.inspect_container(&record.container, None).await.map_err(DockerError::from);
    let found = match found {
        Ok(found) => found,
        Err(error) if error.is_missing() => return Err(ControlError::Gone { agent }),
        Err(error) => return Err(error.into()),
    };
    let config = found.config.unwrap_or_default();
    let labels = config.labels.unwrap_or_default();
    if labels.get("clawker.id") != Some(&record.id) {
        return Err(ControlError::NotOurs { container: record.container.clone(), agent });
    }
    Ok(Container {
        id: found.id.unwrap_or_default(),
        running: found.state.and_then(|state| state.running) == Some(true),
        tty: config.tty == Some(true),
        open_stdin: config.open_stdin == Some(true),
    })
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
