//! The steps of a start that are not rules, control or the drop. `main.rs` says in which order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clawker_protocol::boot::{BootConfig, InvalidBoot, Mounted, Run};
use clawker_protocol::gateway::GatewayConfig;
use clawker_protocol::places;

use crate::identity::Account;

/// A boot config of 10,000 services has about 1 MB.
const MAX_CONFIG: u64 = 16 << 20;

/// Why the agent was not started. Each is one line with what to do.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No boot config.
    #[error("Can't read the boot config {path}: {source} (start this container with clawker run)")]
    NoConfig {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A boot config that can't be used.
    #[error("{path}: {source}{}", cause(.source))]
    Config {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: InvalidBoot,
    },
    /// A folder or file of ours is not as it must be.
    #[error("Can't prepare {path}: {source}")]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `/run/clawker` is open to others after all.
    #[error("{} has mode {mode:o} and owner {uid} after being made root-only", places::RUN_DIR)]
    NotSealed {
        /// Its mode.
        mode: u32,
        /// Its owner.
        uid: u32,
    },
    /// Something else is mounted.
    #[error("{0} is not the folder that was to be mounted: something took its place")]
    Replaced(String),
    /// The project is not the agent's: its idmapped mount is not there, after a restart of the machine, say.
    #[error(
        "{path} belongs to uid {owner} here, not to the agent: its idmapped mount is not there; start it with clawker start, where \
             Docker sees the same mounts"
    )]
    NotIdmapped {
        /// The project.
        path: String,
        /// Whose it is.
        owner: u32,
    },
}

fn cause(error: &InvalidBoot) -> String {
    std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default()
}

/// Reads an agent's boot config.
///
/// # Errors
/// [`BootError::NoConfig`], [`BootError::Config`].
pub fn read_config(path: &Path) -> Result<BootConfig, BootError> {
    BootConfig::parse(&read(path)?).map_err(|source| BootError::Config { path: path.to_owned(), source })
}

/// Reads the gateway's boot config.
///
/// # Errors
/// [`BootError::NoConfig`], [`BootError::Config`].
pub fn read_gateway_config(path: &Path) -> Result<GatewayConfig, BootError> {
    GatewayConfig::parse(&read(path)?).map_err(|source| BootError::Config { path: path.to_owned(), source })
}

