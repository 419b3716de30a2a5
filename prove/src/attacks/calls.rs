//! System calls that an agent has no use for, each made for real. A kernel that does not know one says ENOSYS, and so does
//! the agent's filter: what counts is whether it is known beside the twin.

use std::fs;
use std::io::{self, Error};
use std::os::fd::AsRawFd;

use nix::libc::{self, c_long};

use super::local::{apart, done};
use super::sys::{self, address, address_mut, call, descriptor};
use super::{Failed, Run};

const PAGE: usize = 4096;
/// linux/keyctl.h and keyutils.
const SESSION_KEYRING: c_long = -3;
/// `KEYCTL_GET_KEYRING_ID` of linux/keyctl.h.
const GET_KEYRING_ID: c_long = 0;
const USER_KEY: &[u8] = b"user\0";
const KEY_NAME: &[u8] = b"clawker-prove\0";
/// PID 1.
const FIRST: c_long = 1;

pub(super) const CODE: &[(&str, Run)] = &[
    ("call-x32", |_| known(sys::socket_x32())),
    ("call-i386", |_| apart("i386").map_err(died)),
    ("call-io-uring", |_| {
        // struct io_uring_params.
        let mut parameters = [0u8; 120];
        known(descriptor(libc::SYS_io_uring_setup, [1, address_mut(&mut parameters)]))
    }),
    ("call-io-uring-connect", |_| {
        // Without a ring there is nothing to enter: a descriptor that is none is only looked at when the call is known.
        match call(libc::SYS_io_uring_enter, [-1, 1, 0, 0, 0, 0]) {
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => {
                Ok("the kernel looked for a ring".to_owned())
            }
            ended => known(ended),
        }
    }),
    ("call-bpf", |_| {
        // union bpf_attr of BPF_MAP_CREATE: an array of one value.
        let mut attributes = [0u32; 32];
        attributes[..4].copy_from_slice(&[2, 4, 4, 1]);
        known(descriptor(libc::SYS_bpf, [0, address(&attributes), 128]))
    }),
    ("call-bpf-program", |_| {
        // BPF_PROG_LOAD of a socket filter: r0 = 0, exit.
        let program: [u64; 2] = [0xb7, 0x95];
        let license = b"GPL\0";
        let mut attributes = [0u64; 16];
        attributes[0] = 2 << 32 | 1;
        attributes[1] = address(&program).cast_unsigned();
        attributes[2] = address(license).cast_unsigned();
        known(descriptor(libc::SYS_bpf, [5, address(&attributes), 128]))
    }),
    ("call-keyctl", |_| known(call(libc::SYS_keyctl, [GET_KEYRING_ID, SESSION_KEYRING, 1]))),
    ("call-add-key", |_| known(add_key())),
    ("call-request-key", |_| {
        let asked = [address(USER_KEY), address(KEY_NAME), 0, 0];
        match call(libc::SYS_request_key, asked) {
            Err(error) if error.raw_os_error() == Some(libc::ENOKEY) => {
                Ok("the kernel looked for a key".to_owned())
            }
            ended => known(ended),
        }
    }),
    ("call-userfaultfd", |_| {
        // UFFD_USER_MODE_ONLY, which needs no capability.
        known(descriptor(libc::SYS_userfaultfd, [c_long::from(libc::O_CLOEXEC) | 1]))
    }),
    ("call-perf", |_| {
        // struct perf_event_attr: a software event, of PID 1.
        let mut attributes = [0u32; 32];
        attributes[0] = 1;
        attributes[1] = 128;
        known(descriptor(libc::SYS_perf_event_open, [address(&attributes), FIRST, -1, -1, 0]))
    }),
    ("call-clone-userns", |_| apart("clone")),
    ("call-clone3-userns", |_| apart("clone3")),
    ("call-unshare-mount", |_| apart("mountns")),
    ("call-unshare-pid", |_| apart("pidns")),
    ("call-unshare-cgroup", |_| apart("cgroupns")),
    ("call-unshare-time", |_| apart("timens")),
    ("call-setns-pidfd", |_| apart("setns-pidfd")),
    ("call-fsopen", |_| known(descriptor(libc::SYS_fsopen, [address(b"tmpfs\0"), 1]))),
    ("call-open-tree", |_| {
        let at = c_long::from(libc::AT_FDCWD);
        // OPEN_TREE_CLONE: a mount of its own.
        known(descriptor(libc::SYS_open_tree, [at, address(b"/proc\0"), 1]))
    }),
    ("call-open-by-handle", |_| {
        // struct file_handle with 128 bytes of room.
        let mut handle = [0u32; 34];
        handle[0] = 128;
        let mut mount = 0i32;
        let at = c_long::from(libc::AT_FDCWD);
        let named = [at, address(b"/dev/shm\0"), address_mut(&mut handle), address_mut(&mut mount), 0];
        known(call(libc::SYS_name_to_handle_at, named))?;
        let folder = fs::File::open("/dev/shm")?;
        known(descriptor(
            libc::SYS_open_by_handle_at,
            [folder.as_raw_fd().into(), address(&handle), libc::O_PATH.into()],
        ))
    }),
    ("call-vm-read", |_| known(of_memory(libc::SYS_process_vm_readv))),
    ("call-kcmp", |_| {
        // KCMP_VM: whether two processes share their memory.
        let own = c_long::from(nix::unistd::getpid().as_raw());
        known(call(libc::SYS_kcmp, [FIRST, own, 1, 0, 0]))
    }),
    ("call-move-pages", |_| {
        let (page, mut status) = (PAGE, 0i32);
        let pages = [page];
        known(call(libc::SYS_move_pages, [FIRST, 1, address(&pages), 0, address_mut(&mut status), 0]))
    }),
    ("call-limits", |_| {
        let mut limit = [0u64; 2];
        known(call(libc::SYS_prlimit64, [FIRST, libc::RLIMIT_NOFILE.into(), 0, address_mut(&mut limit)]))
    }),
    ("call-affinity", |_| {
        let mut mask = [0u8; 128];
        let size = 128;
        // What there is, so that nothing changes where it is allowed.
        known(call(libc::SYS_sched_getaffinity, [0, size, address_mut(&mut mask)]))?;
        known(call(libc::SYS_sched_setaffinity, [FIRST, size, address(&mask)]))
    }),
    ("call-priority", |_| known(call(libc::SYS_setpriority, [libc::PRIO_PROCESS.into(), FIRST, 0]))),
    ("call-scheduler", |_| {
        let parameter = 0i32;
        known(call(libc::SYS_sched_setscheduler, [FIRST, libc::SCHED_OTHER.into(), address(&parameter)]))
    }),
    ("call-io-priority", |_| {
        // IOPRIO_WHO_PROCESS; best effort, the middle of it.
        known(call(libc::SYS_ioprio_set, [1, FIRST, 2 << 13 | 4]))
    }),
    ("call-pidfd-signal", |_| {
        let fd = descriptor(libc::SYS_pidfd_open, [FIRST, 0])?;
        known(call(libc::SYS_pidfd_send_signal, [fd.as_raw_fd().into(), libc::SIGCONT.into(), 0, 0]))
    }),
    ("call-madvise", |_| {
        // MADV_COLD of a page of PID 1's; a page that is not there is found out after the permission.
        let fd = descriptor(libc::SYS_pidfd_open, [FIRST, 0])?;
        let part = [PAGE, PAGE];
        match call(libc::SYS_process_madvise, [fd.as_raw_fd().into(), address(&part), 1, 20, 0]) {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                Ok("the kernel looked for the page".to_owned())
            }
            ended => known(ended),
        }
    }),
    ("call-groups", |_| {
        let groups = [0u32];
        known(call(libc::SYS_setgroups, [1, address(&groups)]))
    }),
    ("call-domain-name", |_| {
        // What there is, so that nothing changes where it is allowed.
        let name = fs::read_to_string("/proc/sys/kernel/domainname")?;
        let name = name.trim_end();
        let length = c_long::try_from(name.len()).map_err(io::Error::other)?;
        known(call(libc::SYS_setdomainname, [address(name), length]))
    }),
];

