//! `clawker firewall remove`: takes back a rule that `add` made. What it had opened is cut.

use clawker_protocol::names::Name;

use super::{add, change};
use crate::cli::{ActionArg, RemoveArgs};
use crate::config;
use crate::context::Context;
use crate::exit::{Failure, OK, Outcome};
use crate::policy::{Layer, Policy, Rule};
use crate::project::Project;
use crate::step;

/// Removes it and brings the change to the agents.
///
/// # Errors
/// When there is no such rule, or the change does not reach an agent.
pub async fn run(ctx: &Context, args: &RemoveArgs) -> Outcome {
    let rule = args.rule.raw(ActionArg::Allow)?;
    let agent = args.rule.agent.as_deref().map(Name::new).transpose()?;
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let (engine, lock) = add::begin(ctx, &loaded).await?;
    let before = Project::load(&ctx.paths, &loaded.dir)?;
    let Some(cli) = change::remove(&before.cli, &rule, agent.as_ref())? else {
        let parsed = Rule::parse(&rule, Layer::Cli, "")?;
        return Err(Failure::new(missing(&before.policy(&loaded.settings, agent.as_ref())?, &parsed)));
    };
    let project = Project { cli, ..before.clone() };
    let changed = (&before, &project);
    let applied = step::make(&engine.api, &ctx.paths, &lock, &loaded.settings, changed).await?;
    add::tell(ctx, &format!("Removed: {}", add::shown(&rule)?), &applied)?;
    Ok(OK)
}

/// Why there is nothing to remove, and where the rule stands that was probably meant.
fn missing(policy: &Policy, rule: &Rule) -> String {
    match policy.rules().iter().find(|other| other.key() == rule.key()) {
        Some(other) if other.layer == Layer::Floor => format!("\"{rule}\" is built in and can't be removed"),
        Some(other) if other.layer == Layer::Project => format!(
            "\"{rule}\" stands in {}; edit that file, then clawker firewall reload",
            crate::output::escape(&other.place)
        ),
        _ => format!("No command added \"{rule}\"; see clawker firewall list"),
    }
}
