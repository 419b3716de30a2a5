//! `clawker build`: makes the agent image ready, so that the first run does not wait for it.

use crate::cli::BuildArgs;
use crate::config;
use crate::context::Context;
use crate::docker::{Engine, image};
use crate::exit::{OK, Outcome};
use crate::images;
use crate::output::Progress;

/// Makes it ready and prints its reference.
///
/// # Errors
/// When it can't be had.
pub async fn run(ctx: &Context, _args: &BuildArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    ctx.warn(&loaded);
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    let reference = images::agent_image(&engine.api, &ctx.paths, None, &loaded, &ctx.output).await?;
    let image = image::find(&engine, &reference, &ctx.output).await?;
    ctx.output.done();
    if ctx.output.json {
        ctx.output.value(&serde_json::json!({ "image": reference, "id": image.id }))?;
    } else {
        ctx.output.line(&reference)?;
    }
    Ok(OK)
}
