//! The agent's system call filter: no sockets but local ones, IP and routes; no other way into the kernel's numbering; no
//! io_uring, bpf or keys; no user namespace, in which it would hold capabilities again. A value, made before the fork.
//! Everything else is allowed: Docker's own filter stands beside this one.

mod set_id;

/// An instruction of classic BPF (`struct sock_filter` of linux/filter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u16,
    /// Instructions to skip where the comparison is true.
    jt: u8,
    /// Likewise where it is false.
    jf: u8,
    k: u32,
}

/// A program.
pub type Program = Vec<Instruction>;

// linux/bpf_common.h and linux/filter.h.
const LOAD_WORD: u16 = 0x20;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_AT_LEAST: u16 = 0x35;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;
// linux/seccomp.h.
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
/// `struct seccomp_data`: number, architecture, instruction pointer, arguments. The lower half of an argument is
/// all that these calls look at.
const AT_NUMBER: u32 = 0;
const AT_ARCH: u32 = 4;
const AT_ARGUMENTS: u32 = 16;

/// linux/audit.h.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCH: u32 = 0xc000_00b7;
/// `__X32_SYSCALL_BIT` of asm/unistd.h.
#[cfg(target_arch = "x86_64")]
const X32: u32 = 0x4000_0000;

/// Socket families that stay: `AF_UNIX`, `AF_INET`, `AF_INET6`.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];
/// Calls that an agent has no use for, and through which the others could be gone round.
const NEVER: [i64; 5] =
    [libc::SYS_bpf, libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key, libc::SYS_userfaultfd];
/// Programs take these for missing in the kernel, and do without.
const MISSING: [i64; 3] = [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// What a filter leaves open, or shuts, besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// User namespaces are allowed: in one the agent may do much more.
    pub userns: bool,
    /// No file gets a set-id bit.
    pub no_set_id: bool,
}

/// The filter.
pub fn program(options: Options) -> Program {
    let mut program = vec![load(AT_ARCH), jump(JUMP_EQUAL, ARCH, 1, 0), errno(libc::ENOSYS), load(AT_NUMBER)];
    #[cfg(target_arch = "x86_64")]
    program.extend([jump(JUMP_AT_LEAST, X32, 0, 1), errno(libc::ENOSYS)]);
    for number in NEVER {
        on(&mut program, number, vec![errno(libc::EPERM)]);
    }
    for number in MISSING {
        on(&mut program, number, vec![errno(libc::ENOSYS)]);
    }
    for number in [libc::SYS_socket, libc::SYS_socketpair] {
        on(&mut program, number, sockets());
    }
    if options.no_set_id {
        set_id::refuse(&mut program);
    }
    if !options.userns {
        let flag = u32::try_from(libc::CLONE_NEWUSER).unwrap_or(0);
        for number in [libc::SYS_unshare, libc::SYS_clone] {
            let by_flag = jump(JUMP_ANY_BIT, flag, 0, 1);
            on(&mut program, number, vec![load(AT_ARGUMENTS), by_flag, errno(libc::EPERM), value(ALLOW)]);
        }
        // Its flags stand in memory, which a filter can't read. The C library goes back to clone.
        on(&mut program, libc::SYS_clone3, vec![errno(libc::ENOSYS)]);
        on(&mut program, libc::SYS_setns, vec![errno(libc::EPERM)]);
    }
    program.push(value(ALLOW));
    program
}

/// What a socket may be: one of the families, or netlink for routes.
fn sockets() -> Program {
    let mut program = vec![load(AT_ARGUMENTS)];
    for family in FAMILIES {
        program.extend([jump(JUMP_EQUAL, number(family), 0, 1), value(ALLOW)]);
    }
    program.extend([
        jump(JUMP_EQUAL, number(libc::AF_NETLINK), 1, 0),
        errno(libc::EAFNOSUPPORT),
        // The protocol.
        load(argument(2)),
        jump(JUMP_EQUAL, number(libc::NETLINK_ROUTE), 0, 1),
        value(ALLOW),
        errno(libc::EPROTONOSUPPORT),
    ]);
    program
}

