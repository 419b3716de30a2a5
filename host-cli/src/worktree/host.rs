//! Git on the host, in a repository whose worktrees agents write to: it runs no hook, watches nothing, asks nobody, and
//! takes no folder from the environment.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Worktree;
use crate::exit::Failure;
use crate::launch::{self, Interrupt};

/// How often an interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);
/// What holds for each call, over the user's own configuration.
const FIXED: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
];
/// Of git's variables these are the user's settings; the others name a repository or a program.
const KEPT: [&str; 3] = ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];

/// Git in one repository.
#[derive(Debug)]
pub struct HostGit {
    dir: PathBuf,
    owner: (u32, u32),
}

impl HostGit {
    /// In the main checkout. Root works as the folder's owner: what that one's configuration names is not run as root.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn new(dir: &Path) -> std::io::Result<Self> {
        let folder = std::fs::metadata(dir)?;
        Ok(Self { dir: dir.to_owned(), owner: (folder.uid(), folder.gid()) })
    }

    /// Whose the repository is.
    pub fn owner(&self) -> (u32, u32) {
        self.owner
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"GIT_") && !KEPT.iter().any(|kept| name == *kept) {
                command.env_remove(name);
            }
        }
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        command.current_dir(&self.dir).stdin(Stdio::null()).process_group(0);
        if nix::unistd::geteuid().is_root() && self.owner.0 != 0 {
            command.gid(self.owner.1).uid(self.owner.0);
        }
        command.args(FIXED.iter().flat_map(|setting| ["-c", setting]));
        command
    }

    /// Runs it; an interrupt ends it.
    ///
    /// # Errors
    /// When it can't be started, or was interrupted.
    pub fn output<S: AsRef<OsStr>>(&self, words: &[S], interrupt: &Interrupt) -> Result<Output, Failure> {
        let mut command = self.command();
        let child =
            command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(unstarted)?;
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(child.wait_with_output()));
        let mut told = false;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(_) if told => return Err(launch::interrupted()),
                Ok(output) => return Ok(output?),
                Err(RecvTimeoutError::Timeout) if interrupt.came() && !told => {
                    // It takes back what it began. Until it is waited for, its number is no other's.
                    let _ = kill(pid, Signal::SIGTERM);
                    told = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("git was lost")),
            }
        }
    }

    /// As [`Self::output`], and it must be content: what it said, without the newline at the end.
    ///
    /// # Errors
    /// With git's own words.
    pub fn must<S: AsRef<OsStr>>(&self, words: &[S], interrupt: &Interrupt) -> Result<String, Failure> {
        let output = self.output(words, interrupt)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let fatal = said.lines().find_map(|line| line.strip_prefix("fatal: "));
        let last = said.trim_end().lines().last().unwrap_or("it failed, and said nothing");
        Err(Failure::new(format!("git: {}", fatal.unwrap_or(last))))
    }

    /// Whether it is content.
    ///
    /// # Errors
    /// As [`Self::output`].
    pub fn agrees<S: AsRef<OsStr>>(&self, words: &[S], interrupt: &Interrupt) -> Result<bool, Failure> {
        Ok(self.output(words, interrupt)?.status.success())
    }

    /// Whether there is anything in a worktree that is not committed. Looks at no repository within, whose configuration would
    /// hold there, and takes the worktree's own folders from our record and not from the files that name them.
    ///
    /// # Errors
    /// When git can't look.
    pub fn is_dirty(&self, worktree: &Worktree, common: &Path) -> Result<bool, Failure> {
        let mut command = self.command();
        command.current_dir(&worktree.dir);
        command.env("GIT_DIR", worktree.git_dir()).env("GIT_COMMON_DIR", common);
        command.env("GIT_WORK_TREE", &worktree.dir);
        command.args(["status", "--porcelain", "--ignore-submodules=all", "--untracked-files=normal"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(unstarted)?;
        // One byte says it; a list could be as long as an agent likes.
        let mut byte = [0];
        let got = child.stdout.take().map_or(Ok(0), |mut stdout| stdout.read(&mut byte))?;
        if got > 0 {
            child.kill()?;
        }
        let status = child.wait()?;
        match got {
            0 if !status.success() => Err(Failure::new("git can't tell whether everything is committed")),
            got => Ok(got > 0),
        }
    }
}

fn unstarted(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new("git is not installed; worktrees need it"),
        std::io::ErrorKind::PermissionDenied => {
            Failure::new("Can't run git as the project's owner: it can't reach the folder")
        }
        _ => Failure::new(format!("Can't run git: {error}")),
    }
}
