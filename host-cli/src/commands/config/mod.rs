//! `clawker config`: what the configuration files come to, and what can stand in them.

mod schema;
mod show;

use crate::cli::Config;
use crate::context::Context;
use crate::exit::Outcome;

/// Does what the command line says.
///
/// # Errors
/// When a file is wrong, or standard output can't be written.
pub fn dispatch(ctx: &Context, command: &Config) -> Outcome {
    match command {
        Config::Show => show::run(ctx),
        Config::Schema(args) => schema::run(ctx, args),
    }
}
