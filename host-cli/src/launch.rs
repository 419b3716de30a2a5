//! Makes an agent: record, boot config, container; all of it or nothing. What exists only half after an error
//! or an interrupt is taken away again.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::models::ContainerStateStatusEnum;
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};
use clawker_protocol::boot::Run;
use clawker_protocol::names::{Name, agent_id};

use crate::accepted;
use crate::agent;
use crate::cli::RunArgs;
use crate::config::Loaded;
use crate::context::Context;
use crate::docker::create::Spec;
use crate::docker::extras::Extras;
use crate::docker::{DockerError, Engine};
use crate::docker_socket::DockerSocket;
use crate::enforcement;
use crate::exit::Failure;
use crate::idmap::{self, Placed};
use crate::kept;
use crate::lent::{self, Lent};
use crate::lock::StateLock;
use crate::making::Making;
use crate::placeholder;
use crate::reached::Reached;
use crate::stack::{self, StackInfo};
use crate::store::{self, AgentRecord};
use crate::workspace::beneath::Beneath;
use crate::workspace::git::{self, Place, Way};
use crate::workspace::guard;
use crate::worktree::{self, Worktree, share};

/// What to make.
#[derive(Debug)]
pub struct Plan<'a> {
    /// The options that it was asked for with.
    pub args: &'a RunArgs,
    /// The project.
    pub loaded: &'a Loaded,
    /// The agent's name.
    pub agent: &'a Name,
    /// Image reference.
    pub image: String,
    /// What init runs.
    pub run: Run,
    /// Standard input stays open.
    pub stdin: bool,
    /// Limits, mounts and what else is passed on.
    pub extras: Extras,
    /// What of the user's the agent is lent.
    pub lent: Lent,
    /// It has a volume of its own.
    pub keeps: bool,
    /// It holds Docker's socket.
    pub docker_socket: Option<DockerSocket>,
    /// How the project reaches it.
    pub project: Reached,
    /// The worktree that it works in, where that is not the project's folder.
    pub worktree: Option<&'a Worktree>,
}

/// What was made, and is taken away again unless it is kept.
#[derive(Debug)]
pub struct Made {
    /// The record.
    pub record: AgentRecord,
    /// The container's id.
    pub id: String,
    /// The idmapped workspace, which only the start needs.
    pub placed: Option<Placed>,
    /// Until it is started, and after that without a meaning.
    _making: Option<Making>,
}

/// Makes record, boot config and container. Nothing runs yet.
///
/// # Errors
/// When anything fails; nothing is left behind then.
pub async fn make(
    ctx: &Context,
    engine: &Engine,
    info: &StackInfo,
    plan: &Plan<'_>,
    interrupt: &Interrupt,
) -> Result<Made, Failure> {
    let lock = StateLock::acquire(&ctx.paths)?;
    let id = agent_id(plan.loaded.dir.as_os_str().as_encoded_bytes(), plan.agent);
    unclaimed(&ctx.paths, &plan.loaded.dir, plan.agent)?;
    clear_name(ctx, engine, &lock, &id, plan.agent).await?;
    accepted::take(&engine.api, &ctx.paths, &lock, plan.loaded, &mut |widening| {
        ctx.ask(&widening.to_string(), plan.args.yes)
    })
    .await?;
    // A copy is nobody's but the agent's.
    let way = match (plan.worktree, plan.project.is_bound()) {
        (Some(worktree), _) => {
            guard::settle(ctx, &worktree.dir, plan.args.yes)?;
            Way::File
        }
        (None, true) => protect(ctx, &plan.loaded.dir, plan.args.yes)?,
        (None, false) => Way::None,
    };
    let published: Vec<_> = plan.args.publish.iter().map(|publish| publish.inner.clone()).collect();
    let record = AgentRecord {
        container: ctx.paths.agent_container(&plan.loaded.project, plan.agent),
        made_as: None,
        was: None,
        id,
        project: plan.loaded.project.clone(),
        project_dir: plan.loaded.dir.clone(),
        agent: plan.agent.clone(),
        secret: agent::new_secret()?,
        address: stack::free_agent_address(&ctx.paths, info, &lock)?,
        published,
        run: plan.run.clone(),
        image: plan.image.clone(),
        created: now(),
        docker_socket: plan.docker_socket.is_some(),
        worktree: plan.worktree.map(|worktree| worktree.dir.clone()),
        mounted: match plan.worktree {
            Some(worktree) => share::folders(worktree)?,
            None => git::folders(&Beneath::open(&plan.loaded.dir)?, &way)?,
        },
    };
    let made = make_recorded(ctx, engine, info, plan, &lock, &record, &way).await;
    let made = made.and_then(|made| if interrupt.came() { Err(interrupted()) } else { Ok(made) });
    if made.is_err() {
        unmake_locked(ctx, engine, &lock, &record).await;
    }
    made
}

