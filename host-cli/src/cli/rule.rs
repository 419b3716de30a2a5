//! The options that name a rule, the same for adding it and for taking it back.

use clap::{Args, ValueEnum};

use crate::config::{RawPathRule, RawRule};
use crate::exit::Failure;
use crate::policy::{Layer, Rule};

/// A rule on the command line.
#[derive(Debug, Args)]
pub struct RuleArgs {
    /// Name, .name (it and all below), address or range
    #[arg(value_name = "DESTINATION")]
    pub destination: String,
    /// tls, http, ssh or tcp
    #[arg(long, value_name = "PROTO", default_value = "tls")]
    pub proto: String,
    /// Port, or a range like 9000-9100 [default: by protocol]
    #[arg(long, value_name = "PORT")]
    pub port: Option<String>,
    /// Only paths at or below this one, or ~ and a pattern; may be given again
    #[arg(long, value_name = "PATH")]
    pub path: Vec<String>,
    /// Only these methods of the paths
    #[arg(long, value_name = "METHOD", requires = "path", value_delimiter = ',')]
    pub method: Vec<String>,
    /// Only for this agent
    #[arg(long, value_name = "NAME")]
    pub agent: Option<String>,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ActionArg {
    /// Let it through
    Allow,
    /// Refuse it; with --path only that, and the rest is let through
    Deny,
}

impl RuleArgs {
    /// The rule, as a file would have it.
    ///
    /// # Errors
    /// A usage failure where it is none.
    pub fn raw(&self, action: ActionArg) -> Result<RawRule, Failure> {
        let port = self.port.as_deref().map(str::parse).transpose().map_err(Failure::usage)?;
        let word = match action {
            ActionArg::Allow => None,
            ActionArg::Deny => Some("deny".to_owned()),
        };
        let path_rules: Vec<RawPathRule> = self
            .path
            .iter()
            .map(|path| RawPathRule {
                path: path.clone(),
                methods: self.method.iter().map(|method| method.to_ascii_uppercase()).collect(),
                action: word.clone(),
            })
            .collect();
        let of_paths = !path_rules.is_empty();
        let rule = RawRule {
            dst: self.destination.clone(),
            proto: Some(self.proto.clone()),
            port,
            action: word.clone().filter(|_| !of_paths),
            path_default: word.filter(|_| of_paths).map(|_| "allow".to_owned()),
            path_rules: of_paths.then_some(path_rules),
            ..RawRule::default()
        };
        Rule::parse(&rule, Layer::Cli, "").map_err(|error| Failure::usage(error.to_string()))?;
        Ok(rule)
    }
}
