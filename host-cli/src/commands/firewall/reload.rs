//! `clawker firewall reload`: takes `.clawker.yaml` and `settings.yaml` as they are now. What widens is asked about.

use super::add;
use crate::accepted;
use crate::cli::ReloadArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{OK, Outcome};
use crate::project::Project;
use crate::step;

/// Takes the files anew and brings the change to the agents.
///
/// # Errors
/// When a file is wrong, what it widens was not accepted, or the change does not reach an agent.
pub async fn run(ctx: &Context, args: &ReloadArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    ctx.warn(&loaded);
    let (engine, lock) = add::begin(ctx, &loaded).await?;
    let before = Project::load(&ctx.paths, &loaded.dir)?;
    let accepted =
        accepted::accept(&before, &loaded, &mut |widening| ctx.ask(&widening.to_string(), args.yes))?;
    // The user's settings may have changed as well, so that it is applied in any case.
    let changed = (&before, accepted.as_ref().unwrap_or(&before));
    let applied = step::make(&engine.api, &ctx.paths, &lock, &loaded.settings, changed).await?;
    add::tell(ctx, "The project's rules are taken as they are now", &applied)?;
    Ok(OK)
}
