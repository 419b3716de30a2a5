//! What of the user's an agent is lent, on the user's word: the git identity, the credential helper, the ssh-agent,
//! Claude's login. Keys and passwords stay on the host wherever that works: an agent asks for each use, through a
//! socket whose other end answers only for hosts that the policy lists.

mod bound;
mod folder;
mod frame;
mod helper;
mod https;
mod identity;
mod known;
mod listed;
mod spawn;
mod ssh;
mod uses;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use folder::{make, variables};
pub use helper::serve;
pub use spawn::spawn;
pub use uses::{FILE as USES, Use};

use crate::config::{Loaded, Strategy};

/// One thing that can be lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lending {
    /// Passwords and tokens of git's credential helper.
    GitHttps,
    /// Signatures of the ssh-agent.
    GitSsh,
    /// Claude's login.
    ClaudeLogin,
    /// Claude's settings.
    ClaudeSettings,
}

impl Lending {
    /// Those that a configuration asks for.
    pub fn wanted(loaded: &Loaded) -> impl Iterator<Item = Self> + use<> {
        let git = &loaded.config.security.git_credentials;
        let claude = &loaded.config.agent.claude_code;
        [
            (Self::GitHttps, git.forward_https),
            (Self::GitSsh, git.forward_ssh),
            (Self::ClaudeLogin, claude.use_host_auth),
            (Self::ClaudeSettings, claude.config.strategy == Strategy::Copy),
        ]
        .into_iter()
        .filter_map(|(lending, is_wanted)| is_wanted.then_some(lending))
    }

    /// The key that asks for it.
    pub fn key(self) -> &'static str {
        match self {
            Self::GitHttps => "security.git_credentials.forward_https",
            Self::GitSsh => "security.git_credentials.forward_ssh",
            Self::ClaudeLogin => "agent.claude_code.use_host_auth",
            Self::ClaudeSettings => "agent.claude_code.config.strategy",
        }
    }

    /// What is asked about.
    pub fn question(self) -> &'static str {
        match self {
            Self::GitHttps => {
                "let the agent's git have your passwords and tokens for hosts that the policy lists"
            }
            Self::GitSsh => "let the agent sign in with your ssh keys to hosts that the policy lists",
            Self::ClaudeLogin => "give the agent a copy of your login to Claude",
            Self::ClaudeSettings => {
                "give the agent a copy of your settings of Claude Code, with what they hold"
            }
        }
    }

    /// Who it is, in a list of what the agent holds.
    pub fn name(self) -> &'static str {
        match self {
            Self::GitHttps => "your git credentials, for hosts that the policy lists",
            Self::GitSsh => "your ssh-agent, for hosts that the policy lists",
            Self::ClaudeLogin => "a copy of your login to Claude",
            Self::ClaudeSettings => "a copy of your settings of Claude Code",
        }
    }
}

/// What one agent is lent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lent {
    /// Through sockets, or as copies.
    pub things: Vec<Lending>,
    /// The user's name and address in git.
    pub identity: BTreeMap<String, String>,
}

impl Lent {
    /// What a configuration asks for, with the identity where it may go along.
    pub fn wanted(loaded: &Loaded) -> Self {
        let copies = loaded.config.security.git_credentials.copy_git_config;
        Self {
            things: Lending::wanted(loaded).collect(),
            identity: if copies { identity::of_user() } else { BTreeMap::new() },
        }
    }

    /// Whether a process on the host has to answer.
    pub fn needs_helper(&self) -> bool {
        self.things.iter().any(|thing| matches!(thing, Lending::GitHttps | Lending::GitSsh))
    }

    /// Whether it is among them.
    pub fn has(&self, lending: Lending) -> bool {
        self.things.contains(&lending)
    }

    /// A line for the user; `None` where only the identity goes along.
    pub fn note(&self) -> Option<String> {
        let names: Vec<&str> = self.things.iter().map(|thing| thing.name()).collect();
        (!names.is_empty()).then(|| format!("The agent is lent {}", names.join("; ")))
    }
}
