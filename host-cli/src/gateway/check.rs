//! Lets the real Envoy judge a configuration before it is swapped in: in the running container, all resources in one
//! file, since `--mode validate` does not look into others.

use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use clawker_protocol::places;
use futures_util::StreamExt;

use super::GatewayError;
use crate::docker::DockerError;
use crate::envoy::{self, Secrets};
use crate::paths::Paths;
use crate::plan::Plan;
use crate::stack::StackInfo;
use crate::store;

/// As much of Envoy's complaint as a person reads.
const MAX_COMPLAINT: usize = 400;

/// Has Envoy check these plans.
///
/// # Errors
/// [`GatewayError::Invalid`] with Envoy's own words.
pub async fn check(
    paths: &Paths,
    info: &StackInfo,
    plans: &[Plan],
    secrets: &Secrets,
) -> Result<(), GatewayError> {
    let file = paths.envoy_dir().join(envoy::CHECK);
    store::write_atomically(&file, envoy::inlined(plans, secrets).to_string().as_bytes(), 0o600)?;
    let outcome = validate(paths, info).await;
    let _ = std::fs::remove_file(&file);
    outcome
}

async fn validate(paths: &Paths, info: &StackInfo) -> Result<(), GatewayError> {
    let path = format!("{}/{}", envoy::FOLDER, envoy::CHECK);
    // Without the capabilities that the container has for its init.
    let command = [
        places::INIT,
        "enter",
        "--",
        envoy::PROGRAM,
        "--mode",
        "validate",
        "--log-level",
        "error",
        "-c",
        &path,
    ];
    let options = CreateExecOptions {
        cmd: Some(command.map(str::to_owned).to_vec()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..CreateExecOptions::default()
    };
    let made = info.docker.create_exec(&paths.envoy_container(), options).await.map_err(DockerError::from)?;
    let started =
        info.docker.start_exec(&made.id, None::<StartExecOptions>).await.map_err(DockerError::from)?;
    let mut said = String::new();
    if let StartExecResults::Attached { mut output, .. } = started {
        while let Some(Ok(part)) = output.next().await {
            said.push_str(&String::from_utf8_lossy(&part.into_bytes()));
        }
    }
    let ended = info.docker.inspect_exec(&made.id).await.map_err(DockerError::from)?;
    if ended.exit_code == Some(0) {
        return Ok(());
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    Err(GatewayError::Invalid(words.join(" ").chars().take(MAX_COMPLAINT).collect()))
}
