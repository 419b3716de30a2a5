//! `clawker run`: makes an agent, starts it, attaches.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use clawker_protocol::boot::Run;
use clawker_protocol::names::Name;

use super::extras;
use crate::cli::RunArgs;
use crate::config::{self, Build, Loaded};
use crate::context::Context;
use crate::docker::image::{self, Image};
use crate::docker::raw::{self, Ask, Connection};
use crate::docker::wait::{Until, Wait};
use crate::docker::{DockerError, Engine};
use crate::exit::{self, Failure, Outcome};
use crate::launch::{self, Interrupt, Made, Plan};
use crate::lent::{self, Lending, Lent};
use crate::lock::StateLock;
use crate::output::Progress;
use crate::reached::{For, Reached};
use crate::resolve::DEFAULT_AGENT;
use crate::session::{self, Ended, Peer, Shape};
use crate::store::{self, AgentRecord};
use crate::workspace::guard;
use crate::worktree::{self, Wanted, make};
use crate::{
    accepted, argv, build, docker_socket, environment, exec, idmap, kept, oom, post_init, stack, terminal,
    workspace,
};

/// How long after its output's end a container may take to be counted as ended, before the user is said to have
/// detached.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// Makes, starts, attaches.
///
/// # Errors
/// [`Failure`]; nothing half-made is left behind.
pub async fn run(ctx: &Context, args: &RunArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    ctx.warn(&loaded);
    let wanted = worktree::chosen(&ctx.paths, &ctx.cwd, args.worktree.as_ref())?;
    let agent = match (&args.agent, &wanted) {
        (Some(name), _) => Name::new(name)?,
        (None, Some(wanted)) => worktree::default_agent(&wanted.branch)?,
        (None, None) => Name::new(DEFAULT_AGENT)?,
    };
    check_workspace(ctx, &loaded)?;
    let shape = shape(args)?;
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    let (info, extras) = tokio::join!(
        stack::ensure(&engine.api, &ctx.paths, &loaded.settings, &ctx.output),
        extras::of(ctx, &engine, &loaded, args)
    );
    let (info, extras) = (info?, extras?);
    // What the project asks of its image is asked about before anything is pulled or built.
    if args.image.is_none() && loaded.config.build != Build::default() {
        let lock = StateLock::acquire(&ctx.paths)?;
        accepted::take(&engine.api, &ctx.paths, &lock, &loaded, &mut |widening| {
            ctx.ask(&widening.to_string(), args.yes)
        })
        .await?;
    }
    let reference =
        build::agent_image(&engine, &ctx.paths, args.image.as_deref(), &loaded, &ctx.output).await?;
    let image = image::find(&engine, &reference, &ctx.output).await?;
    let lent = Lent::wanted(&loaded);
    let keeps = keeps(ctx, &engine, &loaded, &agent, &lent, args.rm).await?;
    let mut run = program(ctx, args, &loaded, &reference, &image, shape.tty)?;
    let of_ours = lent::variables(&lent, image.path.as_deref()).into_iter();
    for (name, value) in of_ours.chain(keeps.then(kept::variables).into_iter().flatten()) {
        run.env.entry(name).or_insert(value);
    }
    let docker_socket = docker_socket::wanted(&loaded, &engine)?;
    if let Some(socket) = &docker_socket {
        run.groups.push(socket.group);
        ctx.output.note(docker_socket::WARNING);
    }
    lent.note().iter().for_each(|note| ctx.output.note(note));
    let interrupt = Interrupt::watch()?;
    if wanted.is_some() {
        // Before a worktree is made for it.
        launch::check_name(ctx, &engine, &loaded, &agent).await?;
    }
    let ensure = |wanted: &Wanted| make::ensure(ctx, &loaded, wanted, args.yes, &interrupt);
    let ready = wanted.as_ref().map(ensure).transpose()?;
    let worktree = ready.as_ref().map(|ready| &ready.worktree);
    let dir = worktree.map(|worktree| worktree.dir.as_path());
    let owner = (run.uid, run.gid);
    let who = For { agent: &agent, image: &reference, owner, fresh: args.fresh, worktree: dir };
    let made = async {
        let project = Reached::choose(ctx, &engine, &loaded, args.mode, &who, &interrupt).await?;
        if project.is_bound() {
            run.idmapped = idmap::choose::choose(ctx, &engine, &loaded, dir, run.uid)?;
        }
        let (stdin, image, loaded, agent) = (shape.stdin, reference.clone(), &loaded, &agent);
        let plan = Plan {
            args,
            loaded,
            agent,
            run,
            image,
            stdin,
            extras,
            lent,
            keeps,
            docker_socket,
            project,
            worktree,
        };
        ctx.output.done();
        launch::make(ctx, &engine, &info, &plan, &interrupt).await
    };
    let take_back = || ready.iter().for_each(|ready| make::undo(ctx, ready));
    let mut made = made.await.inspect_err(|_| take_back())?;
    if args.detach {
        return start_detached(ctx, &engine, &made).await.inspect_err(|_| take_back());
    }
    let attached = start_attached(&engine, &made, args, shape).await;
    drop(made.placed.take());
    let (connection, wait) = match attached {
        Ok(attached) if !interrupt.came() => attached,
        outcome => {
            launch::unmake(ctx, &engine, &made.record).await;
            take_back();
            return Err(outcome.err().unwrap_or_else(launch::interrupted));
        }
    };
    // Others may make their worktrees.
    drop(ready);
    let code = follow(ctx, &engine, &made.record, connection, wait, shape).await?;
    if args.rm && code.ended {
        let lock = StateLock::acquire(&ctx.paths)?;
        store::delete_agent(&ctx.paths, &lock, &made.record.id)?;
        idmap::sweep(&ctx.paths);
        launch::released(ctx, &made.record);
    }
    guard::notice(ctx);
    Ok(code.code)
}

