//! Runs one test of this very test program again as PID 1 of a namespace, with all signals blocked from the start, as
//! `main` would have it.

use std::process::Command;

const INNER: &str = "CLAWKER_TEST_INNER";

/// In PID 1 of [`as_pid_1`], what it was given.
pub fn given() -> Option<String> {
    std::env::var(INNER).ok()
}

/// Whether this is PID 1 of [`as_pid_1`].
pub fn is_inside() -> bool {
    given().is_some()
}

/// Runs a test there and gives it a text; what it printed after `told: `.
pub fn as_pid_1(test: &str, given: &str) -> String {
    assert!(nix::unistd::geteuid().is_root(), "these tests need root, for PID namespaces");
    let block =
        "use POSIX; my $all = POSIX::SigSet->new; $all->fillset; sigprocmask(SIG_BLOCK, $all); exec @ARGV";
    let exe = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "perl", "-e", block])
        .arg(exe)
        .args(["--exact", test, "--nocapture"])
        .env(INNER, given)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once("told: ").map(|(_, told)| told.to_owned()));
    line.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}
