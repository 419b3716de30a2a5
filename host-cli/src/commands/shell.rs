//! `clawker shell`: a shell beside the agent; with `--root` the debugging shell, which can speak to init but not
//! change the network's rules.

use crate::cli::{DETACH_KEYS, ShellArgs};
use crate::commands::exec::{entering, shape};
use crate::config;
use crate::context::Context;
use crate::docker::Engine;
use crate::exec::{self, Interactive};
use crate::exit::Outcome;
use crate::{ours, resolve};

/// bash where the image has one.
const SHELL: [&str; 3] = ["sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi"];

/// Opens it.
///
/// # Errors
/// When the agent isn't there or doesn't run.
pub async fn run(ctx: &Context, args: &ShellArgs) -> Outcome {
    let record = resolve::agent(&ctx.paths, &ctx.cwd, args.agent.given())?;
    let engine = Engine::connect(config::docker_host(&ctx.paths)?.as_deref()).await?;
    let container = ours::running(&engine, &record).await?;
    let mut shape = shape(false, false)?;
    // Commands may also come through a pipe.
    shape.stdin = true;
    let (options, env) = if args.root {
        (&["--root"][..], vec![format!("CLAWKER_CONTROL_SECRET={}", record.secret)])
    } else {
        (&[][..], Vec::new())
    };
    let run = Interactive {
        container: &container.id,
        command: entering(options, &SHELL.map(str::to_owned)),
        env,
        workdir: None,
        shape,
        detach_keys: DETACH_KEYS.to_owned(),
    };
    exec::interactive(&engine, run).await
}
