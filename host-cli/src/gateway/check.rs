//! Lets the real Envoy judge a configuration before it is swapped in: in the running container, all resources in one
//! file, since `--mode validate` does not look into others.

use std::path::PathBuf;

use bollard::Docker;
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

/// The file that is checked, gone with the check: it holds keys.
struct Checked(PathBuf);

impl Drop for Checked {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A check that Envoy is at, in a process of its own: there is time for other things until its end.
pub struct Check<'a> {
    docker: &'a Docker,
    exec: String,
    answer: StartExecResults,
    _file: Checked,
}

impl<'a> Check<'a> {
    /// Has Envoy begin to check these plans.
    ///
    /// # Errors
    /// [`GatewayError`] when it can't be asked.
    pub async fn begin(
        paths: &Paths,
        info: &'a StackInfo,
        plans: &[Plan],
        secrets: &Secrets,
    ) -> Result<Self, GatewayError> {
        let file = Checked(paths.envoy_dir().join(envoy::CHECK));
        let text = envoy::inlined(plans, secrets).to_string();
        store::write_atomically(&file.0, text.as_bytes(), 0o600)?;
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
        let docker = &info.docker;
        let made = docker.create_exec(&paths.envoy_container(), options).await.map_err(DockerError::from)?;
        let answer =
            docker.start_exec(&made.id, None::<StartExecOptions>).await.map_err(DockerError::from)?;
        Ok(Self { docker, exec: made.id, answer, _file: file })
    }

    /// Waits for Envoy's answer.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`] with Envoy's own words.
    pub async fn end(self) -> Result<(), GatewayError> {
        let mut said = String::new();
        if let StartExecResults::Attached { mut output, .. } = self.answer {
            while let Some(Ok(part)) = output.next().await {
                said.push_str(&String::from_utf8_lossy(&part.into_bytes()));
            }
        }
        let ended = self.docker.inspect_exec(&self.exec).await.map_err(DockerError::from)?;
        if ended.exit_code == Some(0) {
            return Ok(());
        }
        let words: Vec<&str> = said.split_whitespace().collect();
        Err(GatewayError::Invalid(words.join(" ").chars().take(MAX_COMPLAINT).collect()))
    }
}
