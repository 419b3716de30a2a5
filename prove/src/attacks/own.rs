//! What is PID 1's, the kernel's or the network's, asked for by its file or by netlink. What succeeds beside the twin
//! changes nothing there: it writes what was there, or only opens what it could write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use nix::libc;
use nix::unistd::{Gid, setgid};

use super::local::{apart, done};
use super::sys::{self, address};
use super::{Failed, Run};
use crate::fakenet::address as network;

pub(super) const CODE: &[(&str, Run)] = &[
    ("local-seize", |_| apart("seize")),
    ("local-pid1-memory-write", |_| write_to("/proc/1/mem")),
    ("local-pid1-fd-open", |_| open_any("/proc/1/fd")),
    ("local-pid1-maps", |_| read("/proc/1/maps")),
    ("local-pid1-auxv", |_| read("/proc/1/auxv")),
    ("local-pid1-syscall", |_| read("/proc/1/syscall")),
    ("local-pid1-stack", |_| read("/proc/1/stack")),
    ("local-pid1-io", |_| read("/proc/1/io")),
    ("local-pid1-exe", |_| link("/proc/1/exe")),
    ("local-pid1-cwd", |_| link("/proc/1/cwd")),
    ("local-pid1-namespace", |_| link("/proc/1/ns/net")),
    ("local-pid1-oom", |_| write_back("/proc/1/oom_score_adj")),
    ("local-pid1-dump", |_| write_to("/proc/1/coredump_filter")),
    ("local-pid1-page-map", |_| {
        File::open("/proc/1/pagemap")?;
        done()
    }),
    ("local-pid1-forget", |_| write_to("/proc/1/clear_refs")),
    ("local-core-pattern", |_| write_to("/proc/sys/kernel/core_pattern")),
    ("local-module-path", |_| write_to("/proc/sys/kernel/modprobe")),
    ("local-sysrq", |_| write_to("/proc/sysrq-trigger")),
    ("local-ping-range", |_| write_back("/proc/sys/net/ipv4/ping_group_range")),
    ("local-forwarding", |_| write_back("/proc/sys/net/ipv4/ip_forward")),
    ("local-route-localnet", |_| write_back("/proc/sys/net/ipv4/conf/all/route_localnet")),
    ("local-ipv6", |_| write_back("/proc/sys/net/ipv6/conf/all/disable_ipv6")),
    ("local-conntrack", |_| write_back("/proc/sys/net/netfilter/nf_conntrack_tcp_loose")),
    ("local-route", |c| {
        // Where it leads already, beside the twin.
        network::lead(c.places.sink)?;
        done()
    }),
    ("local-address", |_| {
        network::take((network::host(254), 32))?;
        done()
    }),
    ("local-setgid", |_| apart("setgid")),
    ("local-file-capability", |c| {
        let path = std::env::temp_dir().join(&c.canary);
        File::create(&path)?;
        let ended = capability(&path);
        let _ = fs::remove_file(&path);
        ended?;
        done()
    }),
    ("local-bind-mount", |_| apart("bind")),
    ("local-proc-mount", |_| apart("proc")),
    ("local-pivot", |_| apart("pivot")),
];

/// What changes the whole process.
pub(super) fn try_apart(what: &str) -> Option<io::Result<()>> {
    Some(match what {
        "seize" => seize(),
        "setgid" => setgid(Gid::from_raw(0)).map_err(io::Error::from),
        "bind" => within_mounts("/proc/1", libc::MS_BIND),
        "proc" => within_mounts("proc", 0),
        "pivot" => within_mounts("pivot", 0),
        _ => return None,
    })
}

/// PTRACE_SEIZE stops nobody, and our end lets go.
fn seize() -> io::Result<()> {
    const SEIZE: libc::c_long = 0x4206;
    sys::call(libc::SYS_ptrace, [SEIZE, 1, 0, 0]).map(drop)
}

/// Mounts something in a mount namespace of its own, in which nothing stays.
fn within_mounts(what: &str, flags: libc::c_ulong) -> io::Result<()> {
    use nix::mount::{MsFlags, mount};
    let none: Option<&str> = None;
    // Without the namespace the mount is refused as well: what is asked about is the mount.
    let own = nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS);
    if own.is_ok() {
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    }
    match what {
        "pivot" => {
            mount(Some("/tmp"), "/tmp", none, MsFlags::MS_BIND, none)?;
            fs::create_dir_all("/tmp/.clawker-prove")?;
            nix::unistd::pivot_root("/tmp", "/tmp/.clawker-prove")?;
        }
        "proc" => mount(Some("proc"), "/tmp", Some("proc"), MsFlags::empty(), none)?,
        from => mount(Some(from), "/tmp", none, MsFlags::from_bits_truncate(flags), none)?,
    }
    Ok(())
}

/// CAP_NET_RAW on a file, as `setcap` puts it there.
fn capability(path: &Path) -> Result<(), Failed> {
    // struct vfs_cap_data, version 2: effective; permitted 1 << 13.
    let words: [u32; 5] = [0x0200_0001, 1 << 13, 0, 0, 0];
    let data: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).map_err(io::Error::other)?;
    let name = c"security.capability";
    let at = [address(path.as_bytes_with_nul()), address(name.to_bytes_with_nul()), address(data.as_slice())];
    match sys::call(libc::SYS_setxattr, [at[0], at[1], at[2], 20, 0]) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => {
            Err(Failed::Impossible(format!("this file system keeps no capabilities: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// A kernel that has no such file has nothing to take.
fn of_kernel<T>(ended: io::Result<T>) -> Result<T, Failed> {
    ended.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failed::Impossible(format!("this kernel has no such file: {error}")),
        _ => error.into(),
    })
}

fn read(path: &str) -> Result<String, Failed> {
    let length = of_kernel(fs::read(path))?.len();
    Ok(format!("{length} bytes read"))
}

fn link(path: &str) -> Result<String, Failed> {
    Ok(of_kernel(fs::read_link(path))?.display().to_string())
}

/// Only opens it.
fn write_to(path: &str) -> Result<String, Failed> {
    of_kernel(OpenOptions::new().write(true).open(path))?;
    done()
}

/// Writes what is there.
fn write_back(path: &str) -> Result<String, Failed> {
    let text = of_kernel(fs::read(path))?;
    of_kernel(OpenOptions::new().write(true).open(path))?.write_all(&text)?;
    done()
}

/// The first descriptor of a folder that can be opened anew.
fn open_any(folder: &str) -> Result<String, Failed> {
    for entry in fs::read_dir(folder)?.flatten() {
        if File::open(entry.path()).is_ok() {
            return Ok(entry.path().display().to_string());
        }
    }
    Err(Failed::Refused("none can be opened".to_owned()))
}
