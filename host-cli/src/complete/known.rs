//! Agents and rules, as the host remembers them.

use crate::config;
use crate::context::Context;
use crate::project::Project;
use crate::store;

use super::{Candidate, candidate};

/// What can be named.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Agents of the project here; where there are none, all containers.
    pub agents: Vec<Candidate>,
    /// Destinations that `firewall add` added here.
    pub added: Vec<Candidate>,
    /// Names of every rule here.
    pub names: Vec<Candidate>,
}

/// For the folder that the user stands in. What can't be read isn't offered, and nobody is told.
pub fn of_host(ctx: &Context) -> Known {
    let records = store::agents(&ctx.paths).unwrap_or_default();
    let here: Vec<_> = records.iter().filter(|record| ctx.cwd.starts_with(&record.project_dir)).collect();
    let agents = if here.is_empty() {
        records.iter().map(|record| candidate(&record.container, Some(record.image.clone()))).collect()
    } else {
        here.iter().map(|record| candidate(record.agent.as_str(), Some(record.image.clone()))).collect()
    };
    let (added, names) = rules(ctx).unwrap_or_default();
    Known { agents, added, names }
}

fn rules(ctx: &Context) -> Option<(Vec<Candidate>, Vec<Candidate>)> {
    let loaded = config::load(&ctx.cwd, &ctx.paths).ok()?;
    let project = Project::load(&ctx.paths, &loaded.dir).ok()?;
    let added = project.cli.iter().map(|one| candidate(&one.rule.dst, None)).collect();
    let policy = project.policy(&loaded.settings, None).ok()?;
    let names = policy.rules().iter().map(|rule| (rule.dst.to_string(), rule));
    let mut names: Vec<_> = names
        .filter(|(dst, _)| !dst.starts_with('.'))
        .map(|(dst, rule)| candidate(dst, Some(rule.to_string())))
        .collect();
    names.dedup_by(|a, b| a.word == b.word);
    Some((added, names))
}
