//! What is built in: the names that Claude Code itself needs, and nothing else ever; and third parties' telemetry, which
//! a project can ask for.

use super::{Layer, Rule};
pub use crate::config::Telemetry;
use crate::config::{RawPathRule, RawRule};

/// Its API, its login.
const NAMES: [&str; 4] =
    ["api.anthropic.com", "platform.claude.com", "claude.com", "mcp-proxy.anthropic.com"];
/// Where users publish, too: those paths are denied, so that what one agent published no other reads.
const WITH_PUBLISHED: &str = ".claude.ai";
const PUBLISHED: [&str; 2] = ["/public/", "/share/"];
/// Ingest hosts that take anyone's keys.
const THIRD_PARTIES: [&str; 4] = ["statsig.com", "sentry.io", ".datadoghq.com", ".datadoghq.eu"];
const PLACE: &str = "built in";

/// The rules that every policy has.
pub fn rules() -> impl Iterator<Item = Rule> {
    let denied = |path: &&str| RawPathRule {
        path: (**path).to_owned(),
        methods: Vec::new(),
        action: Some("deny".to_owned()),
    };
    let published = RawRule {
        dst: WITH_PUBLISHED.to_owned(),
        path_rules: Some(PUBLISHED.iter().map(denied).collect()),
        path_default: Some("allow".to_owned()),
        ..RawRule::default()
    };
    let plain = NAMES.iter().filter_map(|name| Rule::of_name(name, Layer::Floor, PLACE));
    plain.chain(Rule::parse(&published, Layer::Floor, PLACE).ok())
}

impl Telemetry {
    /// The names that it opens.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::None => &[],
            Self::ThirdParty => &THIRD_PARTIES,
        }
    }
}