/// Terminal and input: as asked for, else on where we have a terminal and stay with the program.
fn shape(args: &RunArgs) -> Result<Shape, Failure> {
    let asked = args.interactive || args.tty;
    let automatic = !asked && !args.detach && terminal::is_interactive();
    let shape = Shape { tty: args.tty || automatic, stdin: args.interactive || automatic };
    if shape.tty && shape.stdin && !args.detach && !terminal::is_interactive() {
        return Err(Failure::new("Standard input and output are not a terminal; leave out -t"));
    }
    Ok(shape)
}

/// Whether the agent has a volume of its own: one that goes with its container has none, unless something is lent into
/// it or an earlier one of its name left it.
async fn keeps(
    ctx: &Context,
    engine: &Engine,
    loaded: &Loaded,
    agent: &Name,
    lent: &Lent,
    goes: bool,
) -> Result<bool, DockerError> {
    let copies = [Lending::ClaudeLogin, Lending::ClaudeSettings].iter().any(|copy| lent.has(*copy));
    let container = ctx.paths.agent_container(&loaded.project, agent);
    Ok(!goes || copies || kept::exists(&engine.api, &container).await?)
}

/// Refuses a project that would hand over clawker's own folders.
///
/// # Errors
/// With the folder in question.
pub fn check_workspace(ctx: &Context, loaded: &Loaded) -> Result<(), Failure> {
    let own = [
        (workspace::canonical(&ctx.paths.state), "its state"),
        (workspace::canonical(&ctx.paths.config), "its settings"),
        (workspace::canonical(&ctx.paths.cache), "its cache"),
        (workspace::canonical(&ctx.paths.worktrees()?), "other branches of projects"),
    ];
    let own: Vec<_> = own.iter().map(|(folder, what)| (folder.as_path(), *what)).collect();
    Ok(workspace::check(&loaded.dir, &own)?)
}

