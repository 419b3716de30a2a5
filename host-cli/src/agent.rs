//! An agent's boot config, made of its record and of what the policy prepared for it, and put where init reads
//! it at the next start.

use std::io::Read;

use clawker_protocol::boot::{BootConfig, BootState, Limits, VERSION};
use clawker_protocol::secret;

use crate::config::Settings;
use crate::enforcement::Prepared;
use crate::paths::Paths;
use crate::store::{self, AgentRecord};
use crate::worktree::share;

/// Why an agent's boot config was not written.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It would not be read again.
    #[error("Can't make a boot config for agent {agent}: {reason}")]
    Boot {
        /// Which.
        agent: String,
        /// Why.
        reason: String,
    },
    /// State can't be written.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// No randomness.
    #[error("Can't read random bytes for the control secret: {0}")]
    Random(std::io::Error),
}

/// A new control secret: 256 random bits in hex.
///
/// # Errors
/// [`AgentError::Random`].
pub fn new_secret() -> Result<String, AgentError> {
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(AgentError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What init reads at the agent's next start.
pub fn boot_config(record: &AgentRecord, settings: &Settings, prepared: &Prepared) -> BootConfig {
    BootConfig {
        v: VERSION,
        project: record.project.clone(),
        agent: record.agent.clone(),
        state: if settings.firewall.enable { BootState::Enforcing } else { BootState::Disabled },
        enforcement: prepared.enforcement.clone(),
        secret_sha256: secret::hash(&record.secret),
        run: record.run.clone(),
        extra_ca_pem: prepared.extra_ca_pem.clone(),
        limits: Limits { bypass_max_seconds: settings.firewall.bypass_max.as_secs(), ..Limits::default() },
        summary: prepared.summary.clone(),
        mounted: share::mounted(record),
    }
}

/// Writes it beside and by rename, after reading it as init will.
///
/// # Errors
/// [`AgentError`].
pub fn write_boot(paths: &Paths, record: &AgentRecord, config: &BootConfig) -> Result<(), AgentError> {
    let boot = |reason: String| AgentError::Boot { agent: record.agent.to_string(), reason };
    let bytes = serde_json::to_vec(config).map_err(|error| boot(error.to_string()))?;
    BootConfig::parse(&bytes).map_err(|error| boot(error.to_string()))?;
    store::write_atomically(&paths.agent_dir(&record.id).join("boot.json"), &bytes, 0o600)?;
    Ok(())
}
