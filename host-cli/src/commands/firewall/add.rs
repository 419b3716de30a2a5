//! `clawker firewall add`: a rule for a project's agents, or for one of them, kept where no agent can write.

use clawker_protocol::names::Name;

use crate::apply::{self, Applied};
use crate::cli::AddArgs;
use crate::config::{self, Loaded, RawRule};
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::lock::StateLock;
use crate::policy::{Layer, Rule};
use crate::project::{CliRule, Project};

/// Adds it and brings it to the agents.
///
/// # Errors
/// When it is no rule, is there already, or does not reach an agent.
pub async fn run(ctx: &Context, args: &AddArgs) -> Outcome {
    let rule = parse(&args.destination, &args.proto, args.port.as_deref())?;
    let agent = args.agent.as_deref().map(Name::new).transpose()?;
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let lock = StateLock::acquire(&ctx.paths)?;
    let before = Project::load(&ctx.paths, &loaded.dir)?;
    let mut project = before.clone();
    let parsed = Rule::parse(&rule, Layer::Cli, "clawker firewall add")?;
    if project.cli.iter().any(|other| is_same(other, &parsed, agent.as_ref())) {
        return Err(Failure::new(format!("\"{parsed}\" is there already; see clawker firewall list")));
    }
    project.cli.push(CliRule { rule, agent: agent.clone() });
    project.policy(agent.as_ref())?;
    let applied = change(ctx, &lock, &loaded, (&before, &project)).await?;
    tell(ctx, &format!("Added: {parsed}"), &applied)?;
    Ok(OK)
}

/// A rule as the command line gives it.
pub(super) fn parse(destination: &str, proto: &str, port: Option<&str>) -> Result<RawRule, Failure> {
    let port = port.map(str::parse).transpose().map_err(Failure::usage)?;
    let rule = RawRule { dst: destination.to_owned(), proto: Some(proto.to_owned()), port, action: None };
    Rule::parse(&rule, Layer::Cli, "").map_err(|error| Failure::usage(error.to_string()))?;
    Ok(rule)
}

/// Whether a stored rule says the same for the same agents.
pub(super) fn is_same(stored: &CliRule, rule: &Rule, agent: Option<&Name>) -> bool {
    let parsed = Rule::parse(&stored.rule, Layer::Cli, "");
    stored.agent.as_ref() == agent && parsed.is_ok_and(|parsed| parsed.key() == rule.key())
}

/// Stores a project's new rules and applies them; where that fails the old ones are stored again.
pub(super) async fn change(
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