/// Calls that change the whole process, or that need one of one thread.
pub(super) fn try_apart(what: &str) -> Option<io::Result<()>> {
    let unshare = |flag: i32| call(libc::SYS_unshare, [flag.into()]).map(drop);
    Some(match what {
        "i386" => sys::socket_i386(),
        "clone" => {
            let flags = c_long::from(libc::CLONE_NEWUSER | libc::SIGCHLD);
            sys::fork(libc::SYS_clone, [flags, 0, 0, 0, 0])
        }
        "clone3" => {
            // struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls.
            let flags = u64::try_from(libc::CLONE_NEWUSER).unwrap_or_default();
            let signal = u64::try_from(libc::SIGCHLD).unwrap_or_default();
            let arguments = [flags, 0, 0, 0, signal, 0, 0, 0];
            sys::fork(libc::SYS_clone3, [address(&arguments), 64])
        }
        "mountns" => unshare(libc::CLONE_NEWNS),
        "pidns" => unshare(libc::CLONE_NEWPID),
        "cgroupns" => unshare(libc::CLONE_NEWCGROUP),
        // CLONE_NEWTIME
        "timens" => unshare(0x80),
        "setns-pidfd" => descriptor(libc::SYS_pidfd_open, [FIRST, 0]).and_then(|fd| {
            call(libc::SYS_setns, [fd.as_raw_fd().into(), libc::CLONE_NEWNET.into()]).map(drop)
        }),
        _ => return None,
    })
}

fn add_key() -> io::Result<c_long> {
    let length = c_long::try_from(KEY_NAME.len()).map_err(io::Error::other)?;
    call(
        libc::SYS_add_key,
        [address(USER_KEY), address(KEY_NAME), address(KEY_NAME), length, SESSION_KEYRING],
    )
}

/// Reads PID 1's memory where nothing is mapped: that is only found out once it is allowed.
fn of_memory(number: c_long) -> io::Result<c_long> {
    let mut room = [0u8; 8];
    let (here, there) = ([address_mut(&mut room), 8], [c_long::try_from(PAGE).unwrap_or_default(), 8]);
    match call(number, [FIRST, address(&here), 1, address(&there), 1, 0]) {
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(0),
        ended => ended,
    }
}

/// A call that this kernel has not is no refusal.
fn known<T>(ended: io::Result<T>) -> Result<String, Failed> {
    match ended {
        Ok(_) => done(),
        Err(error) if is_unknown(&error) => {
            Err(Failed::Impossible(format!("this kernel has no such call: {error}")))
        }
        Err(error) => Err(error.into()),
    }
}

fn is_unknown(error: &Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP))
}

/// Without the entry for 32-bit programs the kernel kills who uses it, and says nothing.
fn died(failed: Failed) -> Failed {
    match failed {
        Failed::Refused(said) if said.is_empty() => {
            Failed::Impossible("this kernel has no entry for 32-bit programs".to_owned())
        }
        other => other,
    }
}
