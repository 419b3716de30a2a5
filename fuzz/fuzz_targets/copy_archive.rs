//! An agent's copy of a project, as Docker packs it: the agent chose each name and content in it.

#![no_main]

use std::path::Component;
use std::sync::{LazyLock, Mutex};

use clawker::pull::archive::{Keep, read};
use clawker::pull::node::{Node, Tree};
use clawker::pull::spool::Spool;
use libfuzzer_sys::fuzz_target;

/// One for all: making a file costs more than what is tried.
static SPOOL: LazyLock<Mutex<Spool>> =
    LazyLock::new(|| Mutex::new(Spool::new(&std::env::temp_dir()).expect("a folder for temporary files")));

fuzz_target!(|bytes: &[u8]| {
    let mut spool = SPOOL.lock().expect("nobody panics and goes on");
    let Ok(seen) = read(bytes, &Keep::Small(&Tree::new()), &mut spool) else { return };
    for path in seen.tree.keys() {
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        let parent = path.parent().map(|parent| seen.tree.get(parent));
        assert!(parent.is_none_or(|parent| parent == Some(&Node::Folder)), "{path:?}");
        let in_git = path.parent().is_some_and(|parent| parent.iter().any(|name| name == ".git"));
        assert!(!in_git, "{path:?}");
    }
});
