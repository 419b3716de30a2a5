//! `clawker firewall add`: a rule for a project's agents, or for one of them, kept where no agent can write.

use clawker_protocol::duration;
use clawker_protocol::names::Name;

use crate::apply::Applied;
use crate::cli::AddArgs;
use crate::config::{self, Loaded, RawRule};
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::grant;
use crate::lock::StateLock;
use crate::policy::{Layer, Rule};
use crate::project::Project;
use crate::step;

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
    let (engine, lock) = begin(ctx, &loaded).await?;
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
    let changed = (&before, &project);
    let applied = step::make(&engine.api, &ctx.paths, &lock, &loaded.settings, changed).await?;
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

/// Takes the lock for a change; what an interrupted one left is settled first.
pub(super) async fn begin(ctx: &Context, loaded: &Loaded) -> Result<(Engine, StateLock), Failure> {
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    let lock = StateLock::acquire(&ctx.paths)?;
    step::settle(&engine.api, &ctx.paths, &lock, &loaded.settings).await?;
    Ok((engine, lock))
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
