//! `clawker firewall add`: a rule for a project's agents, or for one of them, kept where no agent can write.

use clawker_protocol::duration;
use clawker_protocol::names::Name;

use crate::apply::{self, Applied};
use crate::cli::AddArgs;
use crate::config::{self, Loaded, RawRule};
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::grant;
use crate::lock::StateLock;
use crate::policy::{Layer, Rule};
use crate::project::Project;

use super::change;

/// Adds it and brings it to the agents.
///
/// # Errors
/// When it is no rule, is there already, or does not reach an agent.
pub async fn run(ctx: &Context, args: &AddArgs) -> Outcome {
    let rule = raw(args)?;
    let expires = args.length.map(|length| grant::end(length, grant::now())).transpose()?;
    let agent = args.rule.agent.as_deref().map(Name::new).transpose()?;
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let lock = StateLock::acquire(&ctx.paths)?;
    let before = Project::load(&ctx.paths, &loaded.dir)?;
    let cli = match expires {
        Some(expires) => {
            let parsed = Rule { expires: Some(expires), ..Rule::parse(&rule, Layer::Cli, "")? };
            grant::check(&before.policy(&loaded.settings, agent.as_ref())?, &parsed)?;
            change::grant(&before.cli, &rule, agent.as_ref(), expires)?
        }
        None => change::add(&before.cli, &rule, agent.as_ref())?,
    };
    let project = Project { cli, ..before.clone() };
    project.policy(&loaded.settings, agent.as_ref())?;
    let applied = put(ctx, &lock, &loaded, (&before, &project)).await?;
    let time = args.length.map(|length| format!(" for {}", duration::format(length))).unwrap_or_default();
    tell(ctx, &format!("Added: {}{time}", shown(&rule)?), &applied)?;
    Ok(OK)
}

fn raw(args: &AddArgs) -> Result<RawRule, Failure> {
    let rule = RawRule {
        inspect: args.inspect,
        private: args.private.clone(),
        resolve_as: args.resolve_as.clone(),
        ..args.rule.raw(args.action)?
    };
    shown(&rule)?;
    Ok(rule)
}

/// A rule with its paths, for a person.
pub(super) fn shown(rule: &RawRule) -> Result<String, Failure> {
    let parsed = Rule::parse(rule, Layer::Cli, "").map_err(|error| Failure::usage(error.to_string()))?;
    let paths = parsed.paths.iter().flat_map(|paths| &paths.rules);
    let paths: Vec<String> = paths.map(ToString::to_string).collect();
    Ok(if paths.is_empty() { parsed.to_string() } else { format!("{parsed}: {}", paths.join(", ")) })
}

/// Stores a project's new rules and applies them; where that fails the old ones are stored again.
pub(super) async fn put(
    ctx: &Context,
    lock: &StateLock,
    loaded: &Loaded,
    (before, project): (&Project, &Project),
) -> Result<Applied, Failure> {
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    project.save(&ctx.paths, lock)?;
    match apply::apply(&engine.api, &ctx.paths, lock, &loaded.settings, &project.dir).await {
        Ok(applied) => Ok(applied),
        Err(error @ apply::ApplyError::Unreached(..)) => Err(error.into()),
        Err(error) => {
            before.save(&ctx.paths, lock)?;
            Err(error.into())
        }
    }
}

/// Says what was done and whom it reached.
pub(super) fn tell(ctx: &Context, done: &str, applied: &Applied) -> Result<(), Failure> {
    if ctx.output.json {
        return ctx.output.value(applied);
    }
    ctx.output.line(done)?;
    if !applied.running.is_empty() {
        ctx.output.note(&format!("In force now for {}", applied.running.join(", ")));
    }
    Ok(())
}
