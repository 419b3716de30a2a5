//! `clawker ps`: every agent of this user, its container's state and its firewall's.

use std::collections::HashMap;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptions;
use clawker_protocol::control::{StateName, Status};
use clawker_protocol::duration;
use clawker_protocol::event::EventKind;
use serde::Serialize;

use crate::cli::PsArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::doctor::version;
use crate::exit::{Failure, OK, Outcome};
use crate::grant::{self, Left};
use crate::project::Project;
use crate::store::{self, AgentRecord};
use crate::{control, oom, output};

/// One agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    project: String,
    agent: String,
    container: String,
    dir: String,
    image: String,
    address: String,
    /// `running`, `exited`, …; `gone` without a container.
    status: String,
    /// `enforcing`, `bypass`, `disabled`; absent where init does not answer.
    firewall: Option<String>,
    bypass_left_millis: Option<u64>,
    refused_packets: Option<u64>,
    last_refusal: Option<String>,
    /// When that was: milliseconds since 1970.
    last_refusal_time: Option<u64>,
    /// The version of its init, which is that of the clawker that made it.
    init: Option<String>,
    /// The worktree that it works in.
    worktree: Option<String>,
    /// It holds Docker's socket.
    docker_socket: bool,
    /// The kernel killed something in it for memory since its last start.
    out_of_memory: bool,
    /// Rules that end by themselves, the next one first.
    grants: Vec<Left>,
}

/// Prints the list.
///
/// # Errors
/// When Docker or the state can't be read.
pub async fn run(ctx: &Context, args: &PsArgs) -> Outcome {
    let records = store::agents(&ctx.paths)?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let containers = containers(&engine).await?;
    let mut rows: Vec<Row> = Vec::new();
    for record in &records {
        let status = containers.get(&record.id).map_or("gone", String::as_str);
        let running = status == "running";
        // A paused one is not gone: it goes on where it stood.
        if running || status == "paused" || args.all {
            let control = if running { control::quick_status(&ctx.paths, record).ok() } else { None };
            let out_of_memory = status != "gone" && out_of_memory(&engine, record).await;
            let grants = grants(ctx, record)?;
            rows.push(Row { grants, out_of_memory, ..row(record, status, control.as_ref()) });
        }
    }
    rows.sort_by(|a, b| (&a.project, &a.agent, &a.dir).cmp(&(&b.project, &b.agent, &b.dir)));
    if ctx.output.json {
        ctx.output.value(&rows)?;
    } else {
        output::write_stdout(output::table(&lines(&rows, grant::now())).as_bytes())?;
    }
    for row in &rows {
        let agent = format!("{}/{}", row.project, row.agent);
        let init = row.init.as_deref().unwrap_or_default();
        if let Some(note) = version::note(&agent, init, env!("CARGO_PKG_VERSION")) {
            ctx.output.note(&format!("{note}; anew: {}", version::renewed(&agent)));
        }
    }
    Ok(OK)
}

