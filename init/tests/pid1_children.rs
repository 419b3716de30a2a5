//! Orphans, storms, and what is left when the command has ended.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use std::process::Command;
use std::time::{Duration, Instant};

use common_pid1::{Init, MOMENT, PATIENCE, Scratch, Space, alive, children, status, wait_for, wait_until};

/// Makes 200 orphans that end at once, then waits.
const ORPHANS: &str = r#"for (1..200) { if (!fork) { if (!fork) { select undef, undef, undef, 0.05; exit } exit } wait }
    open(my $f, '>>', $ARGV[0]); syswrite $f, "done\n"; sleep 1 while 1"#;

fn zombies(init: Init) -> usize {
    let scratch = Scratch::new();
    let space = Space::start(init, &["perl", "-e", ORPHANS, &scratch.file("log")]);
    scratch.wait_for_line("log", "done");
    let is_dead = |pid: &i32| status(*pid, "State").is_some_and(|state| state.starts_with('Z'));
    let count = || children(space.pid1).iter().filter(|pid| is_dead(pid)).count();
    // Only the command lives: from here on no more of them can come.
    wait_until(MOMENT, || children(space.pid1).iter().filter(|pid| !is_dead(pid)).count() <= 1);
    wait_until(MOMENT, || count() == 0);
    count()
}

#[test]
fn two_hundred_orphans_leave_no_zombie() {
    assert_eq!(zombies(Init::Ours), 0);
    // And the count counts: this PID 1 collects nothing.
    assert_eq!(zombies(Init::None), 200);
}

/// Makes 10,000 orphans, most of which end before whoever made them does, and ends itself once it is told to.
const MANY_ORPHANS: &str = r#"for (1..100) { my $one = fork;
        if (!$one) { for (1..100) { exit 9 unless fork } exit 8 } waitpid $one, 0 }
    open(my $f, '>>', "$ARGV[0]/log"); syswrite $f, "done\n"; select undef, undef, undef, 0.05 until -e "$ARGV[0]/go";
    if (!fork) { exit 7 } exit 42"#;

/// The zombies that they left, and the command's exit code.
fn many_orphans(init: Init) -> (usize, i32) {
    let scratch = Scratch::new();
    let path = scratch.path().display().to_string();
    let mut space = Space::start(init, &["perl", "-e", MANY_ORPHANS, &path]);
    wait_until(PATIENCE * 3, || scratch.count("log", "done") > 0);
    // All that PID 1 has as children is the command, and what it has not collected.
    let left = || children(space.pid1).len() - usize::from(init != Init::None);
    wait_until(if init == Init::None { MOMENT } else { PATIENCE }, || left() == 0);
    let left = left();
    std::fs::write(scratch.file("go"), "").unwrap();
    (left, space.code())
}

#[test]
fn ten_thousand_orphans_leave_no_zombie_and_hide_no_exit_code() {
    assert_eq!(many_orphans(Init::Ours), (0, 42));
    // And the count counts: this PID 1 collects only whom it waits for.
    assert_eq!(many_orphans(Init::None), (10_000, 42));
}

#[test]
fn the_commands_exit_code_survives_a_storm_of_others() {
    let storm = r#"for (1..100) { if (!fork) { for (1..5) { if (!fork) { exit 9 } } exit 8 } } exit 42"#;
    for _ in 0..5 {
        assert_eq!(Space::start(Init::Ours, &["perl", "-e", storm]).code(), 42);
    }
}

/// Leaves a process in its own session, which needs a moment to clean up after TERM.
const STRAGGLER: &str = r#"use POSIX;
    pipe(my $r, my $w);
    if (!fork) { setsid();
        $SIG{TERM} = sub { select undef, undef, undef, 0.2; open(my $f, '>>', $ARGV[0]); syswrite $f, "clean\n"; exit };
        syswrite $w, "x"; sleep 1 while 1 }
    sysread $r, my $x, 1; exit 3"#;