async fn make_recorded(
    ctx: &Context,
    engine: &Engine,
    info: &StackInfo,
    plan: &Plan<'_>,
    lock: &StateLock,
    record: &AgentRecord,
    way: &Way,
) -> Result<Made, Failure> {
    store::save_agent(&ctx.paths, lock, record)?;
    let making = Making::begin(&ctx.paths, &record.id)?;
    let prepared =
        enforcement::prepare_agent(&ctx.paths, lock, plan.loaded, plan.agent, info, &record.published)
            .await?;
    let boot = agent::boot_config(record, &plan.loaded.settings, &prepared);
    agent::write_boot(&ctx.paths, record, &boot)?;
    let folder = ctx.paths.agent_dir(&record.id);
    lent::make(&folder.join("lent"), &plan.lent)?;
    store::save(&folder.join("lent.json"), &plan.lent)?;
    if plan.keeps {
        kept::make(&engine.api, &ctx.paths, record).await?;
    }
    let mut spec = spec(ctx, info, plan, record, prepared.upstream_dns)?;
    if plan.project.is_bound() {
        spec.places = cover(ctx, plan, record, way)?;
        idmap::give(&record.run, &spec.places, &folder)?;
    }
    let placed = Placed::place(&ctx.paths, record, true)?;
    if let Some(placed) = &placed {
        placed.lead(&mut spec);
    }
    let options = CreateContainerOptions { name: Some(record.container.clone()), ..Default::default() };
    let created = engine.api.create_container(Some(options), spec.body()).await.map_err(DockerError::from);
    match created {
        Ok(created) => {
            kept::fill(&engine.api, &ctx.paths, record, &plan.lent).await?;
            lent::spawn(&ctx.paths, record).await?;
            Ok(Made { record: record.clone(), id: created.id, placed, _making: making })
        }
        Err(error) if error.status() == Some(409) => Err(name_taken(&record.container)),
        Err(error) => Err(idmap::explain(placed.as_ref(), error)),
    }
}

fn spec(
    ctx: &Context,
    info: &StackInfo,
    plan: &Plan<'_>,
    record: &AgentRecord,
    dns: Vec<Ipv4Addr>,
) -> Result<Spec, Failure> {
    Ok(Spec {
        image: plan.image.clone(),
        argv: plan.run.command.clone(),
        labels: plan.project.label(labels(ctx, record))?,
        init: ctx.paths.init_binary()?,
        agent_dir: ctx.paths.agent_dir(&record.id),
        project_dir: record.workspace().to_owned(),
        idmapped: None,
        places: Vec::new(),
        snapshot: plan.project.volume(),
        covers: plan.project.covers(ctx, record.workspace())?,
        network: info.network.clone(),
        address: record.address,
        dns,
        publish: plan.args.publish.clone(),
        extras: plan.extras.clone(),
        docker_socket: plan.docker_socket.as_ref().map(|socket| socket.path.clone()),
        keeps: plan.keeps.then(|| record.container.clone()),
        tty: plan.run.tty,
        stdin: plan.stdin,
        auto_remove: plan.args.rm,
    })
}

/// Shows what is new in the workspace, and makes its repository ready to be shared.
fn protect(ctx: &Context, dir: &Path, yes: bool) -> Result<Way, Failure> {
    guard::settle(ctx, dir, yes)?;
    let way = prepare(ctx, dir)?;
    if let Way::Plain(why) = way {
        ctx.output.note(&format!(
            "The repository's config is read-only for the agent, and only until the host's git changes it: {why}"
        ));
    }
    Ok(way)
}

