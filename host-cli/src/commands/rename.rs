//! `clawker rename`: refused, in words that help. An agent's name is in its container's labels and mounts, in the name
//! of its state folder and of its policy, and Docker changes neither labels nor mounts of a container that is there.

use crate::cli::RenameArgs;
use crate::context::Context;
use crate::exit::{Failure, Outcome};
use crate::resolve;

/// Says why not, and what does it.
///
/// # Errors
/// Always.
pub fn run(ctx: &Context, args: &RenameArgs) -> Outcome {
    let new = clawker_protocol::names::Name::new(&args.new)?;
    let old = resolve::agent(&ctx.paths, &ctx.cwd, Some(&args.name))?.agent;
    Err(Failure::new(format!(
        "An agent keeps its name: Docker can't change its container's labels and mounts, which name it. Make another \
         from the same project: clawker run --agent {new}, and then: clawker rm -f {old}"
    )))
}
