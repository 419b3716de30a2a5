//! The agent's process: a plan whose every value is prepared before the fork, and how it is started. What the
//! child does between fork and exec is in `child/steps.rs`; what could not be done there reaches the parent
//! through a pipe that exec closes.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::Pid;

use crate::privileges::Identity;
use crate::sys::{self, Argv, Fork, Strings};

mod failure;
mod steps;
mod terminal;
pub use failure::{Failure, Stage};
pub use terminal::{Terminal, take_back};

/// Where programs are looked for when the environment doesn't say: what Docker gives an image without a PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a program can't even be tried.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// No program.
    #[error("No command to run: name one after --")]
    Empty,
    /// A string that the kernel can't take.
    #[error("{0:?} holds a NUL byte and can't be passed to a program")]
    Nul(OsString),
}

/// What to run and how. Resource limits pass through: PID 1 changes none.
#[derive(Debug)]
pub struct Plan {
    /// For messages.
    name: OsString,
    /// Where the program may be, in order.
    candidates: Vec<CString>,
    argv: Argv,
    environment: Strings,
    /// Where to start; the own working directory otherwise. Entered as the identity, never as root.
    directory: Option<CString>,
    /// Who to become, with the full drop and the standard streams given to it; unchanged otherwise.
    pub identity: Option<Identity>,
    /// Own group in the foreground, or own session.
    pub terminal: Terminal,
    /// The umask; the own one otherwise.
    pub umask: Option<u32>,
    /// Raises `oom_score_adj` to this, so that the kernel takes the agent before PID 1. Never lowers.
    oom_score_adj: Option<String>,
    /// KILL the child when we die: needed where we are not PID 1.
    pub dies_with_parent: bool,
}

impl Plan {
    /// Prepares a command, looked up in the PATH of `environment` as `execvp` does.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(command: &[OsString], environment: &[(OsString, OsString)]) -> Result<Self, PlanError> {
        let name = command.first().filter(|name| !name.is_empty()).ok_or(PlanError::Empty)?.clone();
        let path = environment
            .iter()
            .find(|(key, _)| key == "PATH")
            .map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value.as_os_str());
        let pairs = environment.iter().map(|(key, value)| {
            let mut pair = key.clone();
            pair.push("=");
            pair.push(value);
            pair
        });
        Ok(Self {
            candidates: candidates(&name, path).into_iter().map(c_string).collect::<Result<_, _>>()?,
            argv: Argv::new(command.iter().cloned().map(c_string).collect::<Result<_, _>>()?),
            environment: Strings::new(pairs.map(c_string).collect::<Result<_, _>>()?),
            name,
            directory: None,
            identity: None,
            terminal: Terminal::Group,
            umask: None,
            oom_score_adj: None,
            dies_with_parent: false,
        })
    }

    /// Where to start.
    ///
    /// # Errors
    /// [`PlanError::Nul`].
    pub fn set_directory(&mut self, directory: &Path) -> Result<(), PlanError> {
        self.directory = Some(c_string(directory.as_os_str().to_owned())?);
        Ok(())
    }

    /// Makes the kernel take the child before us when memory runs out. Raising needs no capability; where the
    /// child's value is higher already, it stays.
    pub fn raise_oom_score_adj(&mut self, to: i32) {
        let own = std::fs::read_to_string("/proc/self/oom_score_adj")
            .ok()
            .and_then(|text| text.trim().parse().ok());
        self.oom_score_adj = Some(to.max(own.unwrap_or(i32::MIN)).to_string());
    }

    /// Becomes the program in this very process: for `enter`, which Docker has already given a process. The
    /// terminal is left as it is. Comes back only with what failed.
    pub fn exec_here(mut self) -> Failure {
        let failure = steps::become_program(&mut self);
        failure.named(&self.name)
    }
}

fn c_string(text: OsString) -> Result<CString, PlanError> {
    CString::new(text.into_vec()).map_err(|error| PlanError::Nul(OsString::from_vec(error.into_vec())))
}

