//! Whether a workspace of root's reaches its agent by an idmapped mount, and what else can be done where it can't.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;

use crate::config::{Loaded, Uid};
use crate::context::Context;
use crate::docker::Engine;
use crate::docker::address::Address;
use crate::exit::Failure;
use crate::output::escape;

/// Folders of root's that hold what runs as root or configures it: no agent is to write there.
const SYSTEM: [&str; 12] = [
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/spool",
];
/// Those in them that are there for sources.
const SOURCES: [&str; 2] = ["/usr/src", "/usr/local/src"];

/// For an agent of this uid in a bound project, or in a worktree of it: the folder that it works in, where that is to be
/// idmapped.
///
/// # Errors
/// Where it would have to be and can't.
pub fn choose(
    ctx: &Context,
    engine: &Engine,
    loaded: &Loaded,
    worktree: Option<&Path>,
    uid: u32,
) -> Result<Option<String>, Failure> {
    let dir = &loaded.dir;
    if std::fs::metadata(dir)?.uid() != 0 {
        return Ok(None);
    }
    let shown = dir.to_string_lossy();
    if loaded.config.agent.uid != Uid::Auto {
        ctx.output.note(&format!(
            "{} is root's: the agent is uid {uid}, as agent.uid says, and can't change root's files in it",
            escape(&shown)
        ));
        return Ok(None);
    }
    let local = matches!(engine.address, Address::Unix(_));
    match obstacle(dir, nix::unistd::geteuid().as_raw(), local, loaded.config.security.userns) {
        Some(why) => Err(refusal(dir, &why)),
        None => Ok(Some(worktree.unwrap_or(dir).to_string_lossy().into_owned())),
    }
}

/// What is in the way, apart from the kernel.
fn obstacle(dir: &Path, user: u32, local: bool, userns: bool) -> Option<String> {
    let lies_in = |folders: &[&str]| folders.iter().any(|folder| dir.starts_with(folder));
    if lies_in(&SYSTEM) && !lies_in(&SOURCES) {
        Some("it is a part of the system, which would run as root what an agent writes there".to_owned())
    } else if user != 0 {
        Some(format!("clawker runs as uid {user}, and only root can mount"))
    } else if !local {
        Some("Docker is not asked over a socket of this machine".to_owned())
    } else if userns {
        Some(
            "security.userns is on, and in a user namespace an agent could make its files root's programs"
                .to_owned(),
        )
    } else {
        None
    }
}

/// Why the kernel did not.
pub fn why(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSYS) => "the kernel is older than Linux 5.12".to_owned(),
        Some(Errno::EINVAL) => {
            "the file system that it lies on, or one that is mounted in it, can't (Linux 5.12 and later: ext4, xfs, btrfs \
             and others by and by; never NFS)"
                .to_owned()
        }
        Some(Errno::ENOSPC) => "the host allows no user namespaces (user.max_user_namespaces)".to_owned(),
        _ => error.to_string(),
    }
}

/// The refusal, with all that can be done.
pub fn refusal(dir: &Path, why: &str) -> Failure {
    Failure::new(format!(
        "{} is root's, no agent is ever root, and it can't be lent by an idmapped mount: {why}. Give it to an ordinary \
         user (chown -R), work on a copy (--mode snapshot), or name the user that the agent is to be (agent.uid: 1001), \
         who can't change root's files",
        escape(&dir.to_string_lossy())
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_on_the_engine_s_machine_lends_root_s_files_and_never_with_user_namespaces() {
        let dir = Path::new("/srv/a");
        assert_eq!(obstacle(dir, 0, true, false), None);
        for (user, local, userns, word) in
            [(1000, true, false, "uid 1000"), (0, false, false, "socket"), (0, true, true, "security.userns")]
        {
            assert!(obstacle(dir, user, local, userns).unwrap().contains(word));
        }
    }

    #[test]
    fn what_runs_as_root_is_no_agent_s_to_write() {
        for (dir, is_lent) in [
            ("/etc/cron.d", false),
            ("/usr/local/bin", false),
            ("/var/spool/cron", false),
            ("/usr/src/app", true),
            ("/usr/local/src/app", true),
            ("/var/www/site", true),
            ("/etcetera", true),
            ("/root/app", true),
        ] {
            assert_eq!(obstacle(Path::new(dir), 0, true, false).is_none(), is_lent, "{dir}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_every_way_on() {
        let message = refusal(Path::new("/srv/a\u{1b}"), &why(&Errno::ENOSYS.into())).message;
        for part in ["/srv/a\\u{1b}", "5.12", "chown", "--mode snapshot", "agent.uid"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
