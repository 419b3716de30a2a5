//! Brings a rule change to where it counts: Envoy and CoreDNS first, then every agent of the project, the stopped ones
//! too. What is no longer allowed is cut by init, in the agent's own namespace.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use bollard::Docker;
use clawker_protocol::control::Op;
use clawker_protocol::names::Name;
use serde::Serialize;

use crate::agent::{self, AgentError};
use crate::certs::Authority;
use crate::config::Settings;
use crate::control::{self, ControlError};
use crate::enforcement::{self, EnforcementError, Prepared, Worked};
use crate::gateway;
use crate::lock::StateLock;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::project::Project;
use crate::stack::{self, StackError, StackInfo};
use crate::store::{self, AgentRecord, StoreError};

/// Why a change did not reach everybody.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The policy.
    #[error(transparent)]
    Enforcement(#[from] EnforcementError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A boot config.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A running agent did not take it.
    #[error(
        "The change did not reach {0}, which keeps the old policy: {1}; restart it: clawker stop {0} && clawker start {0}"
    )]
    Unreached(String, #[source] Box<ControlError>),
}

/// What a change reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Running agents that enforce it now.
    pub running: Vec<String>,
    /// Stopped ones that will at their next start.
    pub stopped: Vec<String>,
}

/// Applies a project's rules as they are in state now.
///
/// # Errors
/// [`ApplyError`].
pub async fn apply(
    docker: &Docker,
    paths: &Paths,
    lock: &StateLock,
    settings: &Settings,
    dir: &Path,
) -> Result<Applied, ApplyError> {
    let project = Project::load(paths, dir)?;
    let records: Vec<AgentRecord> =
        store::agents(paths)?.into_iter().filter(|record| record.project_dir == dir).collect();
    let stored = gateway::plans(paths)?;
    // Agents without rules of their own share one. Without agents it is worked out only to see that it can be.
    let owner = |record: &AgentRecord| Some(record.agent.clone()).filter(|agent| project.is_apart(agent));
    let mut worked: BTreeMap<Option<Name>, Worked> = BTreeMap::new();
    for owner in records.iter().map(owner).chain(records.is_empty().then_some(None)) {
        if let Entry::Vacant(place) = worked.entry(owner) {
            let agent = place.key().clone();
            place.insert(enforcement::work_out(paths, lock, settings, &project, agent.as_ref(), &stored)?);
        }
    }
    let mut applied = Applied::default();
    if records.is_empty() {
        return Ok(applied);
    }
    let plans: Vec<Plan> = worked.values().map(|one| one.plan.clone()).collect();
    let Some(info) = stack::find(docker, paths).await? else {
        // Its network was taken away: each agent's start works everything out anew.
        enforcement::remember(paths, lock, &plans)?;
        return Ok(applied);
    };
    if stack::is_up(paths, &info) {
        enforcement::put_into_force(paths, lock, &info, stored, &plans).await?;
    } else {
        enforcement::remember(paths, lock, &plans)?;
    }
    let authority = Authority::load_or_make(paths, lock).map_err(EnforcementError::from)?;
    let mut unreached = None;
    for (record, worked) in records.iter().filter_map(|record| Some((record, worked.get(&owner(record))?))) {
        match tell(paths, (settings, &authority), record, worked, &info)? {
            Told::Running => applied.running.push(record.agent.to_string()),
            Told::Stopped => applied.stopped.push(record.agent.to_string()),
            Told::Unreached(error) => {
                unreached = Some(ApplyError::Unreached(record.agent.to_string(), Box::new(error)))
            }
        }
    }
    unreached.map_or(Ok(applied), Err)
}

enum Told {
    Running,
    Stopped,
    Unreached(ControlError),
}

/// Brings one agent up to date.
fn tell(
    paths: &Paths,
    (settings, authority): (&Settings, &Authority),
    record: &AgentRecord,
    worked: &Worked,
    info: &StackInfo,
) -> Result<Told, ApplyError> {
    let prepared: Prepared = enforcement::prepared(worked, info, (authority, &record.published))?;
    agent::write_boot(paths, record, &agent::boot_config(record, settings, &prepared))?;
    let op = Op::Policy {
        enforcement: Box::new(prepared.enforcement),
        summary: prepared.summary,
        extra_ca_pem: Some(prepared.extra_ca_pem),
    };
    Ok(match control::call(paths, record, op) {
        Ok(_) => Told::Running,
        Err(ControlError::NotRunning { .. } | ControlError::Gone { .. }) => Told::Stopped,
        Err(error) => Told::Unreached(error),
    })
}