/// The files that a name may mean. An empty part of the path is the working directory.
fn candidates(name: &OsStr, path: &OsStr) -> Vec<OsString> {
    if name.as_bytes().contains(&b'/') {
        return vec![name.to_owned()];
    }
    let parts = path.as_bytes().split(|byte| *byte == b':');
    parts
        .map(|part| {
            let mut file =
                if part.is_empty() { OsString::from(".") } else { OsStr::from_bytes(part).to_owned() };
            file.push("/");
            file.push(name);
            file
        })
        .collect()
}

/// How far the start has come.
#[derive(Debug)]
pub enum Start {
    /// Not at exec yet.
    Pending,
    /// The program runs, or was killed before it did.
    Running,
    /// It never ran.
    Failed(Failure),
}

/// A process that was forked off.
#[derive(Debug)]
pub struct Child {
    /// Its pid, and its group's.
    pub pid: i32,
    /// It has, or may have, a controlling terminal.
    pub on_terminal: bool,
    name: OsString,
    report: Option<File>,
}

impl Child {
    /// To wait for while the start is pending.
    pub fn report_fd(&self) -> Option<RawFd> {
        self.report.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Looks how far the start has come; after anything but [`Start::Pending`] it is [`Start::Running`] forever.
    pub fn start(&mut self) -> Start {
        let Some(report) = self.report.as_mut() else { return Start::Running };
        let mut bytes = [0u8; Failure::BYTES];
        match report.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Start::Pending,
            Ok(Failure::BYTES) => {
                self.report = None;
                Start::Failed(Failure::decode(bytes).named(&self.name))
            }
            _ => {
                self.report = None;
                Start::Running
            }
        }
    }
}

/// Forks the plan's process off. All signals must be blocked, so that none that comes before exec is lost: the
/// child unblocks them last.
///
/// # Errors
/// When the kernel gives no pipe or no process.
pub fn spawn(mut plan: Plan) -> io::Result<Child> {
    let (receiver, sender) = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let foreground = terminal::prepare(plan.terminal);
    match sys::fork()? {
        Fork::Child => {
            terminal::enter(plan.terminal, foreground.as_ref());
            let failure = steps::become_program(&mut plan);
            // Nobody is left to tell when this fails too; the exit code still says it.
            let _ = nix::unistd::write(&sender, &failure.encode());
            sys::exit_now(failure.exit_code())
        }
        Fork::Parent(pid) => {
            terminal::settle(plan.terminal, foreground.as_ref(), Pid::from_raw(pid));
            let on_terminal = foreground.is_some() || plan.terminal.is_session_on_terminal();
            Ok(Child { pid, on_terminal, name: plan.name, report: Some(receiver.into()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_as_execvp_does() {
        let files = |name: &str, path: &str| candidates(OsStr::new(name), OsStr::new(path));
        assert_eq!(files("ls", "/bin:/usr/bin"), ["/bin/ls", "/usr/bin/ls"]);
        assert_eq!(files("ls", "/bin::"), ["/bin/ls", "./ls", "./ls"]);
        assert_eq!(files("ls", ""), ["./ls"]);
        assert_eq!(files("./ls", "/bin"), ["./ls"]);
        assert_eq!(files("/x/ls", "/bin"), ["/x/ls"]);
    }

    #[test]
    fn what_the_kernel_cannot_take_is_named_before_the_fork() {
        let plan = |command: &[&str], env: &[(&str, &str)]| {
            let command: Vec<OsString> = command.iter().map(OsString::from).collect();
            let env: Vec<_> = env.iter().map(|(k, v)| (OsString::from(k), OsString::from(v))).collect();
            Plan::new(&command, &env).map(drop).map_err(|error| error.to_string())
        };
        assert!(plan(&[], &[]).unwrap_err().contains("--"));
        assert!(plan(&[""], &[]).is_err());
        assert!(plan(&["a", "b\0c"], &[]).unwrap_err().contains("b\\0c"));
        assert!(plan(&["a"], &[("K", "\0")]).is_err());
        assert!(plan(&["a"], &[("K", "v")]).is_ok());
    }
}
