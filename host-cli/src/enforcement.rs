//! From a project's rules to what init enforces: works the policy out, puts it into the gateway, and hands over the
//! addresses and ports that are left when the names are gone.

use std::net::Ipv4Addr;

use clawker_protocol::enforcement::{Enforcement, Published};
use clawker_protocol::names::Name;
use ipnet::IpNet;

use crate::alloc::{Alloc, AllocError, policy_id};
use crate::certs::{Authority, CertsError};
use crate::config::{ConfigError, Loaded, Settings};
use crate::gateway::{self, GatewayError};
use crate::lock::StateLock;
use crate::paths::Paths;
use crate::plan::{Owner, Plan};
use crate::policy::{self, Policy};
use crate::project::{self, Project, ProjectError};
use crate::stack::StackInfo;
use crate::store::{self, StoreError};

mod summary;

/// Why an agent's policy was not put into force.
#[derive(Debug, thiserror::Error)]
pub enum EnforcementError {
    /// The rules.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// Addresses and ports.
    #[error(transparent)]
    Alloc(#[from] AllocError),
    /// Envoy and CoreDNS.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// State.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host's own authority.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// Certificates of the user's settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What an agent's boot config is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// What init enforces.
    pub enforcement: Enforcement,
    /// What the agent may know of it.
    pub summary: String,
    /// Certificates that it trusts besides its image's.
    pub extra_ca_pem: String,
    /// Docker's resolver's resolvers, for while the firewall is off.
    pub upstream_dns: Vec<Ipv4Addr>,
}

/// A policy with its plan.
#[derive(Debug, Clone)]
pub struct Worked {
    /// The rules.
    pub policy: Policy,
    /// What they come to.
    pub plan: Plan,
}

/// Works out the policy of an agent (of a project's agents without rules of their own: `None`) and counts its
/// generation up where it differs from its stored plan. Nothing of it is in force yet.
///
/// # Errors
/// [`EnforcementError`].
pub fn work_out(
    paths: &Paths,
    lock: &StateLock,
    settings: &Settings,
    project: &Project,
    agent: Option<&Name>,
    stored: &[Plan],
) -> Result<Worked, EnforcementError> {
    let own = agent.filter(|agent| project.is_apart(agent));
    let policy = project.policy(settings, own)?;
    let id = policy_id(&project::id(&project.dir), &project.dir, own);
    let mut alloc = Alloc::load(paths, lock)?;
    let before = alloc.clone();
    let upstream_dns = project.upstream_dns(&settings.firewall.upstream_dns);
    let extra_ca_pem = extra_ca(settings, project)?;
    let owner = Owner { id: &id, project_dir: &project.dir, upstream_dns, extra_ca_pem: &extra_ca_pem };
    let mut plan = Plan::new(owner, &policy, &mut alloc)?;
    plan.generation = match stored.iter().find(|plan| plan.id == id) {
        Some(stored) => {
            plan.generation = stored.generation;
            if plan == *stored { stored.generation } else { alloc.generation(&id, stored.generation) }
        }
        // An agent that comes to have a policy of its own sees its number rise as well.
        None => {
            let of_project = stored.iter().filter(|other| other.project_dir == project.dir);
            alloc.generation(&id, of_project.map(|other| other.generation).max().unwrap_or(0))
        }
    };
    if alloc != before {
        alloc.save(lock)?;
    }
    Ok(Worked { policy, plan })
}

/// Puts plans into the gateway beside all others that are stored, and remembers them once they are in force.
///
/// # Errors
/// [`EnforcementError`]; the old ones are in force then.
pub async fn put_into_force(
    paths: &Paths,
    lock: &StateLock,
    info: &StackInfo,
    stored: Vec<Plan>,
    plans: &[Plan],
) -> Result<(), EnforcementError> {
    let differs = plans.iter().any(|plan| !stored.contains(plan));
    let all = with(stored, plans);
    gateway::publish(paths, lock, info, &all, differs).await?;
    remember(paths, lock, plans)
}

/// Remembers plans, for a gateway that comes up later.
///
/// # Errors
/// [`EnforcementError`].
pub fn remember(paths: &Paths, _lock: &StateLock, plans: &[Plan]) -> Result<(), EnforcementError> {
    plans.iter().try_for_each(|plan| Ok(store::save_where_it_differs(&paths.plan(&plan.id), plan)?))
}

fn with(mut all: Vec<Plan>, new: &[Plan]) -> Vec<Plan> {
    all.retain(|plan| new.iter().all(|one| one.id != plan.id));
    all.extend(new.iter().cloned());
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all
}

/// Prepares everything that an agent needs before it starts; the gateway has taken its policy afterwards.
///
/// # Errors
/// [`EnforcementError`].
pub async fn prepare_agent(
    paths: &Paths,
    lock: &StateLock,
    loaded: &Loaded,
    agent: &Name,
    info: &StackInfo,
    published: &[Published],
) -> Result<Prepared, EnforcementError> {
    let project = Project::load(paths, &loaded.dir)?;
    let stored = gateway::plans(paths)?;
    let worked = work_out(paths, lock, &loaded.settings, &project, Some(agent), &stored)?;
    put_into_force(paths, lock, info, stored, std::slice::from_ref(&worked.plan)).await?;
    let authority = Authority::load_or_make(paths, lock)?;
    prepared(&worked, info, (&authority, published))
}

/// What an agent's boot config is made of, for a policy that was worked out.
///
/// # Errors
/// [`EnforcementError`].
pub fn prepared(
    worked: &Worked,
    info: &StackInfo,
    (authority, published): (&Authority, &[Published]),
) -> Result<Prepared, EnforcementError> {
    let Worked { policy, plan } = worked;
    let enforcement = Enforcement {
        generation: plan.generation,
        envoy: info.envoy,
        coredns: info.coredns,
        dns_port: plan.dns_port,
        open_dns_port: plan.open_dns_port,
        services: plan.services.clone(),
        port_routes: plan.port_routes.clone(),
        direct: policy::direct(policy, IpNet::V4(info.subnet)),
        published: published.to_vec(),
    };
    Ok(Prepared {
        enforcement,
        summary: clawker_protocol::summary::write(&summary::of(policy)),
        extra_ca_pem: format!("{}\n{}", authority.pem(), plan.extra_ca_pem),
        upstream_dns: plan.upstream_dns.clone(),
    })
}

/// Roots that the user's settings and the project add.
fn extra_ca(settings: &Settings, project: &Project) -> Result<String, EnforcementError> {
    let of_project = project.accepted.iter().flat_map(|accepted| &accepted.extra_ca);
    let mut pem: Vec<String> = of_project.map(|ca| ca.pem.clone()).collect();
    for path in &settings.security.extra_ca {
        pem.push(project::certificates(path)?);
    }
    Ok(pem.join("\n"))
}
