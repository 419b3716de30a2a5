//! `clawker firewall reload`: takes `.clawker.yaml` and `settings.yaml` as they are now. What widens is asked about.

use super::add;
use crate::accepted;
use crate::cli::ReloadArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{OK, Outcome};
use crate::lock::StateLock;
use crate::project::Project;

/// Takes the files anew and brings the change to the agents.
///
/// # Errors
/// When a file is wrong, what it widens was not accepted, or the change does not reach an agent.
pub async fn run(ctx: &Context, args: &ReloadArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    let lock = StateLock::acquire(&ctx.paths)?;
    let before = Project::load(&ctx.paths, &loaded.dir)?;
    accepted::accept(&ctx.paths, &lock, &loaded, &mut |widening| ctx.ask(&widening.to_string(), args.yes))?;
    let project = Project::load(&ctx.paths, &loaded.dir)?;
    let applied = add::put(ctx, &lock, &loaded, (&before, &project)).await?;
    add::tell(ctx, "The project's rules are taken as they are now", &applied)?;
    Ok(OK)
}
