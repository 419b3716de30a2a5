//! Starts the helper of an agent, beside the command that starts the agent.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::Lent;
use super::helper::READY;
use crate::exit::Failure;
use crate::paths::Paths;
use crate::store::{self, AgentRecord};

/// How long it may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts it where the agent was lent something that needs it, and waits until it listens.
///
/// # Errors
/// When it doesn't.
pub async fn spawn(paths: &Paths, record: &AgentRecord) -> Result<(), Failure> {
    let lent = store::load::<Lent>(&paths.agent_dir(&record.id).join("lent.json"))?.unwrap_or_default();
    if !lent.needs_helper() {
        return Ok(());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["lend", &record.id]).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed =
        |why: String| Failure::new(format!("The helper that lends your credentials did not start: {why}"));
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let mut line = String::new();
    if let Some(out) = child.stdout.take() {
        let read = tokio::time::timeout(PATIENCE, BufReader::new(out).read_line(&mut line)).await;
        read.map_err(|_| failed("it took too long".to_owned()))??;
    }
    if line.trim() == READY {
        return Ok(());
    }
    let mut why = String::new();
    if let Some(mut errors) = child.stderr.take() {
        let _ = errors.read_to_string(&mut why).await;
    }
    Err(failed(why.trim().trim_start_matches("clawker: ").to_owned()))
}