fn cleans_up(init: Init) -> bool {
    let scratch = Scratch::new();
    let mut space = Space::start(init, &["perl", "-e", STRAGGLER, &scratch.file("log")]);
    assert_eq!(space.code(), 3);
    scratch.count("log", "clean") == 1
}

#[test]
fn what_the_command_leaves_behind_may_clean_up() {
    assert!(cleans_up(Init::Ours));
    for other in [Init::Tini, Init::TiniGroup, Init::Catatonit, Init::DumbInit] {
        assert!(!cleans_up(other), "{other:?}");
    }
}

#[test]
fn a_stopped_straggler_is_continued_to_clean_up() {
    let scratch = Scratch::new();
    let script = STRAGGLER.replace(
        "syswrite $w, \"x\";",
        "if (!fork) { $SIG{TERM} = 'DEFAULT'; syswrite $w, 'x'; kill 'STOP', getppid(); exit }",
    );
    let mut space = Space::start(Init::Ours, &["perl", "-e", &script, &scratch.file("log")]);
    assert_eq!(space.code(), 3);
    assert_eq!(scratch.count("log", "clean"), 1);
}

#[test]
fn what_does_not_end_is_left_to_the_kernel_after_two_seconds() {
    let deaf = STRAGGLER.replace("select undef, undef, undef, 0.2;", "return;");
    let started = Instant::now();
    assert_eq!(Space::start(Init::Ours, &["perl", "-e", &deaf, "x"]).code(), 3);
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(12), "{took:?}");
}

/// Leaves three processes that ignore TERM and hand on to a child of theirs in a session of its own each millisecond: no
/// list of them is true for long. Each writes a byte.
const HOPPERS: &str = r#"use POSIX; $SIG{TERM} = 'IGNORE';
    for (1..3) { next if fork; for (1..60_000) { exit if fork; setsid();
        open(my $f, '>>', $ARGV[0]); syswrite $f, "x"; close $f; select undef, undef, undef, 0.001 } exit }
    select undef, undef, undef, 0.3; exit 3"#;

#[test]
fn processes_that_multiply_end_with_init() {
    let scratch = Scratch::new();
    let file = scratch.file("log");
    assert_eq!(Space::start(Init::Ours, &["perl", "-e", HOPPERS, &file]).code(), 3);
    let hops = || std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let at_the_end = hops();
    assert!(at_the_end > 20, "{at_the_end} hops are too few to try anything");
    std::thread::sleep(MOMENT);
    assert_eq!(hops(), at_the_end);
}

#[test]
fn outside_a_namespace_only_its_own_descendants_end() {
    let scratch = Scratch::new();
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    // The straggler is orphaned: only a subreaper still knows it.
    let deaf = STRAGGLER
        .replace("select undef, undef, undef, 0.2;", "return;")
        .replace("sleep 1 while 1", "open(my $f, '>>', $ARGV[0]); syswrite $f, \"$$\\n\"; sleep 1 while 1");
    let status = Command::new(env!("CARGO_BIN_EXE_clawker-init"))
        .args(["supervise", "--", "perl", "-e", &deaf, &scratch.file("log")])
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(3));
    let straggler: i32 = scratch.lines("log").first().unwrap().parse().unwrap();
    wait_for("the straggler's end", || !alive(straggler));
    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn the_command_dies_with_a_killed_subreaper() {
    let mut init =
        Command::new(env!("CARGO_BIN_EXE_clawker-init")).args(["supervise", "sleep", "60"]).spawn().unwrap();
    let pid = init.id().cast_signed();
    wait_for("the command", || {
        children(pid).first().is_some_and(|child| status(*child, "Name").is_some_and(|name| name == "sleep"))
    });
    let command = *children(pid).first().unwrap();
    init.kill().unwrap();
    init.wait().unwrap();
    wait_for("the command's end", || !alive(command));
}