fn program(
    ctx: &Context,
    args: &RunArgs,
    loaded: &Loaded,
    reference: &str,
    image: &Image,
    tty: bool,
) -> Result<Run, Failure> {
    let given = if args.command.is_empty() { &loaded.config.agent.command } else { &args.command };
    let command = argv::resolve(reference, &image.entrypoint, &image.cmd, given)?;
    let folder = std::fs::metadata(&loaded.dir)?;
    let (uid, gid) = workspace::chosen(loaded.config.agent.uid, folder.uid(), folder.gid())?;
    let here = |name: &str| std::env::var(name).ok();
    let environment = environment::of(loaded, exec::variables(&args.env)?, here)?;
    environment.note().iter().for_each(|note| ctx.output.note(note));
    let env = environment.variables;
    let session = tty && command.first().is_some_and(|program| argv::is_shell(program));
    let command = post_init::before(loaded.config.agent.post_init.as_deref(), command);
    let userns = loaded.config.security.userns;
    Ok(Run { uid, gid, groups: Vec::new(), command, env, tty, session, userns, idmapped: None })
}

async fn start_detached(ctx: &Context, engine: &Engine, made: &Made) -> Outcome {
    if let Err(error) = engine.api.start_container(&made.id, None).await {
        launch::unmake(ctx, engine, &made.record).await;
        return Err(DockerError::from(error).into());
    }
    ctx.output.line(&made.record.container)?;
    Ok(exit::OK)
}

async fn start_attached(
    engine: &Engine,
    made: &Made,
    args: &RunArgs,
    shape: Shape,
) -> Result<(Connection, Wait), Failure> {
    let connection = attach(engine, &made.id, shape.stdin, &args.detach_keys).await?;
    let until = if args.rm { Until::Removed } else { Until::NextExit };
    let wait = Wait::register(engine, &made.id, until).await?;
    engine.api.start_container(&made.id, None).await.map_err(DockerError::from)?;
    Ok((connection, wait))
}

/// Opens a container's streams.
///
/// # Errors
/// [`DockerError`].
pub async fn attach(
    engine: &Engine,
    id: &str,
    stdin: bool,
    detach_keys: &str,
) -> Result<Connection, DockerError> {
    let keys = raw::encode(detach_keys);
    let query = format!("stream=1&stdout=1&stderr=1&stdin={}&detachKeys={keys}", u8::from(stdin));
    let target = engine.path(&format!("/containers/{}/attach?{query}", raw::encode(id)));
    let request = Ask { method: "POST", target: &target, body: None, upgrade: true };
    Ok(raw::ask(&engine.address, request).await?.1)
}

/// How following ended.
#[derive(Debug, Clone, Copy)]
pub struct Followed {
    /// Our exit code.
    pub code: u8,
    /// The program ended (the user did not just leave).
    pub ended: bool,
}

/// Carries the session and comes back with the program's exit code, or with 0 when the user detached.
///
/// # Errors
/// When the connection breaks.
pub async fn follow(
    ctx: &Context,
    engine: &Engine,
    record: &AgentRecord,
    connection: Connection,
    wait: Wait,
    shape: Shape,
) -> Result<Followed, Failure> {
    let peer = Peer::Container(record.container.clone());
    let ended = session::run(engine, &peer, connection, shape).await?;
    terminal::restore();
    match ended {
        Ended::Signal(number) => {
            Ok(Followed { code: exit::of_program(128 + i64::from(number)), ended: false })
        }
        Ended::Unread | Ended::Detached => Ok(Followed { code: exit::OK, ended: false }),
        Ended::Closed => {
            let finish = wait.finish(engine);
            tokio::pin!(finish);
            loop {
                tokio::select! {
                    code = &mut finish => {
                        let code = exit::of_program(code?);
                        oom::tell(ctx, engine, record, code).await;
                        return Ok(Followed { code, ended: true });
                    }
                    () = tokio::time::sleep(AFTERWARDS) => {
                        if is_running(engine, &record.container).await {
                            let agent = &record.agent;
                            ctx.output.note(&format!("Detached from {agent}; come back: clawker attach {agent}"));
                            return Ok(Followed { code: exit::OK, ended: false });
                        }
                    }
                }
            }
        }
    }
}

async fn is_running(engine: &Engine, container: &str) -> bool {
    let found = engine.api.inspect_container(container, None).await;
    found.ok().and_then(|found| found.state).and_then(|state| state.running) == Some(true)
}
