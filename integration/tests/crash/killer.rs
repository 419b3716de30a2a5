//! Runs a command and kills it before its N-th effect: before the call to the kernel that would rename or remove a
//! file, or reach somebody else. It sees the calls as a debugger does, so that the program under test is the real one.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The calls that have an effect outside the process.
#[cfg(target_arch = "x86_64")]
const EFFECTS: [(i64, &str); 10] = [
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
];
/// Likewise.
#[cfg(target_arch = "aarch64")]
const EFFECTS: [(i64, &str); 9] = [
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
];
/// `PTRACE_SYSCALL_INFO_ENTRY` (linux/ptrace.h).
const ENTRY: u8 = 1;
/// `PTRACE_EVENT_EXEC` (linux/ptrace.h).
const EXEC: i32 = 4;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Killed before this call.
    Killed(&'static str),
    /// By itself, with this code, after so many effects.
    Itself(i32, usize),
}

/// Runs a command and kills it with SIGKILL before its `nth` effect, counted from 1. Its output goes nowhere.
///
/// # Errors
/// When it can't be started or watched.
pub fn run(command: &Command, nth: usize) -> io::Result<Ended> {
    // A thread of its own: what it waits for is its own child and nobody else's.
    std::thread::scope(|scope| {
        let watched = scope.spawn(|| watch(command, nth)).join();
        watched.map_err(|_| io::Error::other("The watching thread panicked"))?
    })
}

fn watch(command: &Command, nth: usize) -> io::Result<Ended> {
    // It waits behind a shell until it is watched.
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "read -r go && exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let leader = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options)?;
    ptrace::interrupt(leader)?;
    let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("No pipe"))?;
    stdin.write_all(b"go\n")?;
    follow(leader, nth)
}

fn follow(leader: Pid, nth: usize) -> io::Result<Ended> {
    let (mut count, mut began, mut killed) = (0, false, None);
    loop {
        let status = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
            Err(Errno::EINTR) => continue,
            status => status?,
        };
        let go_on = |pid: Pid, signal: Option<Signal>| match ptrace::syscall(pid, signal) {
            // It died meanwhile, which the next wait tells.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error),
        };
        match status {
            WaitStatus::PtraceSyscall(pid) => {
                if let Some(call) = effect(pid).filter(|_| began && killed.is_none()) {
                    count += 1;
                    if count == nth {
                        killed = Some(call);
                        kill(leader, Signal::SIGKILL)?;
                        continue;
                    }
                }
                go_on(pid, None)?;
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                began |= event == EXEC;
                go_on(pid, None)?;
            }
            WaitStatus::Stopped(pid, signal) => go_on(pid, Some(signal))?,
            WaitStatus::Exited(pid, code) if pid == leader => return Ok(Ended::Itself(code, count)),
            WaitStatus::Signaled(pid, signal, _) if pid == leader => {
                return Ok(killed.map_or(Ended::Itself(128 + signal as i32, count), Ended::Killed));
            }
            _ => {}
        }
    }
}

/// The effect that a stopped thread is about to have.
fn effect(pid: Pid) -> Option<&'static str> {
    if ptrace::syscall_info(pid).ok()?.op != ENTRY {
        return None;
    }
    let registers = ptrace::getregs(pid).ok()?;
    #[cfg(target_arch = "x86_64")]
    let number = i64::try_from(registers.orig_rax).ok()?;
    #[cfg(target_arch = "aarch64")]
    let number = i64::try_from(registers.regs[8]).ok()?;
    EFFECTS.iter().find(|(effect, _)| *effect == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two files are removed one after the other: the kill comes before the first, between the two, or not at all.
    #[test]
    fn the_call_before_which_it_is_killed_is_not_made() {
        let folder = std::env::temp_dir().join(format!("clawker-killer-{}", std::process::id()));
        for (nth, left, expected) in [
            (1, 2, Ended::Killed("unlinkat")),
            (2, 1, Ended::Killed("unlinkat")),
            (3, 0, Ended::Itself(0, 2)),
        ] {
            std::fs::create_dir_all(&folder).unwrap();
            let files = ["a", "b"].map(|name| folder.join(name));
            files.iter().for_each(|file| std::fs::write(file, "x").unwrap());
            let mut command = Command::new("rm");
            assert_eq!(run(command.args(&files), nth).unwrap(), expected);
            assert_eq!(std::fs::read_dir(&folder).unwrap().count(), left);
            std::fs::remove_dir_all(&folder).unwrap();
        }
    }
}
