//! `clawker firewall log`: what an agent's flows met, from init, CoreDNS and Envoy, in order of time.

use std::collections::VecDeque;

use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;

use crate::cli::LogArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::flowlog::{self, Entry};
use crate::store::AgentRecord;
use crate::{output, resolve};

/// How far back the stack's logs are looked through, in lines.
const LOOK_BACK: &str = "20000";

/// Prints it.
///
/// # Errors
/// When the agent isn't there or a log can't be read.
pub async fn run(ctx: &Context, args: &LogArgs) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.as_deref())?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let mut entries = events(ctx, &record)?;
    // An address was another agent's before this one was made.
    let since = record.created;
    let of_dns = |line: &str| flowlog::of_dns(line, record.address);
    let of_proxy = |line: &str| flowlog::of_proxy(line, record.address);
    entries.extend(witnessed(&engine, &ctx.paths.coredns_container(), since, of_dns).await?);
    entries.extend(witnessed(&engine, &ctx.paths.envoy_container(), since, of_proxy).await?);
    entries.retain(|entry| !args.denied || entry.is_denial());
    entries.sort_by_key(|entry| entry.time);
    let entries = entries.split_off(entries.len().saturating_sub(args.tail));
    if ctx.output.json {
        for entry in &entries {
            ctx.output.line(&serde_json::to_string(entry)?)?;
        }
        return Ok(OK);
    }
    let mut rows =
        vec![["TIME (UTC)", "BY", "VERDICT", "PROTO", "DESTINATION", "DETAIL"].map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| entry.cells().map(|cell| output::escape(&cell)).to_vec()));
    output::write_stdout(output::table(&rows).as_bytes())?;
    Ok(OK)
}

/// Init's events, from the file in the agent's folder; none when the agent never ran.
fn events(ctx: &Context, record: &AgentRecord) -> Result<Vec<Entry>, Failure> {
    let path = ctx.paths.agent_dir(&record.id).join("events.jsonl");
    match std::fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().filter_map(flowlog::of_init).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::new(format!("Can't read {}: {error}", path.display()))),
    }
}

/// What a container of the stack wrote about the agent; none when it does not exist.
async fn witnessed(
    engine: &Engine,
    container: &str,
    since: u64,
    read: impl Fn(&str) -> Option<Entry>,
) -> Result<VecDeque<Entry>, Failure> {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        timestamps: true,
        since: i32::try_from(since / 1000).unwrap_or_default(),
        tail: LOOK_BACK.to_owned(),
        ..Default::default()
    };
    let mut found = VecDeque::new();
    let mut lines = engine.api.logs(container, Some(options));
    while let Some(piece) = lines.next().await {
        match piece.map_err(DockerError::from) {
            Ok(piece) => {
                let bytes = piece.into_bytes();
                found.extend(String::from_utf8_lossy(&bytes).lines().filter_map(&read));
            }
            Err(error) if error.is_missing() => return Ok(found),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}
