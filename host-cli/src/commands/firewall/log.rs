//! `clawker firewall log`: what agents' flows met, from init, CoreDNS and Envoy, in order of time.

use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;

use crate::cli::LogArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::flowlog::{self, Entry};
use crate::store::{self, AgentRecord};
use crate::{output, resolve};

/// How far back the stack's logs are looked through, in lines.
const LOOK_BACK: &str = "20000";

/// Prints it.
///
/// # Errors
/// When the agent isn't there or a log can't be read.
pub async fn run(ctx: &Context, args: &LogArgs) -> Outcome {
    let records = match &args.agent {
        Some(name) => vec![resolve::agent(&ctx.paths, &ctx.cwd, Some(name))?],
        None => store::agents(&ctx.paths)?,
    };
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let dns = lines(&engine, &ctx.paths.coredns_container()).await?;
    let proxy = lines(&engine, &ctx.paths.envoy_container()).await?;
    let mut entries: Vec<Entry> = records.iter().try_fold(Vec::new(), |mut all, record| {
        all.extend(of_agent(ctx, record, &dns, &proxy)?);
        Ok::<_, Failure>(all)
    })?;
    entries.retain(|entry| !args.denied || entry.is_denial());
    entries.sort_by_key(|entry| entry.time);
    let entries = entries.split_off(entries.len().saturating_sub(args.tail));
    if ctx.output.json {
        for entry in &entries {
            ctx.output.line(&serde_json::to_string(entry)?)?;
        }
        return Ok(OK);
    }
    let mut rows = vec![
        ["TIME (UTC)", "AGENT", "BY", "VERDICT", "PROTO", "DESTINATION", "DETAIL"]
            .map(str::to_owned)
            .to_vec(),
    ];
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

/// Everything about one agent. Before it was made, its address was another's.
fn of_agent(
    ctx: &Context,
    record: &AgentRecord,
    dns: &[String],
    proxy: &[String],
) -> Result<Vec<Entry>, Failure> {
    let dns = dns.iter().filter_map(|line| flowlog::of_dns(line, record.address));
    let proxy = proxy.iter().filter_map(|line| flowlog::of_proxy(line, record.address));
    let mut entries: Vec<Entry> = events(ctx, record)?
        .into_iter()
        .chain(dns)
        .chain(proxy)
        .filter(|entry| entry.time >= record.created)
        .collect();
    for entry in &mut entries {
        entry.agent = format!("{}/{}", record.project, record.agent);
    }
    Ok(entries)
}

/// What a container of the stack wrote, with Docker's times; nothing when it does not exist.
async fn lines(engine: &Engine, container: &str) -> Result<Vec<String>, DockerError> {
    let options = LogsOptions {
        stdout: true,
        stderr: true,
        timestamps: true,
        tail: LOOK_BACK.to_owned(),
        ..Default::default()
    };
    let mut found = Vec::new();
    let mut pieces = engine.api.logs(container, Some(options));
    while let Some(piece) = pieces.next().await {
        match piece.map_err(DockerError::from) {
            Ok(piece) => {
                let text = String::from_utf8_lossy(&piece.into_bytes()).into_owned();
                found.extend(text.lines().map(str::to_owned));
            }
            Err(error) if error.is_missing() => return Ok(found),
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
