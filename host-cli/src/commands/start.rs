//! `clawker start`: starts stopped agents behind the policy as it is now.

use crate::cli::{DETACH_KEYS, StartArgs};
use crate::commands::extras;
use crate::commands::run::{attach, follow};
use crate::config::{self, Loaded};
use crate::context::Context;
use crate::docker::wait::{Until, Wait};
use crate::docker::{DockerError, Engine};
use crate::exit::{Failure, OK, Outcome};
use crate::idmap::{self, Placed};
use crate::lock::StateLock;
use crate::session::Shape;
use crate::store::AgentRecord;
use crate::workspace::beneath::Beneath;
use crate::workspace::{git, guard};
use crate::{accepted, agent, docker_socket, enforcement, lent, ours, reached, resolve, stack, worktree};

/// Starts each; the first that fails ends it.
///
/// # Errors
/// When one isn't there, the configuration isn't accepted, or Docker does not do it.
pub async fn run(ctx: &Context, args: &StartArgs) -> Outcome {
    let given = args.agents.given();
    if args.attach && given.len() > 1 {
        return Err(Failure::usage("Only one agent can be attached to; name one, or leave out --attach"));
    }
    let records: Result<Vec<_>, _> =
        given.into_iter().map(|name| resolve::agent(&ctx.paths, &ctx.cwd, name)).collect();
    for record in records? {
        let loaded = config::load(&record.project_dir, &ctx.paths)?;
        ctx.warn(&loaded);
        let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
        let container = ours::find(&engine, &record).await?;
        if container.running {
            ctx.output.note(&format!("Agent {} is running already", record.agent));
            // Its helper may be gone: with a session that was ended, say.
            lent::spawn(&ctx.paths, &record).await?;
        } else {
            prepare(ctx, &engine, &loaded, &record, args.yes).await?;
        }
        if args.attach {
            let shape = Shape { tty: container.tty, stdin: container.open_stdin };
            let connection = attach(&engine, &container.id, shape.stdin, DETACH_KEYS).await?;
            let until = if container.running { Until::NotRunning } else { Until::NextExit };
            let wait = Wait::register(&engine, &container.id, until).await?;
            begin(ctx, &engine, &record, &container).await?;
            return Ok(follow(ctx, &engine, &record, connection, wait, shape).await?.code);
        }
        begin(ctx, &engine, &record, &container).await?;
        ctx.output.line(record.agent.as_str())?;
    }
    Ok(OK)
}

/// Starts it, unless it runs.
///
/// # Errors
/// When Docker does not do it, or its workspace can't be idmapped any more.
pub async fn begin(
    ctx: &Context,
    engine: &Engine,
    record: &AgentRecord,
    container: &ours::Container,
) -> Result<(), Failure> {
    if container.running {
        return Ok(());
    }
    let placed = Placed::place(&ctx.paths, record, true)?;
    let started = engine.api.start_container(&container.id, None).await.map_err(DockerError::from);
    started.map_err(|error| idmap::explain(placed.as_ref(), error))
}

/// Brings stack and boot config up to date, for the next start.
///
/// # Errors
/// When the configuration isn't accepted, or the stack can't be brought up.
pub async fn prepare(
    ctx: &Context,
    engine: &Engine,
    loaded: &Loaded,
    record: &AgentRecord,
    yes: bool,
) -> Result<(), Failure> {
    if record.docker_socket {
        ctx.output.note(docker_socket::WARNING);
    }
    extras::check_again(ctx, engine, record).await?;
    reached::check_again(ctx, engine, loaded, record, yes).await?;
    let info = stack::ensure(&engine.api, &ctx.paths, &loaded.settings, &ctx.output).await?;
    let lock = StateLock::acquire(&ctx.paths)?;
    accepted::take(&engine.api, &ctx.paths, &lock, loaded, &mut |widening| {
        ctx.ask(&widening.to_string(), yes)
    })
    .await?;
    guard::settle(ctx, &record.project_dir, yes)?;
    worktree::check_again(ctx, record, yes)?;
    git::bring_back(&Beneath::open(&record.project_dir)?, &record.mounted)?;
    let prepared =
        enforcement::prepare_agent(&ctx.paths, &lock, loaded, &record.agent, &info, &record.published)
            .await?;
    agent::write_boot(&ctx.paths, record, &agent::boot_config(record, &loaded.settings, &prepared))?;
    drop(lock);
    lent::spawn(&ctx.paths, record).await
}
