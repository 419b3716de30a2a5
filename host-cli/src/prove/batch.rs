//! Runs the probe in a container, as somebody, and reads its report.

use std::io::Read;
use std::net::Ipv4Addr;
use std::time::Duration;

use bollard::exec::StartExecResults;
use bollard::models::{ContainerCreateBody, ExecConfig, HostConfig};
use clawker_protocol::places;
use clawker_prove::catalogue::Who;
use clawker_prove::task::{Batch, Outcome, Places};
use futures_util::StreamExt;

use super::sink;
use super::twin::Twin;
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;

/// How long a whole batch may take.
const PATIENCE: Duration = Duration::from_secs(75);
/// Who is neither root nor the agent, in any image.
const OTHER: &str = "64321:64321";

/// Eighty random bits that make a DNS label.
///
/// # Errors
/// Without randomness.
pub fn canary() -> Result<String, Failure> {
    let mut bytes = [0; 10];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("k{digits}"))
}

/// Runs a batch in the twin.
///
/// # Errors
/// Docker's. What the probe does not report is missing.
pub async fn run(twin: &Twin<'_>, who: Who, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
    let mut command = probe(twin, batch)?;
    let user = match who {
        Who::Agent => {
            command.splice(0..0, [places::INIT, "enter", "--"].map(str::to_owned));
            "0:0"
        }
        Who::Other => OTHER,
        Who::Root => "0:0",
        Who::Network => return in_network(twin, batch).await,
        Who::Neighbour => return exec(&twin.engine, &twin.plain, batch, "0:0", command).await,
    };
    exec(&twin.engine, &twin.record.container, batch, user, command).await
}

/// Runs a batch in a container of its own that shares the twin's network.
async fn in_network(twin: &Twin<'_>, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
    if batch.tasks.is_empty() {
        return Ok(Vec::new());
    }
    let program = vec![sink::ENTRY.to_owned(), "run".to_owned(), serde_json::to_string(batch)?];
    let body = ContainerCreateBody {
        host_config: Some(HostConfig {
            cap_add: Some(vec!["NET_ADMIN".to_owned(), "NET_RAW".to_owned()]),
            network_mode: Some(format!("container:{}", twin.record.container)),
            ..HostConfig::default()
        }),
        ..twin.place.body(&twin.place.image(), program)
    };
    Ok(read(&twin.place.run(&twin.engine, "network", body).await?.1))
}

/// Runs a batch in the plain container beside it.
///
/// # Errors
/// As [`run`].
pub async fn run_beside(twin: &Twin<'_>, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
    // Who dials the twin dials that container itself.
    let batch = Batch {
        places: Places { twin: Ipv4Addr::LOCALHOST, neighbour: Ipv4Addr::LOCALHOST, ..batch.places.clone() },
        ..batch.clone()
    };
    let command = probe(twin, &batch)?;
    exec(&twin.engine, &twin.plain, &batch, "0:0", command).await
}

fn read(text: &str) -> Vec<Outcome> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn probe(twin: &Twin<'_>, batch: &Batch) -> Result<Vec<String>, Failure> {
    Ok(vec![twin.probe(), "run".to_owned(), serde_json::to_string(batch)?])
}

async fn exec(
    engine: &Engine,
    container: &str,
    batch: &Batch,
    user: &str,
    command: Vec<String>,
) -> Result<Vec<Outcome>, Failure> {
    if batch.tasks.is_empty() {
        return Ok(Vec::new());
    }
    let config = ExecConfig {
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command),
        user: Some(user.to_owned()),
        ..ExecConfig::default()
    };
    let id = engine.api.create_exec(container, config).await.map_err(DockerError::from)?.id;
    let mut bytes = Vec::new();
    let reading = async {
        if let StartExecResults::Attached { mut output, .. } =
            engine.api.start_exec(&id, None).await.map_err(DockerError::from)?
        {
            while let Some(piece) = output.next().await {
                bytes.extend(piece.map_err(DockerError::from)?.into_bytes());
            }
        }
        Ok::<(), DockerError>(())
    };
    // What has not come by then counts as not reported.
    if let Ok(ended) = tokio::time::timeout(PATIENCE, reading).await {
        ended?;
    }
    Ok(read(&String::from_utf8_lossy(&bytes)))
}
