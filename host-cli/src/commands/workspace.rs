//! `clawker workspace`: what is new in the workspace that the host's git or clawker would run or trust.

use serde::Serialize;

use crate::cli::WorkspaceArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{FAILED, OK, Outcome};
use crate::lock::StateLock;
use crate::output::escape;
use crate::workspace::guard;
use crate::workspace::look::Finding;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct News<'a> {
    new: Vec<&'a Finding>,
}

/// Shows, accepts or undoes it.
///
/// # Errors
/// When the workspace can't be read or something can't be set aside.
pub fn run(ctx: &Context, args: &WorkspaceArgs) -> Outcome {
    let dir = config::load(&ctx.cwd, &ctx.paths)?.dir;
    let new = guard::news(&ctx.paths, &dir)?.unwrap_or_default();
    if ctx.output.json {
        ctx.output.value(&News { new: new.keys().collect() })?;
    } else if !new.is_empty() {
        ctx.output.line(&crate::output::escape_lines(guard::describe(&dir, &new).trim_end()))?;
    }
    if new.is_empty() {
        ctx.output.note(&format!("Nothing is new in {}", escape(&dir.to_string_lossy())));
        return Ok(OK);
    }
    let _lock = StateLock::acquire(&ctx.paths)?;
    if args.accept {
        guard::accept(&ctx.paths, &dir, new)?;
    } else if args.undo {
        guard::set_aside(&ctx.paths, &dir)?;
    } else {
        return Ok(FAILED);
    }
    Ok(OK)
}