/// A call's own part, which ends in a verdict; skipped for every other call.
fn on(program: &mut Program, call: i64, part: Program) {
    let skip = u8::try_from(part.len()).unwrap_or(u8::MAX);
    program.push(jump(JUMP_EQUAL, u32::try_from(call).unwrap_or(u32::MAX), 0, skip));
    program.extend(part);
}

/// Where an argument lies; they count from 0.
fn argument(number: u32) -> u32 {
    AT_ARGUMENTS + 8 * number
}

fn load(at: u32) -> Instruction {
    Instruction { code: LOAD_WORD, jt: 0, jf: 0, k: at }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn value(verdict: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: verdict }
}

fn errno(number: i32) -> Instruction {
    value(ERRNO | u32::try_from(number).unwrap_or(1))
}

fn number(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel runs it.
    fn run<const N: usize>(program: &Program, arch: u32, call: i64, arguments: [u64; N]) -> u32 {
        let word = |at: u32| match at {
            AT_NUMBER => u32::try_from(call).unwrap(),
            AT_ARCH => arch,
            at => (arguments[((at - AT_ARGUMENTS) / 8) as usize] & 0xffff_ffff) as u32,
        };
        let (mut at, mut held) = (0, 0);
        loop {
            let Instruction { code, jt, jf, k } = program[at];
            at += 1;
            let taken = match code {
                LOAD_WORD => {
                    held = word(k);
                    continue;
                }
                RETURN => return k,
                JUMP_EQUAL => held == k,
                JUMP_AT_LEAST => held >= k,
                JUMP_ANY_BIT => held & k != 0,
                other => panic!("{other:#x}"),
            };
            at += usize::from(if taken { jt } else { jf });
        }
    }

    fn refused(errno: i32) -> u32 {
        ERRNO | errno as u32
    }

    #[test]
    fn each_call_gets_its_verdict() {
        let usual = program(Options::default());
        let newuser = libc::CLONE_NEWUSER as u64;
        let stream = libc::SOCK_STREAM as u64;
        for (call, arguments, expected) in [
            (libc::SYS_read, [0, 0, 0], ALLOW),
            (libc::SYS_ptrace, [0, 0, 0], ALLOW),
            (libc::SYS_execve, [0, 0, 0], ALLOW),
            (libc::SYS_socket, [1, stream, 0], ALLOW),
            (libc::SYS_socket, [2, stream, 6], ALLOW),
            (libc::SYS_socket, [10, stream, 0], ALLOW),
            (libc::SYS_socket, [16, 3, 0], ALLOW),
            (libc::SYS_socket, [16, 3, 12], refused(libc::EPROTONOSUPPORT)),
            (libc::SYS_socket, [17, 3, 0], refused(libc::EAFNOSUPPORT)),
            (libc::SYS_socket, [38, 5, 0], refused(libc::EAFNOSUPPORT)),
            (libc::SYS_socket, [40, 1, 0], refused(libc::EAFNOSUPPORT)),
            (libc::SYS_socket, [0xffff_ffff_0000_0011, 3, 0], refused(libc::EAFNOSUPPORT)),
            (libc::SYS_socketpair, [1, stream, 0], ALLOW),
            (libc::SYS_socketpair, [30, stream, 0], refused(libc::EAFNOSUPPORT)),
            (libc::SYS_unshare, [newuser, 0, 0], refused(libc::EPERM)),
            (libc::SYS_unshare, [newuser | 0x4000_0000, 0, 0], refused(libc::EPERM)),
            (libc::SYS_unshare, [libc::CLONE_FS as u64, 0, 0], ALLOW),
            (libc::SYS_clone, [newuser | 17, 0, 0], refused(libc::EPERM)),
            (libc::SYS_clone, [17, 0, 0], ALLOW),
            (libc::SYS_clone3, [0, 0, 0], refused(libc::ENOSYS)),
            (libc::SYS_setns, [3, 0, 0], refused(libc::EPERM)),
            (libc::SYS_bpf, [0, 0, 0], refused(libc::EPERM)),
            (libc::SYS_keyctl, [0, 0, 0], refused(libc::EPERM)),
            (libc::SYS_io_uring_setup, [1, 0, 0], refused(libc::ENOSYS)),
        ] {
            assert_eq!(run(&usual, ARCH, call, arguments), expected, "call {call} {arguments:x?}");
        }
        // 32-bit entry, and any number of it.
        assert_eq!(run(&usual, 0x4000_0003, 1, [0; 3]), refused(libc::ENOSYS));
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_read, libc::SYS_socket] {
            assert_eq!(run(&usual, ARCH, call | i64::from(X32), [2, 1, 0]), refused(libc::ENOSYS));
        }
    }

    #[test]
    fn user_namespaces_are_there_where_they_are_asked_for() {
        let with = program(Options { userns: true, ..Options::default() });
        let newuser = libc::CLONE_NEWUSER as u64;
        for call in [libc::SYS_unshare, libc::SYS_clone, libc::SYS_clone3, libc::SYS_setns] {
            assert_eq!(run(&with, ARCH, call, [newuser, 0, 0]), ALLOW);
        }
        assert_eq!(run(&with, ARCH, libc::SYS_socket, [17, 3, 0]), refused(libc::EAFNOSUPPORT));
    }

    #[test]
    fn a_set_id_bit_is_refused_however_it_would_come_to_a_file() {
        let without = program(Options { no_set_id: true, ..Options::default() });
        let usual = program(Options::default());
        let (creat, tmpfile) = (libc::O_CREAT as u64, libc::O_TMPFILE as u64);
        let mut rows = vec![
            (libc::SYS_fchmod, [3, 0o755, 0, 0], ALLOW),
            (libc::SYS_fchmod, [3, 0o4755, 0, 0], refused(libc::EPERM)),
            (libc::SYS_fchmod, [3, 0o2755, 0, 0], refused(libc::EPERM)),
            (libc::SYS_fchmod, [3, 0o1777, 0, 0], ALLOW),
            // The kernel looks at the lower half alone.
            (libc::SYS_fchmod, [0o4000, 0xffff_ffff_0000_01ed, 0, 0], ALLOW),
            (libc::SYS_fchmodat, [3, 0o6000, 0o755, 0], ALLOW),
            (libc::SYS_fchmodat, [3, 0, 0o4755, 0], refused(libc::EPERM)),
            (452, [3, 0, 0o4755, 0], refused(libc::EPERM)),
            (452, [3, 0, 0o755, 0], ALLOW),
            (437, [3, 0, 0, 24], refused(libc::ENOSYS)),
            (libc::SYS_mknodat, [3, 0, 0o10_4755, 0], refused(libc::EPERM)),
            (libc::SYS_mknodat, [3, 0, 0o10_0755, 0], ALLOW),
            (libc::SYS_openat, [3, 0, creat, 0o4755], refused(libc::EPERM)),
            (libc::SYS_openat, [3, 0, tmpfile | 2, 0o2755], refused(libc::EPERM)),
            (libc::SYS_openat, [3, 0, creat, 0o644], ALLOW),
            // What is not made has no mode: the register may hold anything.
            (libc::SYS_openat, [3, 0, libc::O_DIRECTORY as u64, 0o6777], ALLOW),
            (470, [0; 4], refused(libc::ENOSYS)),
            (469, [0; 4], ALLOW),
            (libc::SYS_write, [0o6000; 4], ALLOW),
        ];
        #[cfg(target_arch = "x86_64")]
        rows.extend([
            (libc::SYS_chmod, [0, 0o4711, 0, 0], refused(libc::EPERM)),
            (libc::SYS_chmod, [0, 0o711, 0, 0], ALLOW),
            (libc::SYS_creat, [0, 0o2755, 0, 0], refused(libc::EPERM)),
            (libc::SYS_mknod, [0, 0o4755, 0, 0], refused(libc::EPERM)),
            (libc::SYS_open, [0, creat, 0o4755, 0], refused(libc::EPERM)),
            (libc::SYS_open, [0, 0, 0o4755, 0], ALLOW),
        ]);
        for (call, arguments, expected) in rows {
            assert_eq!(run(&without, ARCH, call, arguments), expected, "call {call} {arguments:x?}");
            assert_eq!(run(&usual, ARCH, call, arguments), ALLOW, "positive control: call {call}");
        }
        // The rest is as it was.
        assert_eq!(run(&without, ARCH, libc::SYS_socket, [17, 3, 0, 0]), refused(libc::EAFNOSUPPORT));
        assert_eq!(run(&without, ARCH, libc::SYS_setns, [3, 0, 0, 0]), refused(libc::EPERM));
    }
}
