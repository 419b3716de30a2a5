//! A terminal whose keyboard and screen are in the test's hands.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::pty::openpty;

pub struct Pty {
    keyboard: std::fs::File,
    path: PathBuf,
    /// Keeps the terminal alive between two users.
    _slave: OwnedFd,
}

impl Pty {
    pub fn new() -> Self {
        let pair = openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(&pair.slave).unwrap();
        let screen = std::fs::File::from(pair.master.try_clone().unwrap());
        // Nobody looks at the screen; a full one would stop its writers.
        std::thread::spawn(move || std::io::copy(&mut { screen }, &mut std::io::sink()));
        Self { keyboard: pair.master.into(), path, _slave: pair.slave }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    pub fn stty(&self, args: &[&str]) {
        let status = Command::new("stty").arg("-F").arg(&self.path).args(args).status();
        assert!(status.is_ok_and(|status| status.success()), "stty {args:?} failed");
    }
}
