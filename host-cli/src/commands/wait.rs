//! `clawker wait`: waits for agents' ends and prints their exit codes, in the order in which they were named.

use crate::cli::WaitArgs;
use crate::commands::chosen;
use crate::context::Context;
use crate::docker::wait::{Until, Wait};
use crate::exit::{OK, Outcome};

/// Waits for each.
///
/// # Errors
/// When one isn't there or Docker goes away.
pub async fn run(ctx: &Context, args: &WaitArgs) -> Outcome {
    let (engine, chosen) = chosen::find(ctx, &args.agents).await?;
    // All at once, so that one that is removed at its end is not missed behind another.
    let mut waits = Vec::new();
    for (record, container) in chosen {
        waits.push((record.agent, Wait::register(&engine, &container.id, Until::NotRunning).await?));
    }
    let mut ended = Vec::new();
    for (agent, wait) in waits {
        let code = wait.finish(&engine).await?;
        if ctx.output.json {
            ended.push(serde_json::json!({ "agent": agent, "exit_code": code }));
        } else {
            ctx.output.line(&code.to_string())?;
        }
    }
    if ctx.output.json {
        ctx.output.value(&ended)?;
    }
    Ok(OK)
}
