//! Which signals reach the command, and whom else.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use common_pid1::{
    Around, Init, KILL, MOMENT, PATIENCE, Scratch, Space, TERM, recorder, status, wait_for, wait_until,
};

/// The signals of `all` that never reach the command, sent to init from outside one by one.
fn lost(init: Init, all: &[i32]) -> Vec<i32> {
    let scratch = Scratch::new();
    let file = scratch.file("log");
    let space = Space::start(init, &recorder(&file, &[]));
    scratch.wait_for_line("log", "ready");
    all.iter()
        .copied()
        .filter(|signal| {
            space.signal(*signal);
            let line = signal.to_string();
            let arrived = wait_until(MOMENT, || scratch.count("log", &line) > 0);
            if !arrived {
                // Where it arrived as STOP instead, the next ones must not suffer for it.
                let _ = clawker_init::sys::kill(space.agent(), 18);
            }
            !arrived
        })
        .collect()
}

/// All but KILL, STOP, CHLD and the synchronous seven; TERM last, because CONT comes with it.
fn all() -> Vec<i32> {
    let not = [4, 5, 6, 7, 8, 9, 11, 17, 19, 31, 2, TERM];
    (1..=30).filter(|signal| !not.contains(signal)).chain(34..=64).chain([TERM]).collect()
}

#[test]
fn no_signal_is_lost() {
    assert_eq!(lost(Init::Ours, &all()), [0; 0]);
    assert_eq!(lost(Init::Ours, &[2]), [0; 0]);
}

#[test]
fn others_lose_the_ones_of_job_control() {
    assert_eq!(lost(Init::Tini, &[20, 21, 22]), [21, 22]);
    assert_eq!(lost(Init::Catatonit, &[20, 21, 22]), [20, 21, 22]);
    assert_eq!(lost(Init::DumbInit, &[20, 21, 22]), [20, 21, 22]);
}

/// How many of the two processes in the command's group a USR1 reaches.
fn reached(init: Init) -> usize {
    let scratch = Scratch::new();
    let program = r#"$SIG{USR1} = sub { open(my $f, '>>', $ARGV[0]); syswrite $f, "got\n" }; fork;
                     open(my $f, '>>', $ARGV[0]); syswrite $f, "ready\n"; sleep 1 while 1"#;
    let space = Space::start(init, &["perl", "-e", program, &scratch.file("log")]);
    wait_for("both processes", || scratch.count("log", "ready") == 2);
    space.signal(10);
    wait_for("the first", || scratch.count("log", "got") > 0);
    wait_until(MOMENT, || scratch.count("log", "got") == 2);
    scratch.count("log", "got")
}

#[test]
fn a_signal_goes_to_the_whole_group() {
    assert_eq!(reached(Init::Ours), 2);
    assert_eq!(reached(Init::OursSession), 2);
    assert_eq!(reached(Init::TiniGroup), 2);
    assert_eq!(reached(Init::Tini), 1);
}

#[test]
fn init_goes_on_where_it_may_not_signal_the_command() {
    let goes_on = |init| {
        let scratch = Scratch::new();
        let file = scratch.file("log");
        let command = [vec!["setpriv", "--reuid", "1001", "--clear-groups"], recorder(&file, &[])].concat();
        let wrapper = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"];
        let mut space = Space::start_in(init, &command, Around { wrapper: &wrapper, ..Around::default() });
        scratch.wait_for_line("log", "ready");
        space.signal(TERM);
        let over = wait_until(MOMENT, || space.is_over());
        assert_eq!(scratch.count("log", "15"), 0, "the capability was there after all");
        !over
    };
    assert!(goes_on(Init::Ours));
    assert!(!goes_on(Init::Tini));
}

#[test]
fn a_command_that_stops_itself_has_not_ended() {
    let scratch = Scratch::new();
    let script = format!("kill -STOP $$; echo went on > {}; exit 6", scratch.file("log"));
    let mut space = Space::start(Init::Ours, &["sh", "-c", &script]);
    let agent = space.agent();
    wait_for("the stop", || status(agent, "State").is_some_and(|state| state.starts_with('T')));
    assert_eq!(space.wait_code(MOMENT), None);
    space.signal(18);
    assert_eq!(space.code(), 6);
    assert_eq!(scratch.lines("log"), ["went on"]);
}

