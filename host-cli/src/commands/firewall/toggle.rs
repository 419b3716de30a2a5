//! `clawker firewall enable|disable`: one message to one agent's init.

use clawker_protocol::control::{Op, StateName, Status};

use crate::cli::ToggleArgs;
use crate::context::Context;
use crate::exit::{Failure, OK, Outcome};
use crate::store::AgentRecord;
use crate::{control, resolve};

/// Sends it and tells the new state.
///
/// # Errors
/// When the agent isn't there, doesn't run, or its init refuses.
pub fn run(ctx: &Context, args: &ToggleArgs, op: Op) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.given())?;
    let status = control::change(&ctx.paths, &record, op)?;
    tell(ctx, &record, &status)?;
    Ok(OK)
}

/// Tells an agent's state.
///
/// # Errors
/// When stdout can't be written.
pub fn tell(ctx: &Context, record: &AgentRecord, status: &Status) -> Result<(), Failure> {
    if ctx.output.json {
        let agent = serde_json::json!({ "agent": record.agent, "project": record.project, "status": status });
        return ctx.output.value(&agent);
    }
    ctx.output.line(&sentence(record.agent.as_str(), status))
}

fn sentence(agent: &str, status: &Status) -> String {
    match (status.state, status.bypass_left_millis) {
        (StateName::Enforcing, _) => format!("{agent}: the firewall is on"),
        (StateName::Disabled, _) => {
            format!(
                "{agent}: the firewall is off until clawker firewall enable --agent {agent}, or a restart"
            )
        }
        (StateName::Bypass, left) => {
            let left = super::bypass::rounded(std::time::Duration::from_millis(left.unwrap_or_default()));
            format!("{agent}: everything is open for {left}")
        }
    }
}