/// Makes a repository ready to be shared, which was looked at.
///
/// # Errors
/// When it can't be written.
pub fn prepare(ctx: &Context, dir: &Path) -> Result<Way, Failure> {
    let failed = |error| Failure::new(format!("Can't share {}/.git: {error}", dir.display()));
    let (way, changed) = Beneath::open(dir).and_then(|root| git::prepare(&root)).map_err(failed)?;
    if changed {
        ctx.output.note(
            "The repository's config now lies in .git/clawker, so that agents have one of their own; it is put \
             back with the last agent and worktree",
        );
        guard::remember(&ctx.paths, dir)?;
    }
    Ok(way)
}

/// What an agent that is gone leaves to nobody: what was made in its workspace, and its project's repository as it was shared.
pub fn released(ctx: &Context, record: &AgentRecord) {
    if let Err(error) = placeholder::release(&ctx.paths, record.workspace()) {
        ctx.output.note(&format!("Empty files of {} stay: {}", record.workspace().display(), error.message));
    }
    release(ctx, &record.project_dir);
}

/// Puts a workspace's repository back as it was, when the last agent that shared it is gone.
pub fn release(ctx: &Context, dir: &Path) {
    if !store::agents(&ctx.paths).is_ok_and(|left| left.iter().all(|other| other.project_dir != dir)) {
        return;
    }
    if !worktree::of_project(&ctx.paths, dir).is_ok_and(|left| left.is_empty()) {
        return;
    }
    let put_back = |root: Beneath| share::put_back(&root).and_then(|()| git::put_back(&root));
    let back = Beneath::open(dir).and_then(put_back).map_err(Failure::from);
    let told = back.and_then(|()| guard::follow_back(&ctx.paths, dir));
    if let Err(error) = told {
        ctx.output.note(&format!("{}/.git stays as agents shared it: {}", dir.display(), error.message));
    }
}

/// What lies over the workspace in the agent's container.
fn cover(ctx: &Context, plan: &Plan<'_>, record: &AgentRecord, way: &Way) -> Result<Vec<Place>, Failure> {
    if let Some(worktree) = plan.worktree {
        let folder = ctx.paths.agent_dir(&record.id);
        share::make_own(worktree, &folder, (record.run.uid, record.run.gid))?;
        return share::places(worktree, &folder, &record.mounted);
    }
    let own = ctx.paths.agent_dir(&record.id).join("git");
    let root = Beneath::open(&record.project_dir)?;
    if *way == Way::Apart {
        git::make_own(&root, &own, (record.run.uid, record.run.gid))?;
    }
    Ok(git::places(&root, &record.project_dir, way, &own)?)
}

