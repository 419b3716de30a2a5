//! Where things lie on the host, and what they are called in Docker. Everything hangs on the user's folders and on
//! `CLAWKER_INSTANCE`, so that two instances never meet.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clawker_protocol::names::{InvalidName, Name};

use crate::store::{StoreError, write_atomically};

/// The variable that keeps instances apart.
pub const INSTANCE_VARIABLE: &str = "CLAWKER_INSTANCE";

/// The static init for this machine's architecture; empty in a build that was made without it.
const INIT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/clawker-init"));

/// Why the user's folders can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// No home.
    #[error("Neither {0} nor HOME is set; set one of them to an absolute path")]
    NoHome(&'static str),
    /// The instance's name is none.
    #[error("{INSTANCE_VARIABLE}: {0}")]
    Instance(InvalidName),
    /// A folder can't be made or read.
    #[error("Can't use the folder {0}")]
    Folder(PathBuf, #[source] io::Error),
    /// It is somebody else's.
    #[error("{0} belongs to uid {1}, not to you; run clawker as that user or set XDG_STATE_HOME")]
    Owner(PathBuf, u32),
    /// A build without init.
    #[error("This clawker carries no clawker-init; build it with make build")]
    NoInit,
    /// It can't be put into place.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The user's folders for one instance.
#[derive(Debug, Clone)]
pub struct Paths {
    /// State: policy, records, generated configuration. 0700.
    pub state: PathBuf,
    /// Settings.
    pub config: PathBuf,
    /// What can be made again.
    pub cache: PathBuf,
    /// The instance, where there is one.
    pub instance: Option<Name>,
}

impl Paths {
    /// From the environment; makes the state folder where it is missing.
    ///
    /// # Errors
    /// [`PathsError`].
    pub fn from_env() -> Result<Self, PathsError> {
        let instance = match std::env::var(INSTANCE_VARIABLE) {
            Ok(text) if !text.is_empty() => Some(Name::new(&text).map_err(PathsError::Instance)?),
            _ => None,
        };
        let state_name = match &instance {
            Some(instance) => format!("clawker-{instance}"),
            None => "clawker".to_owned(),
        };
        let paths = Self {
            state: base("XDG_STATE_HOME", ".local/state")?.join(state_name),
            config: base("XDG_CONFIG_HOME", ".config")?.join("clawker"),
            cache: base("XDG_CACHE_HOME", ".cache")?.join("clawker"),
            instance,
        };
        paths.make_state()?;
        Ok(paths)
    }

    fn make_state(&self) -> Result<(), PathsError> {
        let failed = |error| PathsError::Folder(self.state.clone(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.state).map_err(failed)?;
        let metadata = std::fs::metadata(&self.state).map_err(failed)?;
        let me = nix::unistd::geteuid().as_raw();
        if metadata.uid() != me {
            return Err(PathsError::Owner(self.state.clone(), metadata.uid()));
        }
        if metadata.mode() & 0o077 != 0 {
            std::fs::set_permissions(&self.state, Permissions::from_mode(0o700)).map_err(failed)?;
        }
        Ok(())
    }

    fn suffixed(&self, name: &str, separator: char) -> String {
        match &self.instance {
            Some(instance) => format!("{name}{separator}{instance}"),
            None => name.to_owned(),
        }
    }

    /// The bridge.
    pub fn network(&self) -> String {
        self.suffixed("clawker-net", '-')
    }

    /// Envoy's container.
    pub fn envoy_container(&self) -> String {
        self.suffixed("clawker-envoy", '-')
    }

    /// CoreDNS's container.
    pub fn coredns_container(&self) -> String {
        self.suffixed("clawker-coredns", '-')
    }

    /// An agent's container. Names hold no dots, so that it splits one way only.
    pub fn agent_container(&self, project: &Name, agent: &Name) -> String {
        self.suffixed(&format!("clawker.{project}.{agent}"), '.')
    }

    /// The instance's label in Docker: empty where there is none.
    pub fn instance_label(&self) -> String {
        self.instance.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    /// The lock around every change.
    pub fn lock(&self) -> PathBuf {
        self.state.join("lock")
    }

    /// The mark of a change that is under way.
    pub fn pending(&self) -> PathBuf {
        self.state.join("pending.json")
    }

    /// The mark of a Corefile that CoreDNS was not told to read yet.
    pub fn reload_due(&self) -> PathBuf {
        self.state.join("reload-due")
    }

    /// Virtual addresses and ports that were ever handed out.
    pub fn allocations(&self) -> PathBuf {
        self.state.join("alloc.json")
    }

    /// Agents' records and folders.
    pub fn agents(&self) -> PathBuf {
        self.state.join("agents")
    }

    /// What is mounted into an agent's container.
    pub fn agent_dir(&self, id: &str) -> PathBuf {
        self.agents().join(id)
    }

    /// Where idmapped workspaces are mounted while Docker starts their agents; never mounted itself, and never a part of
    /// what is removed with all that is in it.
    pub fn mounts(&self) -> PathBuf {
        self.state.join("mounts")
    }

    /// An agent's record, which never is.
    pub fn agent_record(&self, id: &str) -> PathBuf {
        self.agents().join(format!("{id}.json"))
    }

    /// Projects' rules and accepted configuration.
    pub fn projects(&self) -> PathBuf {
        self.state.join("projects")
    }

    /// Policies worked out.
    pub fn plans(&self) -> PathBuf {
        self.state.join("plans")
    }

    /// One of them.
    pub fn plan(&self, id: &str) -> PathBuf {
        self.plans().join(format!("{id}.json"))
    }

    /// Envoy's generated configuration, mounted read-only.
    pub fn envoy_dir(&self) -> PathBuf {
        self.state.join("envoy")
    }

    /// CoreDNS's, likewise.
    pub fn coredns_dir(&self) -> PathBuf {
        self.state.join("coredns")
    }

    /// The certificate authority for TLS inspection and its leaves. Never mounted.
    pub fn certs_dir(&self) -> PathBuf {
        self.state.join("certs")
    }

    /// What is mounted into Envoy's container for the init that it runs under.
    pub fn gateway_dir(&self) -> PathBuf {
        self.state.join("gateway")
    }

    /// What that init reads at its start.
    pub fn gateway_config(&self) -> PathBuf {
        self.gateway_dir().join("gateway.json")
    }

    /// Its control secret, which is mounted nowhere.
    pub fn gateway_record(&self) -> PathBuf {
        self.state.join("gateway.json")
    }

    /// Worktrees, in the user's data folder: they are work, and stay when state is thrown away.
    ///
    /// # Errors
    /// [`PathsError::NoHome`].
    pub fn worktrees(&self) -> Result<PathBuf, PathsError> {
        let name = self.suffixed("clawker", '-');
        Ok(base("XDG_DATA_HOME", ".local/share")?.join(name).join("worktrees"))
    }

    /// Sockets of the stack.
    pub fn run_dir(&self) -> PathBuf {
        self.state.join("run")
    }

    /// The static init, under its content's hash: written once, never over one that agents run from.
    ///
    /// # Errors
    /// [`PathsError::NoInit`], or when it can't be written.
    pub fn init_binary(&self) -> Result<PathBuf, PathsError> {
        use sha2::{Digest, Sha256};
        if INIT.is_empty() {
            return Err(PathsError::NoInit);
        }
        let hash: String = Sha256::digest(INIT).iter().map(|byte| format!("{byte:02x}")).collect();
        let path = self.state.join("init").join(hash).join("clawker-init");
        let whole = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.len() == INIT.len() as u64);
        if !whole(&path) {
            write_atomically(&path, INIT, 0o755)?;
        }
        Ok(path)
    }
}

/// Whether this build carries its init.
pub fn carries_init() -> bool {
    !INIT.is_empty()
}

fn base(variable: &'static str, below_home: &str) -> Result<PathBuf, PathsError> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable)
        .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
        .ok_or(PathsError::NoHome(variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(instance: Option<&str>) -> Paths {
        Paths {
            state: "/s".into(),
            config: "/c".into(),
            cache: "/k".into(),
            instance: instance.map(|name| Name::new(name).unwrap()),
        }
    }

    #[test]
    fn instances_never_share_a_name() {
        let (project, agent) = (Name::new("p").unwrap(), Name::new("dev").unwrap());
        let (plain, other) = (paths(None), paths(Some("t1")));
        assert_eq!(plain.agent_container(&project, &agent), "clawker.p.dev");
        assert_eq!(other.agent_container(&project, &agent), "clawker.p.dev.t1");
        assert_eq!((plain.network(), other.network()), ("clawker-net".into(), "clawker-net-t1".into()));
    }
}