#[test]
fn term_is_never_lost_once_init_has_begun() {
    for _ in 0..30 {
        let mut space = Space::start(Init::Ours, &["sleep", "60"]);
        // From the moment in which signals are blocked; the command most likely doesn't exist yet.
        wait_for("blocked signals", || {
            let is_init = status(space.pid1, "Name").is_some_and(|name| name == "clawker-init");
            is_init && status(space.pid1, "SigBlk").is_some_and(|mask| mask.starts_with("ffff"))
        });
        space.signal(TERM);
        assert_eq!(space.wait_code(PATIENCE), Some(143));
    }
}

#[test]
fn a_stopped_command_acts_on_term() {
    let ends = |init| {
        let mut space = Space::start(init, &["sh", "-c", "kill -STOP $$; sleep 60"]);
        let agent = space.agent();
        wait_for("the stop", || status(agent, "State").is_some_and(|state| state.starts_with('T')));
        space.signal(TERM);
        space.wait_code(MOMENT * 2)
    };
    assert_eq!(ends(Init::Ours), Some(143));
    assert_eq!(ends(Init::Tini), None);
}

/// Two processes in one group, both deaf to TERM.
const DEAF: &str =
    r#"$SIG{TERM} = 'IGNORE'; fork; open(my $f, '>>', $ARGV[0]); syswrite $f, "ready\n"; sleep 1 while 1"#;

#[test]
fn the_second_term_kills_the_group() {
    let scratch = Scratch::new();
    let mut space = Space::start(Init::Ours, &["perl", "-e", DEAF, &scratch.file("log")]);
    wait_for("both", || scratch.count("log", "ready") == 2);
    space.signal(TERM);
    assert_eq!(space.wait_code(MOMENT), None, "it is deaf, and the grace is long");
    space.signal(TERM);
    assert_eq!(space.code(), 137);
}

#[test]
fn the_end_of_the_grace_kills_the_group() {
    let scratch = Scratch::new();
    let mut space = Space::start(Init::OursShortGrace, &["perl", "-e", DEAF, &scratch.file("log")]);
    wait_for("both", || scratch.count("log", "ready") == 2);
    space.signal(TERM);
    assert_eq!(space.code(), 137);
    let mut tini = Space::start(Init::Tini, &["perl", "-e", DEAF, &scratch.file("tini")]);
    wait_for("both", || scratch.count("tini", "ready") == 2);
    tini.signal(TERM);
    assert_eq!(tini.wait_code(MOMENT * 2), None, "tini never escalates");
}

/// A tracer that comes and goes interrupts whatever init waits in; what then comes is forwarded and collected as before.
#[test]
fn init_goes_on_after_it_was_traced() {
    let scratch = Scratch::new();
    let mut space = Space::start(Init::Ours, &recorder(&scratch.file("log"), &["15"]));
    scratch.wait_for_line("log", "ready");
    let pid1 = Pid::from_raw(space.pid1);
    for _ in 0..5 {
        ptrace::seize(pid1, ptrace::Options::empty()).unwrap();
        ptrace::interrupt(pid1).unwrap();
        waitpid(pid1, None).unwrap();
        // Positive control: it stands still.
        assert!(status(space.pid1, "State").unwrap().starts_with('t'));
        ptrace::detach(pid1, None).unwrap();
    }
    space.signal(10);
    scratch.wait_for_line("log", "10");
    space.signal(TERM);
    assert_eq!(space.code(), 128 + TERM);
}

#[test]
fn nothing_inside_can_kill_init() {
    let script = "kill -KILL 1; kill -STOP 1; sleep 0.3; exit 4";
    assert_eq!(Space::start(Init::Ours, &["sh", "-c", script]).code(), 4);
    // And the tests could tell.
    let mut space = Space::start(Init::Ours, &["sleep", "60"]);
    space.agent();
    space.signal(KILL);
    wait_for("the end", || space.is_over());
}
