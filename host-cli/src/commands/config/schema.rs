//! `clawker config schema`: the JSON Schema of the configuration files, generated from the types that read them.

use crate::cli::SchemaArgs;
use crate::config;
use crate::context::Context;
use crate::exit::{OK, Outcome};

/// Prints it, always as JSON.
///
/// # Errors
/// When standard output can't be written.
pub fn run(ctx: &Context, args: &SchemaArgs) -> Outcome {
    let schema = if args.settings { config::settings_schema() } else { config::project_schema() };
    ctx.output.line(&serde_json::to_string_pretty(&schema)?)?;
    Ok(OK)
}
