//! `clawker firewall learn`: what was refused, or passed only because the firewall was off, as rules: shown with their
//! commands, and added on a yes.

use std::time::Duration;

use clawker_protocol::names::Name;
use serde_json::json;

use super::{add, change, log};
use crate::cli::LearnArgs;
use crate::config::{self, Loaded, RawRule};
use crate::context::Context;
use crate::docker::Engine;
use crate::exit::{Failure, OK, Outcome};
use crate::learn::{self, Ground, Learned, Proposal};
use crate::output::escape;
use crate::project::Project;
use crate::scope::Scope;
use crate::store::{self, AgentRecord};
use crate::{resolve, stack, step};

/// Shows what was learnt, and adds it when that is wanted.
///
/// # Errors
/// When the log can't be read, there is nobody to ask, or the rules don't hold together.
pub async fn run(ctx: &Context, args: &LearnArgs) -> Outcome {
    let (loaded, records) = match &args.agent {
        Some(name) => {
            let record = resolve::agent(&ctx.paths, &ctx.cwd, Some(name))?;
            (config::load(&record.project_dir, &ctx.paths)?, vec![record])
        }
        None => {
            let loaded = config::load(&ctx.cwd, &ctx.paths)?;
            let mut records = store::agents(&ctx.paths)?;
            records.retain(|record| record.project_dir == loaded.dir);
            (loaded, records)
        }
    };
    let agent = args.agent.as_ref().and_then(|_| records.first()).map(|record| record.agent.clone());
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    let learned = from_log(ctx, &engine, &loaded, records, agent.as_ref(), args.since).await?;
    let outcome = offer(ctx, args, &loaded, agent.as_ref(), &learned).await;
    if ctx.output.json {
        let added = matches!(outcome, Ok(true));
        ctx.output.value(&value(&learned, agent.as_ref(), added))?;
    }
    outcome.map(|_| OK)
}

/// What one agent's log says since so long ago.
///
/// # Errors
/// When it can't be read.
pub(super) async fn since(ctx: &Context, record: &AgentRecord, time: Duration) -> Result<Learned, Failure> {
    let loaded = config::load(&record.project_dir, &ctx.paths)?;
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    let (agent, records) = (&record.agent, vec![record.clone()]);
    from_log(ctx, &engine, &loaded, records, Some(agent), Some(time)).await
}

async fn from_log(
    ctx: &Context,
    engine: &Engine,
    loaded: &Loaded,
    records: Vec<AgentRecord>,
    agent: Option<&Name>,
    since: Option<Duration>,
) -> Result<Learned, Failure> {
    let scope = Scope::load(&ctx.paths, &loaded.settings, records)?;
    let entries = log::Heard::default().gather(&ctx.paths, engine, &scope, since).await?;
    let policy = Project::load(&ctx.paths, &loaded.dir)?.policy(&loaded.settings, agent)?;
    let own = stack::find(&engine.api, &ctx.paths).await?.map(|info| info.subnet);
    Ok(learn::learn(&entries, &policy, own))
}

/// The proposals as JSON.
pub(super) fn proposals(learned: &Learned, agent: Option<&Name>) -> serde_json::Value {
    let agent = agent.map(Name::as_str);
    let proposals = learned.proposals.iter().map(|one| {
        json!({
            "dst": one.dst, "proto": one.proto, "port": one.port, "times": one.times, "ground": one.ground,
            "command": one.command(agent),
        })
    });
    proposals.collect()
}

fn value(learned: &Learned, agent: Option<&Name>, added: bool) -> serde_json::Value {
    json!({ "proposals": proposals(learned, agent), "left_out": learned.left_out, "added": added })
}

/// Shows and asks; whether the rules were added.
async fn offer(
    ctx: &Context,
    args: &LearnArgs,
    loaded: &Loaded,
    agent: Option<&Name>,
    learned: &Learned,
) -> Result<bool, Failure> {
    for one in &learned.left_out {
        ctx.output.note(&format!("Left out: {} port {}: {}", escape(&one.dst), one.port, escape(&one.why)));
    }
    if learned.proposals.is_empty() {
        ctx.output.note("Nothing was refused that a rule could open; see clawker firewall log --denied");
        return Ok(false);
    }
    if !ctx.ask(&question(&learned.proposals, agent), args.yes)? {
        ctx.output.note("Nothing was added");
        return Ok(false);
    }
    let (engine, lock) = add::begin(ctx, loaded).await?;
    let before = Project::load(&ctx.paths, &loaded.dir)?;
    let mut cli = before.cli.clone();
    for proposal in &learned.proposals {
        match change::add(&cli, &raw(proposal)?, agent) {
            Ok(rules) => cli = rules,
            // Somebody was faster.
            Err(change::ChangeError::There(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let after = Project { cli, ..before.clone() };
    after.policy(&loaded.settings, agent)?;
    let changed = (&before, &after);
    let applied = step::make(&engine.api, &ctx.paths, &lock, &loaded.settings, changed).await?;
    if !ctx.output.json {
        add::tell(ctx, &format!("Added: {}", counted(learned.proposals.len())), &applied)?;
    }
    Ok(true)
}

fn raw(proposal: &Proposal) -> Result<RawRule, Failure> {
    Ok(RawRule {
        dst: proposal.dst.clone(),
        proto: Some(proposal.proto.as_str().to_owned()),
        port: Some(proposal.port.to_string().parse().map_err(Failure::usage)?),
        ..RawRule::default()
    })
}

fn counted(count: usize) -> String {
    if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") }
}

/// The diff, each rule with its command.
fn question(proposals: &[Proposal], agent: Option<&Name>) -> String {
    let mut text = String::from("These rules would have sufficed:\n");
    for one in proposals {
        let ground = match one.ground {
            Ground::Seen => String::new(),
            Ground::JoinedByTime => ", by the name asked for just before".to_owned(),
            Ground::PortAssumed => ", only its name was asked for: TLS at 443 is assumed".to_owned(),
        };
        let times = if one.times == 1 { "once".to_owned() } else { format!("{} times", one.times) };
        let command = one.command(agent.map(Name::as_str));
        text.push_str(&format!("  + {}  ({times}{ground})\n      {command}\n", one.rule()));
    }
    let whom = agent.map_or_else(|| "this project's agents".to_owned(), ToString::to_string);
    text.push_str(&format!("Add {} for {whom}?", counted(proposals.len())));
    text
}
