//! `clawker firewall up`: Envoy, CoreDNS and their network.

use crate::cli::UpArgs;
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{OK, Outcome};
use crate::lock::StateLock;
use crate::stack;
use crate::step;

/// Brings the stack up, or finds it up.
///
/// # Errors
/// When a part does not come up.
pub async fn run(ctx: &Context, _args: &UpArgs) -> Outcome {
    let settings = config::settings(&ctx.paths)?;
    let engine = Engine::connect(settings.docker.host.as_deref()).await?;
    let info = stack::ensure(&engine.api, &ctx.paths, &settings, &ctx.output).await?;
    let lock = StateLock::acquire(&ctx.paths)?;
    step::settle(&engine.api, &ctx.paths, &lock, &settings).await?;
    drop(lock);
    if ctx.output.json {
        ctx.output.value(&serde_json::json!({
            "network": info.network, "subnet": info.subnet, "envoy": info.envoy, "coredns": info.coredns,
        }))?;
    } else {
        ctx.output.line(&format!("Envoy and CoreDNS are up on {} ({})", info.network, info.subnet))?;
    }
    Ok(OK)
}
