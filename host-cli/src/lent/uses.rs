//! The record of each use: JSON lines beside the agent's events, in the words of `clawker firewall log`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

/// The file's name, in the agent's folder.
pub const FILE: &str = "lent.jsonl";
/// A file past this size begins anew; the one before is kept beside it.
const MAX_LEN: u64 = 1 << 20;

/// A use, or an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Milliseconds since 1970.
    pub time: u64,
    /// Whether it was granted.
    pub granted: bool,
    /// `git-https` or `git-ssh`.
    pub what: String,
    /// The host, where one was named.
    pub host: String,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Why not, or which key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Where uses are written down.
#[derive(Debug, Clone)]
pub struct Uses(PathBuf);

impl Uses {
    /// In an agent's folder.
    pub fn in_folder(folder: &Path) -> Self {
        Self(folder.join(FILE))
    }

    /// Writes one down. A use that can't be written down is not granted: the caller gives up then.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn note(&self, one: &Use) -> std::io::Result<()> {
        if std::fs::metadata(&self.0).is_ok_and(|metadata| metadata.len() > MAX_LEN) {
            std::fs::rename(&self.0, self.0.with_extension("jsonl.old"))?;
        }
        let mut line = serde_json::to_vec(one)?;
        line.push(b'\n');
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        options.open(&self.0)?.write_all(&line)
    }
}

/// Now, for a use's time.
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
