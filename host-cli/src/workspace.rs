//! Which folders may be handed to an agent, and as whom the agent works in them. Pure but for one `stat`.

pub mod beneath;
pub mod git;
pub mod gitconfig;
pub mod guard;
pub mod look;

use std::path::{Path, PathBuf};

use crate::config::Uid;

/// The agent's uid and gid where the folder does not say otherwise: `claude` in our image.
pub const AGENT_ID: u32 = 1001;

/// Folders of the system that can't be a project: their container namesakes would vanish behind them.
const SYSTEM: [&str; 15] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys",
    "/tmp", "/usr", "/var",
];

/// Why a folder is refused.
#[derive(Debug, thiserror::Error)]
pub enum WorkspaceError {
    /// It holds, or lies in, what agents must never see.
    #[error(
        "{} can't be a project: it {} {}, where clawker keeps {what}; call clawker in a folder of its own",
        .project.display(),
        if *.inside { "lies inside" } else { "contains" },
        .own.display()
    )]
    Own {
        /// The project.
        project: PathBuf,
        /// Our folder.
        own: PathBuf,
        /// What is in it.
        what: &'static str,
        /// Which way round.
        inside: bool,
    },
    /// A system folder.
    #[error("{} can't be a project: it is a system folder; call clawker in a folder of its own", .0.display())]
    System(PathBuf),
    /// It can't be read.
    #[error("Can't read the project folder {path}: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `agent.uid: host`, said by root.
    #[error("agent.uid: host is root here, and no agent is ever root; write the number of an ordinary user")]
    Root,
    /// Docker takes text only.
    #[error("The project folder's name {} is not UTF-8; rename it", .0.display())]
    NotText(PathBuf),
}

/// Refuses a project that would hand over other agents' sockets, the policy or keys. All paths are canonical.
///
/// # Errors
/// [`WorkspaceError`].
pub fn check(project: &Path, own: &[(&Path, &'static str)]) -> Result<(), WorkspaceError> {
    if project.to_str().is_none() {
        return Err(WorkspaceError::NotText(project.to_owned()));
    }
    for (folder, what) in own {
        let inside = project.starts_with(folder);
        if inside || folder.starts_with(project) {
            let (project, own) = (project.to_owned(), (*folder).to_owned());
            return Err(WorkspaceError::Own { project, own, what, inside });
        }
    }
    if SYSTEM.iter().any(|system| project == Path::new(system)) || project.starts_with("/run/clawker") {
        return Err(WorkspaceError::System(project.to_owned()));
    }
    Ok(())
}

/// As whom the agent works: the folder's owner when that is an ordinary user, so that files are writable.
pub fn identity(owner: u32, group: u32) -> (u32, u32) {
    match (owner, group) {
        (0, _) => (AGENT_ID, AGENT_ID),
        (uid, 0) => (uid, uid),
        (uid, gid) => (uid, gid),
    }
}

/// Likewise where the configuration says who: a number has the group of its own.
///
/// # Errors
/// Where it would be root.
pub fn chosen(uid: Uid, owner: u32, group: u32) -> Result<(u32, u32), WorkspaceError> {
    match uid {
        Uid::Auto => Ok(identity(owner, group)),
        Uid::Number(uid) if uid == owner => Ok(identity(owner, group)),
        Uid::Number(uid) => Ok((uid, uid)),
        Uid::Host => {
            let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
            if uid == 0 { Err(WorkspaceError::Root) } else { Ok(identity(uid, gid)) }
        }
    }
}

/// A folder with links resolved, or as far as it exists.
pub fn canonical(path: &Path) -> PathBuf {
    if let Ok(real) = std::fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

/// An empty folder for a test.
#[cfg(test)]
pub(crate) fn test_folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("clawker-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_hand_over_clawker_s_own_folders_is_refused() {
        let state = Path::new("/home/u/.local/state/clawker");
        for (project, fine) in [
            ("/home/u/project", true),
            ("/home/u", false),
            ("/", false),
            ("/home/u/.local/state/clawker/agents", false),
            ("/home/u/.local/state/clawker", false),
            ("/home/u/.local/state/clawker-notes", true),
            ("/etc", false),
            ("/run/clawker/x", false),
            ("/tmp/x", true),
        ] {
            assert_eq!(check(Path::new(project), &[(state, "state")]).is_ok(), fine, "{project}");
        }
    }

    #[test]
    fn the_agent_is_never_root() {
        assert_eq!(identity(0, 0), (1001, 1001));
        assert_eq!(identity(0, 50), (1001, 1001));
        assert_eq!(identity(1000, 0), (1000, 1000));
        assert_eq!(identity(1000, 100), (1000, 100));
    }

    #[test]
    fn a_folder_that_does_not_exist_yet_is_resolved_as_far_as_it_can_be() {
        assert_eq!(canonical(Path::new("/proc/self/../nonexistent/x")).file_name(), Some("x".as_ref()));
    }
}
