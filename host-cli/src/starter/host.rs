//! The machine that is asked: its programs, variables and files, behind a trait so that tests have one of their own.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The most that is read of a file or of a program, in bytes.
const MAX_LEN: u64 = 1 << 20;
/// How long a program may take.
const TIME: Duration = Duration::from_secs(15);
/// How often it is looked after.
const TICK: Duration = Duration::from_millis(20);

/// What is asked.
pub trait Host {
    /// What a program prints; `None` where there is no such program, or it fails.
    fn program(&self, name: &str, args: &[&str]) -> Option<String>;
    /// A variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// The user's home.
    fn home(&self) -> Option<PathBuf>;
}

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Host for Machine {
    fn program(&self, name: &str, args: &[&str]) -> Option<String> {
        let mut child = Command::new(program(name)?)
            .args(args)
            // Not in the project: its files say which toolchain to run, and which script is the package manager.
            .current_dir("/")
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "")
            .env("NO_UPDATE_NOTIFIER", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let stdout = child.stdout.take()?;
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.take(MAX_LEN).read_to_string(&mut text).ok().map(|_| text)
        });
        let end = Instant::now() + TIME;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < end => std::thread::sleep(TICK),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return None;
                }
            }
        };
        let text = reader.join().ok().flatten()?;
        status.success().then_some(text)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
    }
}

/// Where a program lies, by those folders of PATH that don't depend on where the user stands.
fn program(name: &str) -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    let path = std::env::var_os("PATH")?;
    // What lies in the project is its agent's to write.
    let folders = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
    let outside = folders.filter(|folder| !folder.starts_with(&here) || here == Path::new("/"));
    outside.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A file's text; `None` where there is none that can be read as such.
pub(super) fn text(file: &Path) -> Option<String> {
    // A pipe would be waited for.
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(MAX_LEN).read_to_string(&mut text).ok()?;
    Some(text)
}
