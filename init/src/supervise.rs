//! `clawker-init supervise -- cmd`: the duties of a good init and nothing else, as PID 1 or as a subreaper. It
//! installs no rules, so it refuses to run where a boot config says that there must be some.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clawker_protocol::{duration, places};

use crate::child::{Plan, Terminal};
use crate::exit_code::SETUP_FAILED;
use crate::log;
use crate::shutdown::DEFAULT_GRACE;
use crate::supervisor::{self, Alone, Options};

const USAGE: &str = "usage: clawker-init supervise [--grace 8s] [--session] [--] COMMAND [ARGUMENT...]

  --grace TIME   from the first TERM or INT to KILL; 8s unless given
  --session      give the command a session of its own on the terminal, as a shell wants
";

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
enum Mistake {
    #[error("Unknown option {0:?}; try clawker-init supervise --help")]
    UnknownOption(OsString),
    #[error("--grace needs a time, as in --grace 8s")]
    NoGrace,
    #[error("--grace: {0}")]
    Grace(#[from] duration::InvalidDuration),
    #[error("No command to run; try clawker-init supervise --help")]
    NoCommand,
}

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    grace: Duration,
    terminal: Terminal,
    help: bool,
    command: Vec<OsString>,
}

fn parse(args: &[OsString]) -> Result<Asked, Mistake> {
    let mut asked =
        Asked { grace: DEFAULT_GRACE, terminal: Terminal::Group, help: false, command: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--") => {
                asked.command = args.cloned().collect();
                break;
            }
            Some("--help" | "-h") => asked.help = true,
            Some("--session") => asked.terminal = Terminal::Session,
            Some("--grace") => asked.grace = grace(args.next().ok_or(Mistake::NoGrace)?)?,
            Some(text) if text.starts_with("--grace=") => {
                asked.grace = grace(OsStr::new(&text["--grace=".len()..]))?
            }
            Some(text) if text.starts_with('-') => return Err(Mistake::UnknownOption(arg.clone())),
            _ => {
                asked.command = std::iter::once(arg).chain(args).cloned().collect();
                break;
            }
        }
    }
    if asked.command.is_empty() && !asked.help { Err(Mistake::NoCommand) } else { Ok(asked) }
}

fn grace(text: &OsStr) -> Result<Duration, Mistake> {
    Ok(duration::parse(&text.to_string_lossy())?)
}

/// What the command sees of our environment. Descriptors handed on by a service manager are closed, so the
/// variables that announce them go too.
fn environment() -> Vec<(OsString, OsString)> {
    let announced = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
    std::env::vars_os().filter(|(name, _)| !announced.iter().any(|listen| name == listen)).collect()
}

/// A path that can't be looked at may well be there.
fn is_certainly_absent(path: &Path) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    matches!(std::fs::symlink_metadata(path), Err(error) if matches!(error.kind(), NotFound | NotADirectory))
}

/// Runs the command; its exit code, or 125 where we failed.
pub fn command(args: &[OsString]) -> u8 {
    let asked = match parse(args) {
        Ok(asked) => asked,
        Err(mistake) => return refuse(&mistake),
    };
    if asked.help {
        // A reader who is gone needs no help.
        let _ = std::io::stdout().write_all(USAGE.as_bytes());
        return 0;
    }
    if !is_certainly_absent(Path::new(places::BOOT_CONFIG)) {
        let config = places::BOOT_CONFIG;
        return refuse(&format!(
            "{config} asks for a firewall, which supervise has not: run clawker-init alone"
        ));
    }
    let mut plan = match Plan::new(&asked.command, &environment()) {
        Ok(plan) => plan,
        Err(error) => return refuse(&error),
    };
    plan.terminal = asked.terminal;
    plan.dies_with_parent = std::process::id() != 1;
    supervisor::run(plan, Options { grace: asked.grace, keep: None }, &mut Alone)
}

fn refuse(why: &dyn std::fmt::Display) -> u8 {
    log::line(&why.to_string());
    SETUP_FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(args: &[&str]) -> Result<Asked, String> {
        parse(&args.iter().map(OsString::from).collect::<Vec<_>>()).map_err(|mistake| mistake.to_string())
    }

    #[test]
    fn the_commands_own_options_stay_its_own() {
        let plain = asked(&["sh", "-c", "x", "--session"]).unwrap();
        assert_eq!((plain.terminal, plain.command.len()), (Terminal::Group, 4));
        let after = asked(&["--session", "--grace", "2s", "--", "--grace", "x"]).unwrap();
        assert_eq!((after.terminal, after.grace), (Terminal::Session, Duration::from_secs(2)));
        assert_eq!(after.command, ["--grace", "x"]);
        assert_eq!(asked(&["--grace=500ms", "x"]).unwrap().grace, Duration::from_millis(500));
        assert_eq!(asked(&["x"]).unwrap().grace, Duration::from_secs(8));
    }

    #[test]
    fn mistakes_are_named() {
        assert!(asked(&["--sesion", "x"]).unwrap_err().contains("--sesion"));
        assert!(asked(&["--grace"]).unwrap_err().contains("8s"));
        assert!(asked(&["--grace", "8", "x"]).unwrap_err().contains("\"8\""));
        assert!(asked(&["--"]).unwrap_err().contains("No command"));
        assert!(asked(&[]).unwrap_err().contains("No command"));
        assert!(asked(&["--help"]).unwrap().help);
    }

    #[test]
    fn a_boot_config_that_cannot_be_looked_at_counts_as_there() {
        assert!(is_certainly_absent(Path::new("/nonexistent/boot.json")));
        assert!(is_certainly_absent(Path::new("/dev/null/boot.json")));
        assert!(!is_certainly_absent(Path::new("/proc/self/stat")));
        let long = format!("/{}", "x".repeat(5_000));
        assert!(!is_certainly_absent(Path::new(&long)));
    }
}
