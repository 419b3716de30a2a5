//! `clawker stats`: what agents use of the machine.

use std::collections::HashMap;
use std::io::IsTerminal;

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;
use futures_util::future::join_all;
use serde::Serialize;

use crate::cli::{SomeAgents, StatsArgs};
use crate::commands::chosen;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::limits::readable;
use crate::ours;
use crate::output;
use crate::store::{self, AgentRecord};

/// Clears the terminal and goes to its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Prints until it is interrupted, or once. Each round takes Docker a second or two: it measures for so long.
///
/// # Errors
/// When one isn't there, doesn't run, or Docker does not do it.
pub async fn run(ctx: &Context, args: &StatsArgs) -> Outcome {
    let named = SomeAgents { names: args.names.clone(), agents: args.agents.clone() };
    let all = args.names.is_empty() && args.agents.is_empty();
    let (engine, watched) = if all { running(ctx).await? } else { by_name(ctx, &named).await? };
    loop {
        let rounds = watched.iter().map(|(record, id)| sample(&engine, record, id));
        let samples: Vec<Sample> = join_all(rounds).await.into_iter().flatten().collect();
        if ctx.output.json {
            ctx.output.entry(&samples)?;
        } else {
            let before = if !args.no_stream && std::io::stdout().is_terminal() { CLEAR } else { "" };
            output::write_stdout(format!("{before}{}", output::table(&lines(&samples))).as_bytes())?;
        }
        // With nothing left to watch it ends.
        if args.no_stream || samples.is_empty() {
            return Ok(OK);
        }
    }
}

type Watched = (Engine, Vec<(AgentRecord, String)>);

async fn by_name(ctx: &Context, agents: &SomeAgents) -> Result<Watched, Failure> {
    let (engine, chosen) = chosen::running(ctx, agents).await?;
    Ok((engine, chosen.into_iter().map(|(record, container)| (record, container.id)).collect()))
}

async fn running(ctx: &Context) -> Result<Watched, Failure> {
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let mut watched = Vec::new();
    for record in store::agents(&ctx.paths)? {
        if let Ok(container) = ours::running(&engine, &record).await {
            watched.push((record, container.id));
        }
    }
    Ok((engine, watched))
}

/// What one agent uses.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Sample {
    project: String,
    agent: String,
    /// Of one processor: two that are busy are 200.
    cpu_percent: f64,
    /// Without what the kernel caches of files.
    memory_bytes: u64,
    memory_limit_bytes: Option<u64>,
    pids: u64,
    network_received_bytes: u64,
    network_sent_bytes: u64,
    disk_read_bytes: u64,
    disk_written_bytes: u64,
}

/// `None` for one that went away meanwhile.
async fn sample(engine: &Engine, record: &AgentRecord, id: &str) -> Option<Sample> {
    let options = StatsOptions { stream: false, one_shot: false };
    let stats = engine.api.stats(id, Some(options)).next().await?.ok()?;
    // Of a stopped one Docker tells nothing but zeros.
    stats.memory_stats.as_ref()?.usage?;
    Some(measured(record.project.as_str(), record.agent.as_str(), &stats))
}

fn measured(project: &str, agent: &str, stats: &ContainerStatsResponse) -> Sample {
    let memory = stats.memory_stats.clone().unwrap_or_default();
    let details = memory.stats.unwrap_or_default();
    // Control groups of the second and of the first kind.
    let cache = ["inactive_file", "total_inactive_file"].iter().find_map(|name| details.get(*name));
    let networks: HashMap<_, _> = stats.networks.clone().unwrap_or_default();
    let disk = stats.blkio_stats.clone().and_then(|disk| disk.io_service_bytes_recursive).unwrap_or_default();
    let of_disk = |wanted: &str| {
        let entries =
            disk.iter().filter(|one| one.op.as_deref().is_some_and(|op| op.eq_ignore_ascii_case(wanted)));
        entries.filter_map(|one| one.value).sum()
    };
    Sample {
        project: project.to_owned(),
        agent: agent.to_owned(),
        cpu_percent: cpu_percent(stats).unwrap_or_default(),
        memory_bytes: memory.usage.unwrap_or_default().saturating_sub(cache.copied().unwrap_or_default()),
        memory_limit_bytes: memory.limit,
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default(),
        network_received_bytes: networks.values().filter_map(|network| network.rx_bytes).sum(),
        network_sent_bytes: networks.values().filter_map(|network| network.tx_bytes).sum(),
        disk_read_bytes: of_disk("read"),
        disk_written_bytes: of_disk("write"),
    }
}

/// Two readings of Docker's: the container's share of all processors' time, times their number.
#[allow(clippy::cast_precision_loss)]
fn cpu_percent(stats: &ContainerStatsResponse) -> Option<f64> {
    let (now, before) = (stats.cpu_stats.as_ref()?, stats.precpu_stats.as_ref()?);
    let used = now.cpu_usage.as_ref()?.total_usage?.saturating_sub(before.cpu_usage.as_ref()?.total_usage?);
    let passed = now.system_cpu_usage?.saturating_sub(before.system_cpu_usage?);
    let cpus = now.online_cpus.unwrap_or(1).max(1);
    (passed > 0).then(|| (used as f64 / passed as f64 * f64::from(cpus) * 1000.0).round() / 10.0)
}

fn lines(samples: &[Sample]) -> Vec<Vec<String>> {
    let heading = ["PROJECT", "AGENT", "CPU", "MEMORY", "PIDS", "RECEIVED", "SENT", "READ", "WRITTEN"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for sample in samples {
        let limit =
            sample.memory_limit_bytes.map(|limit| format!(" of {}", readable(limit))).unwrap_or_default();
        lines.push(vec![
            sample.project.clone(),
            sample.agent.clone(),
            format!("{:.1} %", sample.cpu_percent),
            format!("{}{limit}", readable(sample.memory_bytes)),
            sample.pids.to_string(),
            readable(sample.network_received_bytes),
            readable(sample.network_sent_bytes),
            readable(sample.disk_read_bytes),
            readable(sample.disk_written_bytes),
        ]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_told_as_docker_tells_it() {
        let stats: ContainerStatsResponse = serde_json::from_value(serde_json::json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 1_500 }, "system_cpu_usage": 10_000, "online_cpus": 4 },
            "precpu_stats": { "cpu_usage": { "total_usage": 1_000 }, "system_cpu_usage": 8_000 },
            "memory_stats": { "usage": 3 << 20, "limit": 1 << 30, "stats": { "inactive_file": 1 << 20 } },
            "pids_stats": { "current": 7 },
            "networks": { "eth0": { "rx_bytes": 2048, "tx_bytes": 10 } },
            "blkio_stats": { "io_service_bytes_recursive": [{ "op": "Read", "value": 5 }, { "op": "write", "value": 6 }] },
        }))
        .unwrap();
        let sample = measured("p", "dev", &stats);
        assert_eq!(
            lines(&[sample])[1],
            ["p", "dev", "100.0 %", "2.0 MiB of 1.0 GiB", "7", "2.0 KiB", "10 B", "5 B", "6 B"]
        );
    }

    #[test]
    fn a_first_reading_has_nothing_to_compare_with() {
        let sample = measured("p", "dev", &ContainerStatsResponse::default());
        assert!(sample.cpu_percent.abs() < f64::EPSILON && sample.memory_bytes == 0);
    }
}
