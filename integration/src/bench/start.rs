//! From the exec of an init to the first instruction of its child: clawker-init, rules included, against tini,
//! in the same fresh namespaces.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::figures::Figures;

/// Makes the namespaces look like an agent's container, then becomes the measured command.
const PRELUDE: &str = r#"set -e
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/clawker/host /run/clawker-pub
cp "$BENCH_BOOT" /run/clawker/host/boot.json
mount --bind "$BENCH_RESOLV" /etc/resolv.conf
ip link set lo up
ip link add eth0 type veth peer name peer0
ip addr add 172.30.0.16/16 dev eth0
ip link set eth0 up
exec "$@"
"#;

/// Prints the monotonic clock and becomes the rest of the arguments, if there is any. Runs twice in a
/// measurement: before the init, and as its child.
///
/// # Errors
/// When the command can't be executed.
pub fn stamp(command: &[String]) -> io::Result<()> {
    use std::os::unix::process::CommandExt;
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_err(io::Error::from)?;
    println!("stamp {}", Duration::from(now).as_nanos());
    match command.split_first() {
        Some((program, args)) => Err(Command::new(program).args(args).exec()),
        None => Ok(()),
    }
}

/// What the measurement needs to know.
#[derive(Debug)]
pub struct Start {
    /// A copy of this program where every user may execute it.
    pub stamp: PathBuf,
    /// A boot config whose command is `stamp stamp`.
    pub boot: PathBuf,
    /// A file to put over /etc/resolv.conf.
    pub resolv: PathBuf,
}

impl Start {
    /// Measures one start of `init` (with its arguments).
    ///
    /// # Errors
    /// When it did not run, or did not print two stamps.
    pub fn once(&self, init: &[&str]) -> io::Result<Duration> {
        let stamp = self.stamp.to_string_lossy();
        let output = Command::new("unshare")
            .args(["--mount", "--pid", "--net", "--fork", "--propagation", "private"])
            .args(["sh", "-c", PRELUDE, "sh", &stamp, "stamp"])
            .args(init)
            .env("BENCH_BOOT", &self.boot)
            .env("BENCH_RESOLV", &self.resolv)
            .stdin(Stdio::null())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let stamps: Vec<u64> =
            text.lines().filter_map(|line| line.strip_prefix("stamp ")?.parse().ok()).collect();
        match stamps.as_slice() {
            [begin, end] => Ok(Duration::from_nanos(end - begin)),
            _ => Err(io::Error::other(format!(
                "{init:?} printed {text:?}, {}",
                String::from_utf8_lossy(&output.stderr)
            ))),
        }
    }

    /// Measures both inits in turn, so that what else the machine does hits both.
    ///
    /// # Errors
    /// As [`Self::once`].
    pub fn compare(&self, init: &Path, rounds: usize) -> io::Result<Option<(Figures, Figures)>> {
        let (init, stamp) = (init.to_string_lossy(), self.stamp.to_string_lossy());
        let (mut ours, mut tini) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(self.once(&[&init])?);
            tini.push(self.once(&["tini", "--", &stamp, "stamp"])?);
        }
        Ok(Figures::of(ours).zip(Figures::of(tini)))
    }
}
