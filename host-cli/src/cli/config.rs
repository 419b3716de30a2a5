//! The verbs about the configuration itself.

use clap::{Args, Subcommand};

const EXAMPLES: &str = "\
Examples:
  clawker config show                          what holds here, and which file says so
  clawker config schema > .clawker.schema.json for an editor that completes and checks keys";

/// `clawker config`
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub enum Config {
    /// Print what the files come to here, and which file each value comes from
    #[command(after_help = "Examples:\n  clawker config show\n  clawker config show --json | jq .pending")]
    Show,
    /// Print the JSON Schema of .clawker.yaml
    Schema(SchemaArgs),
}

const SCHEMA_EXAMPLES: &str = "\
Examples:
  clawker config schema > .clawker.schema.json
  clawker config schema --settings";

/// `clawker config schema`
#[derive(Debug, Args)]
#[command(after_help = SCHEMA_EXAMPLES)]
pub struct SchemaArgs {
    /// Of settings.yaml instead
    #[arg(long)]
    pub settings: bool,
}
