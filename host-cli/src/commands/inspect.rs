//! `clawker inspect`: all that is known of one agent, as JSON: our record, Docker's, and init's status. Neither the
//! control secret nor the value of a variable is ever part of it.

use serde::Serialize;
use serde_json::Value;

use crate::cli::InspectArgs;
use crate::config;
use crate::context::Context;
use crate::control;
use crate::docker::{DockerError, Engine};
use crate::exit::{OK, Outcome};
use crate::store::AgentRecord;
use crate::{ours, resolve};

/// Prints it.
///
/// # Errors
/// When the agent isn't there or Docker can't be asked.
pub async fn run(ctx: &Context, args: &InspectArgs) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.given())?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let container = ours::find(&engine, &record).await?;
    let found = engine.api.inspect_container(&container.id, None).await.map_err(DockerError::from)?;
    let paused = found.state.as_ref().and_then(|state| state.paused) == Some(true);
    let firewall = (container.running && !paused).then(|| control::quick_status(&ctx.paths, &record).ok());
    let firewall = firewall.flatten().map(|status| serde_json::to_value(&status)).transpose()?;
    ctx.output.value(&shown(&record, without_values(serde_json::to_value(&found)?), firewall))?;
    Ok(OK)
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    agent: &'a str,
    project: &'a str,
    dir: &'a std::path::Path,
    id: &'a str,
    image: &'a str,
    address: std::net::Ipv4Addr,
    /// Milliseconds since 1970.
    created: u64,
    command: &'a [String],
    uid: u32,
    gid: u32,
    /// The names of its variables.
    variables: Vec<&'a str>,
    /// Init's own; null where it doesn't run or doesn't answer.
    firewall: Option<Value>,
    /// As Docker has it, without the values of variables.
    container: Value,
}

fn shown(record: &AgentRecord, container: Value, firewall: Option<Value>) -> Shown<'_> {
    Shown {
        agent: record.agent.as_str(),
        project: record.project.as_str(),
        dir: &record.project_dir,
        id: &record.id,
        image: &record.image,
        address: record.address,
        created: record.created,
        command: &record.run.command,
        uid: record.run.uid,
        gid: record.run.gid,
        variables: record.run.env.keys().map(String::as_str).collect(),
        firewall,
        container,
    }
}

/// `NAME=value` becomes `NAME`.
fn without_values(mut container: Value) -> Value {
    if let Some(env) = container.pointer_mut("/Config/Env").and_then(Value::as_array_mut) {
        for variable in env {
            let name =
                variable.as_str().and_then(|text| text.split_once('=')).map(|(name, _)| name.to_owned());
            if let Some(name) = name {
                *variable = Value::String(name);
            }
        }
    }
    container
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let record: AgentRecord = serde_json::from_value(serde_json::json!({
            "id": "01234567", "project": "p", "project_dir": "/p", "agent": "dev", "container": "clawker.p.dev",
            "secret": "s3cret", "address": "172.20.0.9", "published": [], "image": "i", "created": 1,
            "run": { "uid": 1001, "gid": 1001, "command": ["sh"], "env": { "TOKEN": "s3cret" }, "tty": false },
        }))
        .unwrap();
        let container = serde_json::json!({ "Config": { "Env": ["KEY=s3cret", "PLAIN"] } });
        let value = serde_json::to_value(shown(&record, without_values(container), None)).unwrap();
        assert!(!value.to_string().contains("s3cret"), "{value}");
        assert_eq!(value["variables"], serde_json::json!(["TOKEN"]));
        assert_eq!(value["container"]["Config"]["Env"], serde_json::json!(["KEY", "PLAIN"]));
    }
}
