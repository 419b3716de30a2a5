//! The mark on an agent that is being made: its folder, locked from its record's first byte to its container's start.
//! The kernel takes the lock back with the process, so that what a killed command left half-made can be told from
//! what another one is making right now.

use std::fs::File;
use std::io;

use nix::fcntl::{Flock, FlockArg};

use crate::paths::Paths;

/// Held while an agent is made.
#[derive(Debug)]
pub struct Making {
    _folder: Flock<File>,
}

impl Making {
    /// Marks the agent with this id; `None` where another process makes it.
    ///
    /// # Errors
    /// When its folder can't be opened.
    pub fn begin(paths: &Paths, id: &str) -> io::Result<Option<Self>> {
        let folder = File::open(paths.agent_dir(id))?;
        Ok(Flock::lock(folder, FlockArg::LockExclusiveNonblock).ok().map(|folder| Self { _folder: folder }))
    }

    /// Whether some process makes it now. Without a folder nobody does.
    pub fn is_under_way(paths: &Paths, id: &str) -> bool {
        matches!(Self::begin(paths, id), Ok(None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_makes_is_seen_until_it_lets_go() {
        let state = std::env::temp_dir().join(format!("clawker-making-{}", std::process::id()));
        let paths =
            Paths { state: state.clone(), config: state.clone(), cache: state.clone(), instance: None };
        assert!(!Making::is_under_way(&paths, "0123abcd"), "there is no such agent");
        std::fs::create_dir_all(paths.agent_dir("0123abcd")).unwrap();
        let making = Making::begin(&paths, "0123abcd").unwrap();
        assert!(making.is_some() && Making::is_under_way(&paths, "0123abcd"));
        drop(making);
        assert!(!Making::is_under_way(&paths, "0123abcd"));
        std::fs::remove_dir_all(&state).unwrap();
    }
}