fn labels(ctx: &Context, record: &AgentRecord) -> BTreeMap<String, String> {
    let instance = ctx.paths.instance.as_ref().map(ToString::to_string).unwrap_or_default();
    [
        ("clawker.role", "agent".to_owned()),
        ("clawker.instance", instance),
        ("clawker.project", record.project.to_string()),
        ("clawker.agent", record.agent.to_string()),
        ("clawker.id", record.id.clone()),
        ("clawker.dir", record.project_dir.to_string_lossy().into_owned()),
        ("clawker.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("clawker.owner", nix::unistd::geteuid().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Whether the name is free, or will be: so that nothing long is begun for one that is taken.
///
/// # Errors
/// When an agent of this name is there.
pub async fn check_name(
    ctx: &Context,
    engine: &Engine,
    loaded: &Loaded,
    agent: &Name,
) -> Result<(), Failure> {
    unclaimed(&ctx.paths, &loaded.dir, agent)?;
    let container = ctx.paths.agent_container(&loaded.project, agent);
    let found = engine.api.inspect_container(&container, None).await.map_err(DockerError::from);
    let state = match found {
        Ok(found) => found.state.and_then(|state| state.status),
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    match state {
        // Half-made; `make` clears it away.
        Some(ContainerStateStatusEnum::CREATED) => Ok(()),
        _ => Err(Failure::new(format!(
            "Agent {agent} exists already; start it: clawker start {agent}, or remove it: clawker rm {agent}"
        ))),
    }
}

/// Makes sure that no agent has come to this name, or gone from it, by `clawker rename`: one that was made with a name
/// keeps the id and the volumes that go by it.
fn unclaimed(paths: &crate::paths::Paths, dir: &Path, agent: &Name) -> Result<(), Failure> {
    let id = agent_id(dir.as_os_str().as_encoded_bytes(), agent);
    for record in store::agents(paths)?.iter().filter(|record| record.project_dir == dir) {
        let other = &record.agent;
        if record.id == id && other != agent {
            return Err(Failure::new(format!(
                "Agent {other} was made as {agent}, and its volumes go by that name; choose another --agent, or give it \
                 its name back: clawker rename {other} {agent}"
            )));
        }
        if record.id != id && other == agent {
            return Err(Failure::new(format!(
                "Agent {agent} exists already; start it: clawker start {agent}, or remove it: clawker rm {agent}"
            )));
        }
    }
    Ok(())
}

/// Makes sure that nobody has the name: a record whose container is gone is cleared away, and so is what a command
/// that was killed left half-made.
async fn clear_name(
    ctx: &Context,
    engine: &Engine,
    lock: &StateLock,
    id: &str,
    agent: &Name,
) -> Result<(), Failure> {
    let Some(record) = store::agents(&ctx.paths)?.into_iter().find(|record| record.id == id) else {
        return Ok(());
    };
    match engine.api.inspect_container(&record.container, None).await.map_err(DockerError::from) {
        Ok(found) if found.state.as_ref().and_then(|state| state.running) == Some(true) => {
            Err(Failure::new(format!(
                "Agent {agent} is running already; attach to it: clawker attach {agent}, or name another: --agent NAME"
            )))
        }
        Ok(found)
            if found.state.as_ref().and_then(|state| state.status)
                == Some(ContainerStateStatusEnum::CREATED)
                && !Making::is_under_way(&ctx.paths, id) =>
        {
            unmake_locked(ctx, engine, lock, &record).await;
            Ok(())
        }
        Ok(_) => Err(Failure::new(format!(
            "Agent {agent} exists already; start it: clawker start {agent}, or remove it: clawker rm {agent}"
        ))),
        Err(error) if error.is_missing() => Ok(store::delete_agent(&ctx.paths, lock, id)?),
        Err(error) => Err(error.into()),
    }
}

fn name_taken(container: &str) -> Failure {
    Failure::new(format!(
        "A container named {container} exists that is not clawker's; remove or rename it, or choose another --agent"
    ))
}

/// Takes back what [`make`] made.
pub async fn unmake(ctx: &Context, engine: &Engine, record: &AgentRecord) {
    if let Ok(lock) = StateLock::acquire(&ctx.paths) {
        unmake_locked(ctx, engine, &lock, record).await;
    }
}

/// Removes the container only where it is this record's: a stranger's of the same name stays.
async fn unmake_locked(ctx: &Context, engine: &Engine, lock: &StateLock, record: &AgentRecord) {
    let found = engine.api.inspect_container(&record.container, None).await;
    let labels =
        found.ok().and_then(|found| found.config).and_then(|config| config.labels).unwrap_or_default();
    if labels.get("clawker.id") == Some(&record.id) {
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let _ = engine.api.remove_container(&record.container, Some(options)).await;
    }
    kept::unmake(&engine.api, &ctx.paths, record).await;
    let _ = store::delete_agent(&ctx.paths, lock, &record.id);
    released(ctx, record);
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The failure of a command that the user interrupted.
pub fn interrupted() -> Failure {
    Failure::new("Interrupted; nothing was left behind")
}

/// Remembers an interrupt until there is a good moment to heed it.
#[derive(Debug, Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on INT, TERM and HUP are remembered instead of ending the process.
    ///
    /// # Errors
    /// When the handlers can't be set.
    pub fn watch() -> std::io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP]
        {
            signal_hook::flag::register(number, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// For what must be done whatever comes.
    pub fn deaf() -> Self {
        Self(Arc::default())
    }

    /// Whether one came.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
