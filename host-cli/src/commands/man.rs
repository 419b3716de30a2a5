//! `clawker man`: the manual pages.

use crate::cli::ManArgs;
use crate::exit::{Failure, OK, Outcome};
use crate::output::Output;
use crate::reference;

/// Writes every page into a folder, which is made where it is missing.
///
/// # Errors
/// When it can't be written.
pub fn run(output: Output, args: &ManArgs) -> Outcome {
    let failed = |error: std::io::Error| Failure::new(format!("Can't write {}: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let pages = reference::manual()?;
    for page in &pages {
        std::fs::write(args.dir.join(&page.name), &page.text).map_err(failed)?;
    }
    output.note(&format!("{} pages; read them with man -l {}/clawker.1", pages.len(), args.dir.display()));
    Ok(OK)
}