/// Container states by agent id. Docker is asked once.
async fn containers(engine: &Engine) -> Result<HashMap<String, String>, DockerError> {
    let filters = HashMap::from([("label".to_owned(), vec!["clawker.role=agent".to_owned()])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let found = engine.api.list_containers(Some(options)).await?;
    let pair = |container: ContainerSummary| {
        let id = container.labels?.remove("clawker.id")?;
        Some((id, container.state?.to_string()))
    };
    Ok(found.into_iter().filter_map(pair).collect())
}

async fn out_of_memory(engine: &Engine, record: &AgentRecord) -> bool {
    engine.api.inspect_container(&record.container, None).await.is_ok_and(|found| oom::was_killed(&found))
}

fn row(record: &AgentRecord, status: &str, control: Option<&Status>) -> Row {
    Row {
        project: record.project.to_string(),
        agent: record.agent.to_string(),
        container: record.container.clone(),
        dir: record.project_dir.to_string_lossy().into_owned(),
        image: record.image.clone(),
        address: record.address.to_string(),
        status: status.to_owned(),
        firewall: control.map(|control| control.state.to_string()),
        bypass_left_millis: control.and_then(|control| control.bypass_left_millis),
        refused_packets: control.map(|control| control.refused.values().map(|count| count.packets).sum()),
        last_refusal: control.and_then(last_refusal).map(|(text, _)| text),
        last_refusal_time: control.and_then(last_refusal).map(|(_, time)| time),
        init: control.map(|control| control.versions.init.clone()),
        worktree: record.worktree.as_ref().map(|dir| dir.to_string_lossy().into_owned()),
        docker_socket: record.docker_socket,
        out_of_memory: false,
        grants: Vec::new(),
    }
}

/// What is left of what the agent may reach for a while.
fn grants(ctx: &Context, record: &AgentRecord) -> Result<Vec<Left>, Failure> {
    let settings = config::settings(&ctx.paths)?;
    let policy = Project::load(&ctx.paths, &record.project_dir)?.policy(&settings, Some(&record.agent))?;
    Ok(grant::all_left(&policy, grant::now()))
}

/// The newest refusal in words; what the agent chose of it is escaped by whoever prints it.
fn last_refusal(status: &Status) -> Option<(String, u64)> {
    status.last_denials.iter().rev().find_map(|event| match &event.kind {
        EventKind::Denied { class, flow } => {
            let port = flow.port.map(|port| format!(":{port}")).unwrap_or_default();
            let uid = flow.uid.map(|uid| format!(" by uid {uid}")).unwrap_or_default();
            let proto = if flow.proto == class.as_str() { String::new() } else { format!("{} ", flow.proto) };
            Some((format!("{} {proto}{}{port}{uid}", class.as_str(), flow.destination), event.time))
        }
        _ => None,
    })
}

fn lines(rows: &[Row], now: u64) -> Vec<Vec<String>> {
    let heading = ["PROJECT", "AGENT", "STATUS", "FIREWALL", "REFUSED", "LAST REFUSAL", "IMAGE"];
    let mut lines = vec![heading.map(str::to_owned).to_vec()];
    for row in rows {
        let firewall = match (row.firewall.as_deref(), row.bypass_left_millis) {
            (Some(state), Some(left)) if state == StateName::Bypass.as_str() => {
                let left = std::time::Duration::from_millis(left);
                format!("{state} {}", super::firewall::bypass::rounded(left))
            }
            (Some(state), _) => state.to_owned(),
            (None, _) if row.status == "running" => "no answer".to_owned(),
            (None, _) => "-".to_owned(),
        };
        // No firewall holds back who holds it.
        let firewall = if row.docker_socket { format!("{firewall}, DOCKER SOCKET") } else { firewall };
        let refused = row.refused_packets.map_or_else(|| "-".to_owned(), |packets| packets.to_string());
        let ago = row.last_refusal_time.map(|time| ago(now.saturating_sub(time))).unwrap_or_default();
        let last = row.last_refusal.as_ref().map_or_else(|| "-".to_owned(), |text| format!("{text}{ago}"));
        let status = match (row.out_of_memory, row.status.as_str()) {
            (true, "running") => "running, was out of memory".to_owned(),
            (true, status) => format!("{status}, out of memory"),
            (false, status) => status.to_owned(),
        };
        let cells = [&row.project, &row.agent, &status, &firewall, &refused, &last, &row.image];
        lines.push(cells.map(|cell| output::escape(cell)).to_vec());
    }
    if rows.iter().any(|row| !row.grants.is_empty()) {
        let cells =
            rows.iter().map(|row| if row.grants.is_empty() { "-".to_owned() } else { texts(&row.grants) });
        lines
            .iter_mut()
            .zip(["GRANTS".to_owned()].into_iter().chain(cells))
            .for_each(|(line, cell)| line.push(cell));
    }
    lines
}

/// Roughly: what is old is not counted in seconds.
fn ago(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!(", {seconds}s ago"),
        60..3_600 => format!(", {}m ago", seconds / 60),
        3_600..86_400 => format!(", {}h ago", seconds / 3_600),
        _ => format!(", {}d ago", seconds / 86_400),
    }
}

fn texts(grants: &[Left]) -> String {
    let one = |grant: &Left| {
        let left = duration::format(std::time::Duration::from_secs(grant.left_seconds));
        format!("{}:{} {left}", grant.dst, grant.port)
    };
    grants.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use clawker_protocol::control::Versions;
    use clawker_protocol::event::{Event, Flow, RefusalClass};

    use super::*;

    #[test]
    fn a_refusal_can_not_steer_the_terminal() {
        let flow = Flow {
            proto: "tcp".into(),
            destination: "\u{1b}]0;x".into(),
            port: Some(443),
            uid: Some(1001),
            question: None,
        };
        let denial = Event { time: 1, kind: EventKind::Denied { class: RefusalClass::Tcp, flow } };
        let status = Status {
            state: StateName::Bypass,
            since: 0,
            bypass_left_millis: Some(11_200),
            generation: 1,
            policy_hash: String::new(),
            refused: Default::default(),
            heals: 0,
            last_denials: vec![denial],
            agent_pid: None,
            network: None,
            versions: Versions { init: String::new(), protocol: 1, kernel: String::new() },
        };
        let row = Row {
            project: "p".into(),
            agent: "dev".into(),
            container: String::new(),
            dir: String::new(),
            image: "i".into(),
            address: String::new(),
            status: "running".into(),
            firewall: Some(status.state.to_string()),
            bypass_left_millis: status.bypass_left_millis,
            refused_packets: Some(3),
            last_refusal: last_refusal(&status).map(|(text, _)| text),
            last_refusal_time: Some(1_000),
            init: Some("0".into()),
            worktree: None,
            docker_socket: false,
            out_of_memory: true,
            grants: vec![Left {
                dst: "once.test".into(),
                proto: "tls",
                port: "443".into(),
                expires: 90_000,
                left_seconds: 90,
            }],
        };
        let lines = lines(&[row], 91_500);
        assert_eq!(lines[1][2], "running, was out of memory");
        assert_eq!(lines[1][3], "bypass 12s");
        assert_eq!(lines[1][5], "tcp \\u{1b}]0;x:443 by uid 1001, 1m ago");
        assert_eq!((lines[0][7].as_str(), lines[1][7].as_str()), ("GRANTS", "once.test:443 1m30s"));
    }
}
