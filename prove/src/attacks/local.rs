//! What would make the agent more than it is, or show what is init's. All of it is tried for real; what succeeds is
//! only done in a container that is thrown away.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{Gid, Pid, Uid, chown, chroot, sethostname, setuid};

use super::{Failed, Run, calls, own};

pub(super) const CODE: &[(&str, Run)] = &[
    ("local-setuid", |_| {
        setuid(Uid::from_raw(0))?;
        done()
    }),
    ("local-capabilities", |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        let sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        let held = status.lines().filter(|line| sets.iter().any(|set| line.starts_with(set)));
        let held: Vec<&str> = held.filter(|line| !line.ends_with("0000000000000000")).collect();
        if held.is_empty() {
            Err(Failed::Refused("all sets are empty".to_owned()))
        } else {
            Ok(held.join(" "))
        }
    }),
    ("local-gain", |_| {
        let status = fs::read_to_string("/proc/self/status")?;
        match status.contains("NoNewPrivs:\t1") {
            true => Err(Failed::Refused("no_new_privs is set, so that exec gives nothing".to_owned())),
            false => Ok("no_new_privs is not set".to_owned()),
        }
    }),
    ("local-chown", |c| {
        let path = std::env::temp_dir().join(&c.canary);
        File::create(&path)?;
        let ended = chown(&path, Some(Uid::from_raw(54_321)), Some(Gid::from_raw(0)));
        let _ = fs::remove_file(&path);
        ended?;
        done()
    }),
    ("local-mount", |_| apart("mount")),
    ("local-hostname", |_| {
        sethostname("clawker-prove")?;
        done()
    }),
    ("local-chroot", |_| apart("chroot")),
    ("local-mknod", |c| {
        let path = std::env::temp_dir().join(&c.canary);
        mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR, makedev(1, 3))?;
        let _ = fs::remove_file(&path);
        done()
    }),
    ("local-userns", |_| apart("userns")),
    ("local-netns", |_| apart("netns")),
    ("local-setns", |_| apart("setns")),
    ("local-kill", |_| {
        // CONT does nothing to who is not stopped.
        kill(Pid::from_raw(1), Signal::SIGCONT)?;
        done()
    }),
    ("local-ptrace", |_| apart("ptrace")),
    ("local-pid1-memory", |_| {
        File::open("/proc/1/mem")?;
        done()
    }),
    ("local-pid1-environ", |_| read("/proc/1/environ")),
    ("local-pid1-root", |_| {
        fs::read_dir("/proc/1/root/")?;
        done()
    }),
    ("local-pid1-fds", |_| {
        let count = fs::read_dir("/proc/1/fd")?.count();
        Ok(format!("{count} descriptors"))
    }),
    ("local-pidfd", |_| {
        let one =
            rustix::process::Pid::from_raw(1).ok_or_else(|| Failed::Impossible("no PID 1".to_owned()))?;
        let fd = rustix::process::pidfd_open(one, rustix::process::PidfdFlags::empty())?;
        rustix::process::pidfd_getfd(fd, 0, rustix::process::PidfdGetfdFlags::empty())?;
        done()
    }),
    ("local-resolv-conf", |_| append("/etc/resolv.conf")),
    ("local-hosts", |_| append("/etc/hosts")),
    ("local-sysctl", |_| {
        let path = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
        write_back(path)
    }),
    ("local-etc", |c| {
        let path = Path::new("/etc").join(&c.canary);
        File::create(&path)?;
        let _ = fs::remove_file(&path);
        done()
    }),
    ("local-ca-key", |_| key_below(Path::new("/run/clawker")).or_else(|_| key_below(Path::new("/etc/ssl")))),
    ("local-low-port", |_| write_back("/proc/sys/net/ipv4/ip_local_port_range")),
];

pub(super) fn done() -> Result<String, Failed> {
    Ok("done".to_owned())
}

fn read(path: &str) -> Result<String, Failed> {
    let length = fs::read(path)?.len();
    Ok(format!("{length} bytes read"))
}

fn append(path: &str) -> Result<String, Failed> {
    OpenOptions::new().append(true).open(path)?.write_all(b"# clawker prove\n")?;
    done()
}

/// The first readable file with a private key below a folder.
fn key_below(folder: &Path) -> Result<String, Failed> {
    for entry in fs::read_dir(folder)?.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            if let Ok(found) = key_below(&path) {
                return Ok(found);
            }
        } else if fs::read(&path).is_ok_and(|bytes| bytes.windows(11).any(|part| part == b"PRIVATE KEY")) {
            return Ok(path.display().to_string());
        }
    }
    Err(Failed::Refused(format!("no key can be read below {}", folder.display())))
}

/// Writes what is there.
fn write_back(path: &str) -> Result<String, Failed> {
    let text = fs::read(path)?;
    OpenOptions::new().write(true).open(path)?.write_all(&text)?;
    done()
}

/// What changes the whole process is tried by a child of its own.
pub(super) fn apart(what: &str) -> Result<String, Failed> {
    let mut child = Command::new(std::env::current_exe()?);
    let output = child.arg0("prove").args(["apart", what]).stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.success() {
        true => done(),
        // ENOSYS, or EINVAL for a flag: it is not known here.
        false if said.contains("os error 38") || said.contains("os error 22") => {
            Err(Failed::Impossible(said))
        }
        false => Err(Failed::Refused(said)),
    }
}

/// The child's part.
///
/// # Errors
/// The kernel's.
pub fn try_apart(what: &str) -> std::io::Result<()> {
    let none: Option<&str> = None;
    if let Some(ended) = calls::try_apart(what).or_else(|| own::try_apart(what)) {
        return ended;
    }
    match what {
        "mount" => {
            let place = std::env::temp_dir().join(format!("clawker-prove-{}", std::process::id()));
            fs::create_dir(&place)?;
            let ended = mount(Some("none"), &place, Some("tmpfs"), MsFlags::empty(), none);
            let _ = umount(&place);
            let _ = fs::remove_dir(&place);
            ended?;
        }
        "chroot" => chroot("/tmp")?,
        "userns" => unshare(CloneFlags::CLONE_NEWUSER)?,
        "netns" => unshare(CloneFlags::CLONE_NEWNET)?,
        "setns" => setns(File::open("/proc/1/ns/net")?.as_fd(), CloneFlags::CLONE_NEWNET)?,
        "ptrace" => {
            ptrace::attach(Pid::from_raw(1))?;
            // A stop that comes after our end would be for good.
            nix::sys::wait::waitpid(Pid::from_raw(1), Some(nix::sys::wait::WaitPidFlag::__WALL))?;
            ptrace::detach(Pid::from_raw(1), None)?;
        }
        _ => return Err(std::io::Error::other("no such attempt")),
    }
    Ok(())
}
