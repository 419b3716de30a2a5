//! What init costs while nothing happens, and that a reader who has stopped can't stop it.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use common_pid1::{Around, Init, MOMENT, Scratch, Space, TERM, recorder, status, wait_for, wait_until};

fn number(pid: i32, key: &str) -> u64 {
    status(pid, key).unwrap().split_whitespace().next().unwrap().parse().unwrap()
}

fn wake_ups(init: Init) -> u64 {
    let scratch = Scratch::new();
    let file = scratch.file("log");
    let space = Space::start(init, &recorder(&file, &[]));
    scratch.wait_for_line("log", "ready");
    std::thread::sleep(Duration::from_millis(300));
    let before = number(space.pid1, "voluntary_ctxt_switches");
    std::thread::sleep(Duration::from_secs(3));
    number(space.pid1, "voluntary_ctxt_switches") - before
}

#[test]
fn an_idle_init_never_wakes() {
    assert_eq!(wake_ups(Init::Ours), 0);
    assert!(wake_ups(Init::Tini) >= 2, "tini wakes every second");
}

#[test]
fn an_idle_init_is_small() {
    let scratch = Scratch::new();
    let file = scratch.file("log");
    let space = Space::start(Init::Ours, &recorder(&file, &[]));
    scratch.wait_for_line("log", "ready");
    let anonymous = number(space.pid1, "RssAnon");
    // The static release build is held to 300 kB elsewhere; an unoptimised, dynamic one has more to start with.
    assert!(anonymous <= 700, "{anonymous} kB");
}

/// A pipe whose reader takes nothing, and how to fill it without touching its other users' flags.
fn stuck_pipe() -> (OwnedFd, OwnedFd, impl Fn()) {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let path = format!("/proc/self/fd/{}", writer.as_raw_fd());
    let own = File::options().write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap();
    let fill = move || {
        let mut own = &own;
        while own.write(&[b'x'; 4096]).is_ok() || own.write(b"x").is_ok() {}
    };
    (reader, writer, fill)
}

#[test]
fn signals_go_on_while_nobody_reads_stderr() {
    let ends = |init| {
        let (_reader, writer, fill) = stuck_pipe();
        let scratch = Scratch::new();
        // Deaf to the first TERM, so that ours has a line to write before it kills.
        let deaf = r#"my $n = 0; $SIG{TERM} = sub { $n++; exit 0 if $n > 1 }; open(my $f, '>', $ARGV[0]);
                      syswrite $f, "ready\n"; sleep 1 while 1"#;
        let around =
            Around { stdout: Some(writer.try_clone().unwrap()), stderr: Some(writer), ..Around::default() };
        let mut space = Space::start_in(init, &["perl", "-e", deaf, &scratch.file("log")], around);
        scratch.wait_for_line("log", "ready");
        fill();
        space.signal(TERM);
        std::thread::sleep(Duration::from_millis(100));
        space.signal(TERM);
        wait_until(MOMENT * 2, || space.is_over())
    };
    assert!(ends(Init::Ours));
    assert!(!ends(Init::TiniVerbose), "tini writes before it forwards, and waits");
}

#[test]
fn messages_reach_a_reader() {
    let mut space = Space::start(Init::Ours, &["sh", "-c", "trap '' TERM; echo; sleep 60"]);
    let agent = space.agent();
    // TERM's own bit: until exec the child ignores PIPE, as Rust's programs do.
    let ignores_term = || {
        let mask = status(agent, "SigIgn").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        mask.is_some_and(|mask| mask & 1 << (TERM - 1) != 0)
    };
    wait_for("the trap", ignores_term);
    space.signal(TERM);
    assert!(!wait_until(MOMENT, || space.is_over()));
    space.signal(TERM);
    let (_, err, code) = space.finish();
    assert_eq!(
        (err.as_str(), code),
        ("clawker-init: Killing the command: it was asked to stop again\n", 137)
    );
}
