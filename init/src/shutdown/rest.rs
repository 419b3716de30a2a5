//! What the agent left behind. PID 1 of a namespace reaches all of it with one call; anywhere else that call
//! would reach strangers, so the own descendants are looked up.

use std::fs;
use std::io;

use crate::{log, signals, sys};

/// Looking up and killing is repeated, because a process may fork in between; a fork bomb that wins this often
/// is left to the next init.
const KILL_ROUNDS: usize = 200;

/// Everything that must not outlive us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// We are PID 1: all processes of the namespace.
    Namespace,
    /// We are a subreaper: our descendants.
    Descendants,
}

impl Rest {
    /// Which of the two this process answers for.
    pub fn own() -> Self {
        if std::process::id() == 1 { Self::Namespace } else { Self::Descendants }
    }

    /// Asks all of it to end; stopped ones act on that only when continued.
    pub fn terminate(self) {
        self.signal(libc::SIGTERM);
        self.signal(libc::SIGCONT);
    }

    /// Whether any of it, children or not, lives.
    pub fn lives(self) -> bool {
        match self {
            Self::Namespace => sys::kill(-1, 0).is_ok(),
            // Orphans become ours, so where there is a descendant there is a child.
            Self::Descendants => !children(&std::process::id().to_string()).is_empty(),
        }
    }

    /// Kills what is left. The kernel does it itself when PID 1 of a namespace leaves.
    pub fn kill(self) {
        if self == Self::Namespace {
            return;
        }
        for _ in 0..KILL_ROUNDS {
            self.signal(libc::SIGKILL);
            if crate::reaper::reap(|_, _| {}) == crate::reaper::Left::None {
                return;
            }
            // Nothing is left to attend to; this only gives the killed ones the time to end.
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn signal(self, signal: i32) {
        let report = |result: io::Result<()>| match result {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) && signal != libc::SIGKILL => {
                log::line(&format!("Can't send signal {signal} to what the agent left: {error}"));
            }
            _ => {}
        };
        match self {
            Self::Namespace => report(sys::kill(-1, signal)),
            Self::Descendants => {
                descendants(std::process::id()).into_iter().for_each(|pid| report(sys::kill(pid, signal)))
            }
        }
    }
}

/// All descendants of a process, parents first. Those that end while it looks are left out.
fn descendants(pid: u32) -> Vec<i32> {
    let mut found: Vec<i32> = children(&pid.to_string());
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        for child in children(&pid.to_string()) {
            // Process ids may come round while it looks.
            if !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

fn children(pid: &str) -> Vec<i32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| {
            text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}

/// Whether a process ignores TERM, as interactive shells do.
pub fn ignores_term(pid: i32) -> bool {
    // Bytes: a process names itself, and not always in UTF-8.
    fs::read(format!("/proc/{pid}/status"))
        .is_ok_and(|status| ignores(&String::from_utf8_lossy(&status), libc::SIGTERM))
}

/// Whether a process with this `/proc/PID/status` ignores a signal.
pub fn ignores(status: &str, signal: i32) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & signals::bit(signal) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_process_that_ignores_term_is_taken_for_a_shell() {
        assert!(ignores("Name:\tbash\nSigIgn:\t0000000000384004\n", libc::SIGTERM));
        assert!(!ignores("SigIgn:\t0000000000000000\nSigCgt:\t0000000000384004\n", libc::SIGTERM));
        assert!(!ignores("", libc::SIGTERM));
    }

    #[test]
    fn descendants_are_found_through_their_parents() {
        let mut shell =
            std::process::Command::new("sh").args(["-c", "sleep 60 & sleep 60 & wait"]).spawn().unwrap();
        let leader = i32::try_from(shell.id()).unwrap();
        let all = || descendants(std::process::id());
        let started = std::time::Instant::now();
        while descendants(shell.id()).len() < 2 && started.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let below = descendants(shell.id());
        assert_eq!(below.len(), 2, "the two sleeps of {leader}");
        assert!(below.iter().chain([&leader]).all(|pid| all().contains(pid)));
        below.iter().for_each(|pid| sys::kill(*pid, libc::SIGKILL).unwrap());
        shell.wait().unwrap();
        assert!(descendants(shell.id()).is_empty());
    }
}
