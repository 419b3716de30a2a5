//! What the child does between fork and exec, in order. No allocation, no locks, no logging.

use std::io;

use nix::sys::stat::{Mode, umask};
use nix::unistd::chdir;

use super::{Failure, Plan, Stage};
use crate::privileges::{self, Kernel};
use crate::{signals, sys};

/// Becomes the plan's program; comes back only with what failed.
pub(super) fn become_program(plan: &mut Plan) -> Failure {
    match prepare(plan) {
        Err(failure) => failure,
        Ok(()) => Failure::new(Stage::Exec, &exec(plan)),
    }
}

fn prepare(plan: &Plan) -> Result<(), Failure> {
    if let Some(mask) = plan.umask {
        umask(Mode::from_bits_truncate(mask));
    }
    if let Some(score) = &plan.oom_score_adj {
        // Best effort: what holds when PID 1 dies of memory is the rules, not the score.
        let _ = write_oom_score(score);
    }
    if let Some(identity) = &plan.identity {
        // Before the drop, which takes the right to do it. A comfort: where the streams belong to a user that
        // this container doesn't know, the agent can still use them, only not open them anew.
        let _ = privileges::give_streams(identity.uid);
        privileges::drop_to(identity, &mut Kernel)?;
    }
    if plan.dies_with_parent {
        // After the change of uid, which clears it.
        die_with_parent().map_err(|error| Failure::new(Stage::ParentDeath, &error))?;
    }
    if let Some(directory) = &plan.directory {
        chdir(directory.as_c_str()).map_err(|error| Failure::new(Stage::Directory, &error.into()))?;
    }
    // All of ours close at exec already; this is for what slipped through. Older kernels lack the mark.
    let _ = sys::close_range(3, true);
    signals::reset_dispositions();
    // Last: a TERM that came meanwhile ends the child here, with the right status.
    let _ = sys::set_signal_mask(0);
    Ok(())
}

fn write_oom_score(score: &str) -> io::Result<()> {
    use nix::fcntl::{OFlag, open};
    let file = open(c"/proc/self/oom_score_adj", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(&file, score.as_bytes())?;
    Ok(())
}

fn die_with_parent() -> io::Result<()> {
    let parent = nix::unistd::getppid();
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    // It died before we asked.
    if nix::unistd::getppid() == parent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
}

/// Tries the candidates as `execvp` does: one that is missing is passed over, one that may not be run is
/// remembered, a text file goes to the shell.
fn exec(plan: &mut Plan) -> io::Error {
    let mut result = io::Error::from_raw_os_error(libc::ENOENT);
    for file in &plan.candidates {
        let error = plan.argv.exec(file, &plan.environment);
        match error.raw_os_error() {
            Some(libc::ENOEXEC) => {
                // Where there is no shell, it is the file that can't be run.
                let _ = plan.argv.exec_by_shell(file, &plan.environment);
                return error;
            }
            Some(libc::EACCES) => result = error,
            Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP) => {}
            Some(libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT) => {}
            _ => return error,
        }
    }
    result
}
