//! `clawker firewall down`: away with Envoy and CoreDNS. Agents that run stay fenced: they reach nothing.

use crate::cli::DownArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{OK, Outcome};
use crate::stack;

/// Takes the stack down.
///
/// # Errors
/// When Docker does not do it.
pub async fn run(ctx: &Context, _args: &DownArgs) -> Outcome {
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let left = stack::down(&engine.api, &ctx.paths).await?;
    if ctx.output.json {
        ctx.output.value(&left)?;
        return Ok(OK);
    }
    let network = ctx.paths.network();
    ctx.output.line(&match (left.network, left.agents) {
        (false, _) => "Envoy and CoreDNS are down".to_owned(),
        (true, 0) => format!("Envoy and CoreDNS are down; {network} stays: something is still on it"),
        (true, count) => {
            let agents =
                if count == 1 { "1 agent needs it".to_owned() } else { format!("{count} agents need it") };
            format!("Envoy and CoreDNS are down; {network} stays: {agents} (clawker ps -a)")
        }
    })?;
    Ok(OK)
}
