//! `clawker build`: makes the agent's image ready, so that the first run does not wait for it.

use bollard::query_parameters::TagImageOptions;

use crate::accepted;
use crate::build::{self, Options, Sources};
use crate::cli::BuildArgs;
use crate::config::{self, Loaded};
use crate::context::Context;
use crate::docker::{DockerError, Engine, image};
use crate::exec;
use crate::exit::{OK, Outcome};
use crate::images;
use crate::lock::StateLock;
use crate::output::{Progress, write_stdout};

/// Makes it ready and prints its reference.
///
/// # Errors
/// When it can't be had, or what the project asks for was not accepted.
pub async fn run(ctx: &Context, args: &BuildArgs) -> Outcome {
    let loaded = config::load(&ctx.cwd, &ctx.paths)?;
    ctx.warn(&loaded);
    if args.print {
        return print(ctx, &loaded).await;
    }
    let values = exec::variables(&args.build_arg)?.into_iter().collect();
    let options = Options { args: values, no_cache: args.no_cache, pull: args.pull };
    let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
    {
        let lock = StateLock::acquire(&ctx.paths)?;
        accepted::take(&engine.api, &ctx.paths, &lock, &loaded, &mut |widening| {
            ctx.ask(&widening.to_string(), args.yes)
        })
        .await?;
    }
    let built = build::make(&engine, &ctx.paths, &loaded, &options, &ctx.output).await?;
    let image = image::find(&engine, &built.reference, &ctx.output).await?;
    if let Some(name) = &args.tag {
        let (repo, tag) = image::split(name);
        let options = TagImageOptions { repo: Some(repo.to_owned()), tag: tag.map(str::to_owned) };
        engine.api.tag_image(&image.id, Some(options)).await.map_err(DockerError::from)?;
    }
    ctx.output.done();
    if built.known && build::is_needed(&loaded.config.build) {
        ctx.output.note("Nothing to build: the same was built before");
    }
    if !args.build_arg.is_empty() {
        ctx.output.note("clawker run builds without --build-arg; use this image with --image");
    }
    if ctx.output.json {
        ctx.output
            .value(&serde_json::json!({ "image": built.reference, "id": image.id, "built": !built.known }))?;
    } else {
        ctx.output.line(&built.reference)?;
    }
    Ok(OK)
}

/// The Dockerfile as it would be built; for an image that is taken as it is, one that says so.
async fn print(ctx: &Context, loaded: &Loaded) -> Outcome {
    let sources = Sources::read(loaded)?;
    let base = if sources.dockerfile.is_some() {
        String::new()
    } else {
        images::agent_reference(&ctx.paths, loaded).await?
    };
    let text = if build::is_needed(&loaded.config.build) {
        sources.recipe(loaded, &base)?.text
    } else {
        format!("FROM {base}\n")
    };
    write_stdout(crate::output::escape_lines(&text).as_bytes())?;
    Ok(OK)
}
