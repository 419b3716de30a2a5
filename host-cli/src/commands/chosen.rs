//! The agents that a command line names, each with its container: all are found before anything is done to one.

use crate::cli::SomeAgents;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::Failure;
use crate::ours::{self, Container};
use crate::resolve;
use crate::store::AgentRecord;

/// The engine, and each agent with its container.
///
/// # Errors
/// When one isn't there.
pub async fn find(
    ctx: &Context,
    agents: &SomeAgents,
) -> Result<(Engine, Vec<(AgentRecord, Container)>), Failure> {
    let given = agents.given().into_iter();
    let records: Result<Vec<_>, _> = given.map(|name| resolve::agent(&ctx.paths, &ctx.cwd, name)).collect();
    let records = records?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let mut chosen = Vec::new();
    for record in records {
        let container = ours::find(&engine, &record).await?;
        chosen.push((record, container));
    }
    Ok((engine, chosen))
}

/// Likewise, and each must run (or be paused).
///
/// # Errors
/// When one isn't there or is stopped.
pub async fn running(
    ctx: &Context,
    agents: &SomeAgents,
) -> Result<(Engine, Vec<(AgentRecord, Container)>), Failure> {
    let (engine, chosen) = find(ctx, agents).await?;
    match chosen.iter().find(|(_, container)| !container.running) {
        Some((record, _)) => {
            Err(crate::control::ControlError::NotRunning { agent: record.agent.to_string() }.into())
        }
        None => Ok((engine, chosen)),
    }
}
