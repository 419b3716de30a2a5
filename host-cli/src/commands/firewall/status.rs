//! `clawker firewall status`: whether Envoy and CoreDNS are there and answer.

use crate::cli::StatusArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{FAILED, OK, Outcome};
use crate::output;
use crate::stack::{self, PartHealth};
use crate::step::Pending;
use crate::store;

/// Shows the stack's health; fails where it is not healthy.
///
/// # Errors
/// When it can't be told.
pub async fn run(ctx: &Context, _args: &StatusArgs) -> Outcome {
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let health = stack::health(&engine.api, &ctx.paths).await?;
    let code = if health.is_healthy() { OK } else { FAILED };
    let pending = Pending::left_behind(&ctx.paths)?;
    if ctx.output.json {
        let mut value = serde_json::to_value(&health)?;
        let records = store::agents(&ctx.paths)?;
        let holders =
            records.iter().filter(|record| record.docker_socket).map(|record| record.container.clone());
        value["docker_socket"] = holders.collect::<Vec<_>>().into();
        value["pending"] = pending.map(|pending| pending.command).into();
        ctx.output.value(&value)?;
        return Ok(code);
    }
    let subnet = health.subnet.map_or("absent".to_owned(), |subnet| subnet.to_string());
    let rows = [
        ["PART", "STATE", "ADDRESS", "IMAGE"].map(str::to_owned).to_vec(),
        row("envoy", &health.envoy),
        row("coredns", &health.coredns),
        vec!["network".to_owned(), subnet, String::new(), health.network.clone()],
    ];
    output::write_stdout(output::table(&rows).as_bytes())?;
    ctx.output.line(&format!("Policies: {}, agents: {}", health.policies, health.agents))?;
    for record in store::agents(&ctx.paths)?.iter().filter(|record| record.docker_socket) {
        let agent = format!("{}/{}", record.project, record.agent);
        ctx.output.note(&format!("{agent} holds Docker's socket: no firewall holds it back"));
    }
    if let Some(pending) = pending {
        ctx.output.note(&pending.note());
    }
    if code != OK {
        ctx.output.note("The stack is not up; start it: clawker firewall up");
    }
    Ok(code)
}

fn row(part: &str, health: &PartHealth) -> Vec<String> {
    let address = health.address.map(|address| address.to_string()).unwrap_or_default();
    vec![part.to_owned(), health.state.to_owned(), address, health.image.clone().unwrap_or_default()]
}
