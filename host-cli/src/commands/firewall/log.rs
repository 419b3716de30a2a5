//! `clawker firewall log`: what agents' flows met, from init, CoreDNS and Envoy, in order of time. `gather` is what
//! `learn` reads as well; `follow` goes on from there.

mod follow;

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;

use crate::cli::LogArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::flowlog::Entry;
use crate::lent;
use crate::paths::Paths;
use crate::scope::{Part, Scope};
use crate::store::{self, AgentRecord};
use crate::tail::Tail;
use crate::{output, resolve};

/// How far back the stack's logs are looked through, in lines.
const LOOK_BACK: &str = "20000";
/// The columns.
const COLUMNS: [&str; 7] = ["TIME (UTC)", "AGENT", "BY", "VERDICT", "PROTO", "DESTINATION", "DETAIL"];

/// Prints it.
///
/// # Errors
/// When the agent isn't there or a log can't be read.
pub async fn run(ctx: &Context, args: &LogArgs) -> Outcome {
    let settings = config::settings(&ctx.paths)?;
    let engine = Engine::connect(settings.docker.host.as_deref()).await?;
    let scope = Scope::load(&ctx.paths, &settings, records(ctx, args.agent.as_deref())?)?;
    let mut heard = Heard::default();
    let mut entries = heard.gather(&ctx.paths, &engine, &scope, args.since).await?;
    entries.retain(|entry| !args.denied || entry.is_denial());
    let entries = entries.split_off(entries.len().saturating_sub(args.tail));
    if args.follow {
        return follow::run(ctx, args, &engine, &settings, scope, heard, entries).await;
    }
    if ctx.output.json {
        for entry in &entries {
            ctx.output.entry(entry)?;
        }
        return Ok(OK);
    }
    let mut rows = vec![COLUMNS.map(str::to_owned).to_vec()];
    rows.extend(entries.iter().map(|entry| cells(entry).to_vec()));
    output::write_stdout(output::table(&rows).as_bytes())?;
    Ok(OK)
}

/// An entry's columns, safe on a terminal.
fn cells(entry: &Entry) -> [String; 7] {
    entry.cells().map(|cell| output::escape(&cell))
}

/// The agent that is named, or all.
pub(super) fn records(ctx: &Context, agent: Option<&str>) -> Result<Vec<AgentRecord>, Failure> {
    match agent {
        Some(name) => Ok(vec![resolve::agent(&ctx.paths, &ctx.cwd, Some(name))?]),
        None => Ok(store::agents(&ctx.paths)?),
    }
}

/// How far each witness was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Docker's time of a container's last line.
    parts: HashMap<&'static str, String>,
    /// The agents' files, by the record's id and the file's name.
    tails: HashMap<(String, &'static str), Tail>,
}

impl Heard {
    /// Everything that was said so far, in order of time.
    pub(super) async fn gather(
        &mut self,
        paths: &Paths,
        engine: &Engine,
        scope: &Scope,
        since: Option<Duration>,
    ) -> Result<Vec<Entry>, Failure> {
        let mut entries = self.events(paths, scope)?;
        for (part, container) in containers(paths) {
            let lines = lines(engine, &container).await?;
            if let Some(last) = lines.iter().filter_map(|line| line.split(' ').next()).max() {
                self.parts.insert(key(part), last.to_owned());
            }
            entries.extend(lines.iter().filter_map(|line| scope.of_stack(part, line)));
        }
        let begin = since.map_or(0, |since| now().saturating_sub(millis(since)));
        entries.retain(|entry| entry.time >= begin);
        entries.sort_by_key(|entry| entry.time);
        Ok(entries)
    }

    /// What the inits have said since.
    fn events(&mut self, paths: &Paths, scope: &Scope) -> Result<Vec<Entry>, Failure> {
        let mut entries = Vec::new();
        for record in scope.records() {
            let lines = self.lines(paths, record, "events.jsonl")?;
            entries.extend(lines.iter().filter_map(|line| scope.of_init(&record.id, line)));
            let lines = self.lines(paths, record, lent::USES)?;
            entries.extend(lines.iter().filter_map(|line| scope.of_lent(&record.id, line)));
        }
        Ok(entries)
    }

    /// What was added to a file of an agent's.
    fn lines(
        &mut self,
        paths: &Paths,
        record: &AgentRecord,
        name: &'static str,
    ) -> Result<Vec<String>, Failure> {
        let file = || Tail::new(paths.agent_dir(&record.id).join(name));
        let tail = self.tails.entry((record.id.clone(), name)).or_insert_with(file);
        tail.lines()
            .map_err(|error| Failure::new(format!("Can't read the events of {}: {error}", record.agent)))
    }
}

fn containers(paths: &Paths) -> [(Part, String); 2] {
    [(Part::CoreDns, paths.coredns_container()), (Part::Envoy, paths.envoy_container())]
}

fn key(part: Part) -> &'static str {
    match part {
        Part::CoreDns => "dns",
        Part::Envoy => "proxy",
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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
