//! `clawker rename`: gives a stopped agent another name. Its id and its volumes keep the name that it was made with, for
//! Docker changes neither labels nor mounts of a container that is there; rules of its own follow it.

use clawker_protocol::names::Name;

use crate::cli::RenameArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::lock::StateLock;
use crate::making::Making;
use crate::project::{CliRule, Project};
use crate::store::{self, AgentRecord};
use crate::{apply, ours, resolve};

/// Renames it. In an order in which it has its rules at each moment, also where this is killed: first the rules, then
/// the record, then Docker, which [`ours::find`] makes up for.
///
/// # Errors
/// When it runs, the name is taken, or Docker does not do it; it has its old name then.
pub async fn run(ctx: &Context, args: &RenameArgs) -> Outcome {
    let new = Name::new(&args.new)?;
    let old = resolve::agent(&ctx.paths, &ctx.cwd, Some(&args.name))?;
    let settings = config::settings(&ctx.paths)?;
    let engine = Engine::connect(settings.docker.host.as_deref()).await?;
    let lock = StateLock::acquire(&ctx.paths)?;
    check(ctx, &engine, &old, &new).await?;

    let mut project = Project::load(&ctx.paths, &old.project_dir)?;
    let rules = rules_of(&project, &old.agent);
    project.cli.retain(|rule| rule.agent.as_ref() != Some(&new));
    project.cli.extend(rules.iter().map(|rule| CliRule { agent: Some(new.clone()), ..rule.clone() }));
    if !rules.is_empty() {
        project.save(&ctx.paths, &lock)?;
    }

    let record = renamed(ctx, &old, &new);
    store::save_agent(&ctx.paths, &lock, &record)?;
    if let Err(error) = ours::rename(&engine, &old.container, &record.container).await {
        store::save_agent(&ctx.paths, &lock, &old)?;
        forget(ctx, &lock, project, &new)?;
        return Err(error.into());
    }
    forget(ctx, &lock, project, &old.agent)?;
    apply::apply(&engine.api, &ctx.paths, &lock, &settings, &record.project_dir).await?;
    ctx.output.line(record.agent.as_str())?;
    Ok(OK)
}

/// Whether it can be done.
async fn check(ctx: &Context, engine: &Engine, old: &AgentRecord, new: &Name) -> Result<(), Failure> {
    let agent = &old.agent;
    if agent == new {
        return Err(Failure::new(format!("Agent {agent} has that name already")));
    }
    if ours::find(engine, old).await?.running || Making::is_under_way(&ctx.paths, &old.id) {
        return Err(Failure::new(format!("Agent {agent} is running; stop it first: clawker stop {agent}")));
    }
    let mut records = store::agents(&ctx.paths)?.into_iter();
    if records.any(|other| other.project_dir == old.project_dir && other.agent == *new) {
        return Err(Failure::new(format!("Agent {new} exists already; choose another name")));
    }
    let container = ctx.paths.agent_container(&old.project, new);
    match engine.api.inspect_container(&container, None).await.map_err(DockerError::from) {
        Ok(_) => {
            return Err(Failure::new(format!(
                "A container named {container} exists already; choose another name"
            )));
        }
        Err(error) if error.is_missing() => {}
        Err(error) => return Err(error.into()),
    }
    // Rules that wait for an agent of that name were not meant for this one. Its own are what a command that was killed left.
    let project = Project::load(&ctx.paths, &old.project_dir)?;
    let waiting = rules_of(&project, new);
    let same = |(one, other): (&CliRule, &CliRule)| one.rule == other.rule && one.expires == other.expires;
    let own = rules_of(&project, agent);
    if !waiting.is_empty() && (waiting.len() != own.len() || !waiting.iter().zip(&own).all(same)) {
        return Err(Failure::new(format!(
            "There are rules for an agent {new} already; take them back with clawker firewall remove --agent {new}, or \
             choose another name"
        )));
    }
    Ok(())
}

fn rules_of(project: &Project, agent: &Name) -> Vec<CliRule> {
    project.cli.iter().filter(|rule| rule.agent.as_ref() == Some(agent)).cloned().collect()
}

fn forget(ctx: &Context, lock: &StateLock, mut project: Project, agent: &Name) -> Result<(), Failure> {
    if rules_of(&project, agent).is_empty() {
        return Ok(());
    }
    project.cli.retain(|rule| rule.agent.as_ref() != Some(agent));
    Ok(project.save(&ctx.paths, lock)?)
}

/// The record with its new name. With its first one again it is as it was made.
fn renamed(ctx: &Context, old: &AgentRecord, new: &Name) -> AgentRecord {
    AgentRecord {
        agent: new.clone(),
        container: ctx.paths.agent_container(&old.project, new),
        made_as: Some(old.first_name().clone()).filter(|first| first != new),
        was: Some(old.container.clone()),
        ..old.clone()
    }
}
