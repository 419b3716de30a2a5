//! Starts an init in a fresh PID namespace and looks at it from outside. The same checks run against the inits
//! that people use, so that each is seen to be able to fail. Needs root; a missing tool fails the test.

#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::enum_variant_names)]

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub mod again;
pub mod pty;

/// Long enough for a loaded machine; a check that passes does not wait for it.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// What was to happen within a moment has not.
pub const MOMENT: Duration = Duration::from_millis(700);

pub const TERM: i32 = 15;
pub const KILL: i32 = 9;

/// Whose duties are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    Ours,
    OursSession,
    OursShortGrace,
    Tini,
    TiniGroup,
    TiniVerbose,
    Catatonit,
    DumbInit,
    DumbInitChild,
    /// The command itself is PID 1.
    None,
}

impl Init {
    pub fn argv(self) -> Vec<&'static str> {
        let ours = env!("CARGO_BIN_EXE_clawker-init");
        match self {
            Self::Ours => vec![ours, "supervise", "--"],
            Self::OursSession => vec![ours, "supervise", "--session", "--"],
            Self::OursShortGrace => vec![ours, "supervise", "--grace", "300ms", "--"],
            Self::Tini => vec![tool("/usr/bin/tini"), "--"],
            Self::TiniGroup => vec![tool("/usr/bin/tini"), "-g", "--"],
            Self::TiniVerbose => vec![tool("/usr/bin/tini"), "-vvv", "--"],
            Self::Catatonit => vec![tool("/usr/bin/catatonit"), "--"],
            Self::DumbInit => vec![tool("/usr/bin/dumb-init"), "--"],
            Self::DumbInitChild => vec![tool("/usr/bin/dumb-init"), "-c", "--"],
            Self::None => vec![],
        }
    }
}

fn tool(path: &'static str) -> &'static str {
    assert!(Path::new(path).exists(), "{path} is missing: install tini, dumb-init and catatonit");
    path
}

/// A namespace with an init in it; killed with everything in it when dropped.
pub struct Space {
    unshare: Child,
    pub pid1: i32,
}

/// What surrounds the init.
#[derive(Default)]
pub struct Around<'a> {
    /// Runs as PID 1 and execs the init.
    pub wrapper: &'a [&'a str],
    pub stderr: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    /// The controlling terminal, and all three streams.
    pub terminal: Option<&'a Path>,
}

impl Space {
    pub fn start(init: Init, command: &[&str]) -> Self {
        Self::start_in(init, command, Around::default())
    }

    pub fn start_in(init: Init, command: &[&str], around: Around<'_>) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests need root, for PID namespaces");
        let mut argv = vec!["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
        if around.terminal.is_some() {
            // PID 1 leads the session, as container runtimes have it.
            argv.extend(["setsid", "--ctty"]);
        }
        argv.extend(around.wrapper);
        argv.extend(init.argv());
        argv.extend(command);
        let [program, args @ ..] = argv.as_slice() else { unreachable!() };
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(stdout) = around.stdout {
            command.stdout(stdout);
        }
        command.stderr(around.stderr.map_or_else(Stdio::piped, Stdio::from));
        if let Some(terminal) = around.terminal {
            let open = || File::options().read(true).write(true).open(terminal).unwrap();
            command.stdin(open()).stdout(open()).stderr(open());
        }
        let unshare = command.spawn().unwrap_or_else(|error| panic!("can't run {program}: {error}"));
        let mut space = Self { unshare, pid1: 0 };
        wait_for("PID 1", || {
            let of = space.unshare.id().cast_signed();
            space.pid1 = children(of).first().copied().unwrap_or(0);
            space.pid1 != 0 || !alive(of)
        });
        space
    }

    pub fn signal(&self, signal: i32) {
        clawker_init::sys::kill(self.pid1, signal).unwrap();
    }

    /// PID 1's own child.
    pub fn agent(&self) -> i32 {
        wait_for("the agent", || !children(self.pid1).is_empty());
        children(self.pid1).first().copied().unwrap()
    }

    pub fn is_over(&mut self) -> bool {
        self.unshare.try_wait().unwrap().is_some()
    }

    /// Its exit status, as shells give it.
    pub fn code(&mut self) -> i32 {
        self.wait_code(PATIENCE).unwrap_or_else(|| panic!("the namespace did not end"))
    }

    pub fn wait_code(&mut self, within: Duration) -> Option<i32> {
        wait_until(within, || self.is_over()).then(|| shell_code(self.unshare.wait().unwrap()))
    }

    /// Everything on stdout and stderr, and the code.
    pub fn finish(mut self) -> (String, String, i32) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        if let Some(mut stdout) = self.unshare.stdout.take() {
            stdout.read_to_end(&mut out).unwrap();
        }
        if let Some(mut stderr) = self.unshare.stderr.take() {
            stderr.read_to_end(&mut err).unwrap();
        }
        let code = self.code();
        (String::from_utf8_lossy(&out).into(), String::from_utf8_lossy(&err).into(), code)
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // The namespace dies with it (--kill-child).
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn shell_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}

pub fn children(pid: i32) -> Vec<i32> {
    fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .unwrap_or_default()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// A line of `/proc/PID/status`.
pub fn status(pid: i32, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(|value| value.trim().to_owned()))
}

pub fn alive(pid: i32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with('Z'))
}

pub fn wait_until(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if done() {
            return true;
        }
        if started.elapsed() > within {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn wait_for(what: &str, done: impl FnMut() -> bool) {
    assert!(wait_until(PATIENCE, done), "waited in vain for {what}");
}

/// A folder that goes with the test; what happens in a namespace is written here.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("clawker-pid1-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// The lines of a file, none where there is no file.
    pub fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.0.join(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    pub fn count(&self, name: &str, line: &str) -> usize {
        self.lines(name).iter().filter(|l| *l == line).count()
    }

    pub fn wait_for_line(&self, name: &str, line: &str) {
        wait_for(line, || self.count(name, line) > 0);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that writes `ready` to the file named first, then the number of each signal that reaches it. It
/// leaves alone the signals named after.
pub const RECORDER: &str = r#"
use Config; use Fcntl;
my $file = shift; my %default = map { $_ => 1 } @ARGV;
sub note { sysopen(my $f, $file, O_WRONLY|O_CREAT|O_APPEND) or die; syswrite $f, "$_[0]\n"; close $f }
my @names = split ' ', $Config{sig_name};
for my $n (1..31, 34..64) {
    next if $default{$n} || $n == 9 || $n == 19 || $n == 17;
    $SIG{$names[$n]} = sub { note($n) };
}
note("ready");
sleep 1 while 1;
"#;

/// The command that records into a file.
pub fn recorder<'a>(file: &'a str, leave: &[&'a str]) -> Vec<&'a str> {
    [&["perl", "-e", RECORDER, file], leave].concat()
}
