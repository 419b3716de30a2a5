//! No file with a set-id bit: for an agent whose files are root's on the host, where such a file is a program that makes
//! root of whoever runs it. A mount's nosuid does not keep the bit from being stored, so the calls that could store it are
//! refused where their mode has it. `mkdir` drops it by itself, and a file's capabilities take a capability.

use super::ALLOW;
use super::{JUMP_ANY_BIT, JUMP_AT_LEAST, Program, argument, errno, jump, load, number, on, value};

/// Its mode lies in memory, which a filter can't read. The C libraries don't use it; who does goes back to openat.
const SYS_OPENAT2: i64 = 437;
/// Linux 6.6; older C headers don't have it.
const SYS_FCHMODAT2: i64 = 452;
/// The first number that was not given away when this was written (Linux 6.18): a later call might set a mode too.
const UNKNOWN: u32 = 470;

/// Calls that set a mode, and which of their arguments it is.
#[cfg(target_arch = "x86_64")]
const BY_MODE: [(i64, u32); 7] = [
    (libc::SYS_chmod, 1),
    (libc::SYS_creat, 1),
    (libc::SYS_mknod, 1),
    (libc::SYS_fchmod, 1),
    (libc::SYS_fchmodat, 2),
    (SYS_FCHMODAT2, 2),
    (libc::SYS_mknodat, 2),
];
#[cfg(target_arch = "aarch64")]
const BY_MODE: [(i64, u32); 4] =
    [(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (SYS_FCHMODAT2, 2), (libc::SYS_mknodat, 2)];

/// Calls that set one only where their flags, the argument before, make a file; else it may be anything.
#[cfg(target_arch = "x86_64")]
const BY_FLAGS: [(i64, u32); 2] = [(libc::SYS_open, 1), (libc::SYS_openat, 2)];
#[cfg(target_arch = "aarch64")]
const BY_FLAGS: [(i64, u32); 1] = [(libc::SYS_openat, 2)];

/// The part of the filter. The call's number is loaded, and is again where no part held.
pub(super) fn refuse(program: &mut Program) {
    let bits = libc::S_ISUID | libc::S_ISGID;
    // `__O_TMPFILE` of asm-generic/fcntl.h; O_TMPFILE itself has O_DIRECTORY's bit too.
    let makes = number(libc::O_CREAT | libc::O_TMPFILE & !libc::O_DIRECTORY);
    program.extend([jump(JUMP_AT_LEAST, UNKNOWN, 0, 1), errno(libc::ENOSYS)]);
    on(program, SYS_OPENAT2, vec![errno(libc::ENOSYS)]);
    for (call, mode) in BY_MODE {
        let refused = [jump(JUMP_ANY_BIT, bits, 0, 1), errno(libc::EPERM), value(ALLOW)];
        on(program, call, [vec![load(argument(mode))], refused.to_vec()].concat());
    }
    for (call, flags) in BY_FLAGS {
        on(
            program,
            call,
            vec![
                load(argument(flags)),
                jump(JUMP_ANY_BIT, makes, 1, 0),
                value(ALLOW),
                load(argument(flags + 1)),
                jump(JUMP_ANY_BIT, bits, 0, 1),
                errno(libc::EPERM),
                value(ALLOW),
            ],
        );
    }
}
