//! What an agent changed in its copy of the project, and how it comes back: the copy is read as an archive that nothing in
//! is trusted, compared with what was copied and with the host's project, and written without following any link.

pub mod archive;
pub mod base;
pub mod commits;
pub mod fetch;
pub mod hold;
pub mod host;
pub mod node;
pub mod plan;
pub mod sides;
pub mod spool;
pub mod text;
pub mod whose;
pub mod write;

use std::path::Path;

use crate::context::Context;
use crate::exit::Failure;
use crate::snapshot;
use base::Base;
use whose::Whose;

/// What an agent's copy began with.
///
/// # Errors
/// When it isn't known.
pub fn base(ctx: &Context, whose: &Whose) -> Result<Base, Failure> {
    let file = snapshot::base_file(&ctx.paths, &whose.id);
    let failed = |error| Failure::new(format!("Can't read {}: {error}", Path::display(&file)));
    let base = Base::load(&file).map_err(failed)?.filter(|base| base.number == whose.number);
    base.ok_or_else(|| {
        let agent = &whose.agent;
        Failure::new(format!(
            "What the copy of agent {agent} began with is not known; copy the project anew: clawker run --mode snapshot \
             --agent {agent} --fresh"
        ))
    })
}
