//! Runs a program beside the agent through Docker's exec: with the user's terminal or pipes, or quietly for our
//! own questions to init.

use std::time::Duration;

use bollard::Docker;
use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::demux::{Demux, Stream};
use crate::detach::Watcher;
use crate::docker::raw::{self, Ask, Connection};
use crate::docker::{DockerError, Engine};
use crate::exit::{self, Failure, Outcome};
use crate::session::{self, Ended, Peer, Shape};

/// How long after its output's end an exec may take to be counted as ended.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// As many bytes are read at a time.
const PIECE: usize = 64 << 10;

/// A program for the user.
#[derive(Debug)]
pub struct Interactive<'a> {
    /// The container.
    pub container: &'a str,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables, `NAME=VALUE`.
    pub env: Vec<String>,
    /// The folder to start in.
    pub workdir: Option<String>,
    /// Terminal and input.
    pub shape: Shape,
    /// Keys that detach.
    pub detach_keys: String,
}

/// Runs it in the user's terminal; comes back with its exit code.
///
/// # Errors
/// When Docker does not do it.
pub async fn interactive(engine: &Engine, run: Interactive<'_>) -> Outcome {
    let shape = run.shape;
    let watcher = if shape.tty && shape.stdin { Some(Watcher::new(&run.detach_keys)?) } else { None };
    let config = ExecConfig {
        attach_stdin: Some(shape.stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(shape.tty),
        detach_keys: Some(run.detach_keys),
        env: Some(run.env),
        cmd: Some(run.command),
        user: Some("0:0".to_owned()),
        working_dir: run.workdir,
        ..ExecConfig::default()
    };
    let (id, connection) = begin(engine, run.container, config, shape.tty).await?;
    match session::run(engine, &Peer::Exec(id.clone(), watcher), connection, shape).await? {
        Ended::Closed => Ok(finish(engine, &id).await?.map_or(exit::OK, exit::of_program)),
        Ended::Unread | Ended::Detached => Ok(exit::OK),
        Ended::Signal(number) => Ok(exit::of_program(128 + i64::from(number))),
    }
}

/// A program for ourselves.
#[derive(Debug)]
pub struct Quiet<'a> {
    /// The container.
    pub container: &'a str,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Variables, `NAME=VALUE`.
    pub env: Vec<String>,
    /// Its standard input.
    pub stdin: Vec<u8>,
}

/// What it wrote, and its code.
#[derive(Debug, Default)]
pub struct Output {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// The exit code, when it has ended.
    pub code: Option<i64>,
}

/// Runs it and collects what it writes.
///
/// # Errors
/// When Docker does not do it.
pub async fn quiet(engine: &Engine, run: Quiet<'_>) -> Result<Output, DockerError> {
    let mut output = Output::default();
    let code = each(engine, run, |stream, bytes| {
        match stream {
            Stream::Out => output.stdout.extend_from_slice(bytes),
            Stream::Err => output.stderr.extend_from_slice(bytes),
        }
        Ok::<_, DockerError>(())
    });
    output.code = code.await?;
    Ok(output)
}

/// Runs it and hands on what it writes, as it comes; its exit code, when it has ended.
///
/// # Errors
/// When Docker does not do it, or the sink's own.
pub async fn each<E: From<DockerError>>(
    engine: &Engine,
    run: Quiet<'_>,
    mut sink: impl FnMut(Stream, &[u8]) -> Result<(), E>,
) -> Result<Option<i64>, E> {
    let config = ExecConfig {
        attach_stdin: Some(!run.stdin.is_empty()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        env: Some(run.env),
        cmd: Some(run.command),
        user: Some("0:0".to_owned()),
        ..ExecConfig::default()
    };
    let (id, connection) = begin(engine, run.container, config, false).await?;
    let broken = |source| DockerError::Broken { address: engine.address.clone(), source };
    let Connection { mut stream, early } = connection;
    if !run.stdin.is_empty() {
        stream.write_all(&run.stdin).await.map_err(broken)?;
        stream.shutdown().await.map_err(broken)?;
    }
    let mut demux = Demux::default();
    demux.feed(&early, &mut sink)?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = stream.read(&mut piece).await.map_err(broken)?;
        if count == 0 {
            return Ok(finish(engine, &id).await?);
        }
        demux.feed(piece.get(..count).unwrap_or_default(), &mut sink)?;
    }
}

/// Runs a program of the stack as its container's own user; its exit code, and both of its outputs as text.
///
/// # Errors
/// When Docker does not do it.
pub async fn quietly(
    docker: &Docker,
    container: &str,
    command: &[&str],
) -> Result<(i64, String), DockerError> {
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        ..ExecConfig::default()
    };
    let id = docker.create_exec(container, config).await?.id;
    let mut text = String::new();
    if let StartExecResults::Attached { mut output, .. } = docker.start_exec(&id, None).await? {
        while let Some(piece) = output.next().await {
            text.push_str(&String::from_utf8_lossy(&piece?.into_bytes()));
        }
    }
    let code = docker.inspect_exec(&id).await?.exit_code;
    Ok((code.unwrap_or(i64::from(exit::NOT_THE_PROGRAM)), text))
}

async fn begin(
    engine: &Engine,
    container: &str,
    config: ExecConfig,
    tty: bool,
) -> Result<(String, Connection), DockerError> {
    let id = engine.api.create_exec(container, config).await?.id;
    let target = engine.path(&format!("/exec/{id}/start"));
    let body = serde_json::json!({ "Detach": false, "Tty": tty }).to_string();
    let request = Ask { method: "POST", target: &target, body: Some(&body), upgrade: true };
    let (_, connection) = raw::ask(&engine.address, request).await?;
    Ok((id, connection))
}

/// The exit code; `None` when it still runs, which after its output's end means that the user detached.
async fn finish(engine: &Engine, id: &str) -> Result<Option<i64>, DockerError> {
    let begun = tokio::time::Instant::now();
    loop {
        let state = engine.api.inspect_exec(id).await?;
        if state.running != Some(true) {
            return Ok(state.exit_code);
        }
        if begun.elapsed() > AFTERWARDS {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// `NAME=VALUE` as given, or with the value that the variable has here.
///
/// # Errors
/// A variable without a name, or one that isn't set here.
pub fn variables(given: &[String]) -> Result<Vec<(String, String)>, Failure> {
    given.iter().map(|text| variable(text, |name| std::env::var(name).ok())).collect()
}

fn variable(text: &str, here: impl Fn(&str) -> Option<String>) -> Result<(String, String), Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, here(text)),
    };
    if name.is_empty() {
        return Err(Failure::usage(format!("\"{text}\" names no variable; write -e NAME=VALUE")));
    }
    match value {
        Some(value) => Ok((name.to_owned(), value)),
        None => {
            Err(Failure::usage(format!("Variable {name} is not set here; set it or write -e {name}=VALUE")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_value_is_taken_from_here_or_named() {
        let here = |name: &str| (name == "SET").then(|| "v".to_owned());
        assert_eq!(variable("A=b=c", here), Ok(("A".to_owned(), "b=c".to_owned())));
        assert_eq!(variable("A=", here), Ok(("A".to_owned(), String::new())));
        assert_eq!(variable("SET", here), Ok(("SET".to_owned(), "v".to_owned())));
        assert!(variable("UNSET", here).unwrap_err().message.contains("UNSET"));
        assert!(variable("=x", here).is_err());
    }
}