/// Whether a folder that is to be idmapped is: what root owns on the host is the agent's here.
///
/// # Errors
/// [`BootError::NotIdmapped`], or when it can't be looked at.
pub fn check_idmapped(run: &Run) -> Result<(), BootError> {
    let Some(path) = &run.idmapped else { return Ok(()) };
    let prepare = |source| BootError::Prepare { path: path.into(), source };
    match std::fs::metadata(path).map_err(prepare)?.uid() {
        owner if owner == run.uid => Ok(()),
        owner => Err(BootError::NotIdmapped { path: path.clone(), owner }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BootError> {
    // A pipe nobody writes to would hold the start for ever.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let bytes = opened.and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(std::io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(MAX_CONFIG).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    bytes.map_err(|source| BootError::NoConfig { path: path.to_owned(), source })
}

/// Makes `/run/clawker` root-only and reads that back. Needed at every start: a tmpfs that Docker mounted with
/// mode 0700 comes back as 0755 after `docker restart`.
///
/// # Errors
/// [`BootError::Prepare`], [`BootError::NotSealed`].
pub fn seal_run_dir() -> Result<(), BootError> {
    let path = Path::new(places::RUN_DIR);
    let prepare = |source| BootError::Prepare { path: path.to_owned(), source };
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(prepare)?;
    let metadata = std::fs::symlink_metadata(path).map_err(prepare)?;
    let (mode, uid) = (metadata.mode() & 0o7777, metadata.uid());
    if mode == 0o700 && uid == 0 && metadata.is_dir() {
        Ok(())
    } else {
        Err(BootError::NotSealed { mode, uid })
    }
}

/// Makes sure that folders are those that the host saw.
///
/// # Errors
/// [`BootError::Replaced`].
pub fn check_mounted(mounted: &[Mounted]) -> Result<(), BootError> {
    let is_it = |one: &Mounted| {
        std::fs::symlink_metadata(&one.path)
            .is_ok_and(|found| found.is_dir() && (found.dev(), found.ino()) == (one.dev, one.ino))
    };
    match mounted.iter().find(|one| !is_it(one)) {
        Some(other) => Err(BootError::Replaced(other.path.clone())),
        None => Ok(()),
    }
}

/// Makes the public folder readable for all and writable for root only.
///
/// # Errors
/// [`BootError::Prepare`].
pub fn open_public_dir() -> Result<(), BootError> {
    let path = Path::new(places::PUBLIC_DIR);
    std::fs::set_permissions(path, Permissions::from_mode(0o755))
        .map_err(|source| BootError::Prepare { path: path.to_owned(), source })
}

/// Writes a file that everybody may read, beside and by rename, so that nobody reads half of it.
///
/// # Errors
/// When it can't be written.
pub fn write_public(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    std::fs::rename(&beside, path)
}

/// Publishes what the agent may know of its policy.
///
/// # Errors
/// When it can't be written.
pub fn publish_summary(summary: &str) -> std::io::Result<()> {
    write_public(Path::new(places::POLICY_SUMMARY), summary.as_bytes())
}

/// Says that the rules stand, so that `enter` may run from now on.
///
/// # Errors
/// [`BootError::Prepare`].
pub fn mark_ready() -> Result<(), BootError> {
    File::create(places::READY)
        .map(drop)
        .map_err(|source| BootError::Prepare { path: places::READY.into(), source })
}

/// The agent's environment: the container's own, who it is, the trust variables, then what the host set.
pub fn environment(
    inherited: impl Iterator<Item = (OsString, OsString)>,
    account: &Account,
    trust: &[(&str, &str)],
    set: &BTreeMap<String, String>,
) -> Vec<(OsString, OsString)> {
    let mut variables = BTreeMap::new();
    variables.extend(inherited);
    variables.remove(&OsString::from(crate::ctl::SECRET_VARIABLE));
    let mut put = |name: &str, value: &str| variables.insert(name.into(), value.into());
    put("HOME", &account.home);
    put("USER", &account.name);
    put("LOGNAME", &account.name);
    for (name, value) in trust {
        put(name, value);
    }
    for (name, value) in set {
        put(name, value);
    }
    variables.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_set_wins_and_the_secret_never_reaches_the_agent() {
        let account = Account {
            name: "claude".into(),
            home: "/home/claude".into(),
            shell: String::new(),
            groups: vec![],
        };
        let inherited = [("HOME", "/root"), ("CLAWKER_CONTROL_SECRET", "x"), ("PATH", "/bin")];
        let set = BTreeMap::from([("CURL_CA_BUNDLE".to_owned(), "/mine".to_owned())]);
        let environment = environment(
            inherited.iter().map(|(name, value)| ((*name).into(), (*value).into())),
            &account,
            &[("CURL_CA_BUNDLE", "/ours")],
            &set,
        );
        let text: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            text,
            ["CURL_CA_BUNDLE=/mine", "HOME=/home/claude", "LOGNAME=claude", "PATH=/bin", "USER=claude"]
        );
    }

    #[test]
    fn a_folder_that_took_another_s_place_is_told() {
        let folder = std::env::temp_dir().join(format!("clawker-mounted-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a")).unwrap();
        std::fs::create_dir_all(folder.join("b")).unwrap();
        let path = folder.join("a");
        let found = std::fs::metadata(&path).unwrap();
        let mounted = [Mounted { path: path.display().to_string(), dev: found.dev(), ino: found.ino() }];
        assert!(check_mounted(&mounted).is_ok());
        assert!(check_mounted(&[Mounted { dev: found.dev() + 1, ..mounted[0].clone() }]).is_err());
        std::fs::rename(&path, folder.join("c")).unwrap();
        assert!(check_mounted(&mounted).is_err(), "it is gone");
        std::fs::rename(folder.join("b"), &path).unwrap();
        assert!(check_mounted(&mounted).is_err(), "it is another");
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("c", &path).unwrap();
        assert!(check_mounted(&mounted).is_err(), "a link leads to it");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_missing_or_broken_config_says_which_file() {
        let missing = read_config(Path::new("/nonexistent/boot.json")).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/boot.json") && missing.contains("clawker run"), "{missing}");
        let path = std::env::temp_dir().join(format!("clawker-boot-{}", std::process::id()));
        std::fs::write(&path, "{\"v\":1,").unwrap();
        let broken = read_config(&path).unwrap_err().to_string();
        assert!(broken.contains("not valid") && broken.contains("EOF"), "{broken}");
        assert_eq!(broken.lines().count(), 1);
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let pipe = read_config(&path).unwrap_err().to_string();
        assert!(pipe.contains("not a regular file"), "{pipe}");
        std::fs::remove_file(&path).unwrap();
    }
}
