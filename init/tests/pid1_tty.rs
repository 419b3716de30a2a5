//! The command and its terminal.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use std::time::Duration;

use common_pid1::pty::Pty;
use common_pid1::{Around, Init, MOMENT, Scratch, Space, TERM, recorder, status, wait_for, wait_until};

const INT: i32 = 2;
const WINCH: i32 = 28;
const TSTP: &str = "20";
const CAUSES: usize = 6;

fn on<'a>(pty: &'a Pty) -> Around<'a> {
    Around { terminal: Some(pty.path()), ..Around::default() }
}

/// Whether the command is in the foreground, leads its group, leads its session.
fn standing(init: Init) -> String {
    let pty = Pty::new();
    let scratch = Scratch::new();
    let program = r#"use POSIX; open(my $s, '<', '/proc/self/stat'); my @s = split ' ', <$s>;
        open(my $f, '>', $ARGV[0]); syswrite $f, join(' ', (tcgetpgrp(0) == getpgrp() && getpgrp() != 0) ? 'foreground' : 'background',
        getpgrp() == $$ ? 'group' : 'no-group', $s[5] == $$ ? 'session' : 'no-session') . "\n""#;
    let mut space = Space::start_in(init, &["perl", "-e", program, &scratch.file("log")], on(&pty));
    space.code();
    scratch.lines("log").join("\n")
}

#[test]
fn the_command_has_the_terminal() {
    assert_eq!(standing(Init::Ours), "foreground group no-session");
    assert_eq!(standing(Init::OursSession), "foreground group session");
    assert_eq!(standing(Init::DumbInit), "foreground group session");
    assert!(standing(Init::DumbInitChild).contains("no-group"));
}

/// How often a signal that the terminal causes `CAUSES` times reaches the command.
fn times(init: Init, signal: i32, cause: impl Fn(&mut Pty, usize)) -> usize {
    let mut pty = Pty::new();
    let scratch = Scratch::new();
    let file = scratch.file("log");
    let _space = Space::start_in(init, &recorder(&file, &[]), on(&pty));
    scratch.wait_for_line("log", "ready");
    let line = signal.to_string();
    for n in 1..=CAUSES {
        let before = scratch.count("log", &line);
        cause(&mut pty, n);
        wait_for("the first", || scratch.count("log", &line) > before);
        std::thread::sleep(MOMENT / 5);
    }
    scratch.count("log", &line)
}

#[test]
fn a_key_and_a_resize_arrive_once() {
    let press = |pty: &mut Pty, _| pty.press(b"\x03");
    let resize = |pty: &mut Pty, n: usize| pty.stty(&["rows", &(40 + n).to_string()]);
    for ours in [Init::Ours, Init::OursSession] {
        assert_eq!(times(ours, INT, press), CAUSES);
        assert_eq!(times(ours, WINCH, resize), CAUSES);
    }
    // Where the command shares init's group, keys come twice; two that come together count as one, on a busy
    // machine now and then every time.
    assert!((0..10).any(|_| times(Init::DumbInitChild, INT, press) > CAUSES));
}

#[test]
fn ctrl_z_stops_the_command_and_not_init() {
    let stops = |init| {
        let mut pty = Pty::new();
        let scratch = Scratch::new();
        let file = scratch.file("log");
        let space = Space::start_in(init, &recorder(&file, &[TSTP]), on(&pty));
        scratch.wait_for_line("log", "ready");
        pty.press(b"\x1a");
        let stopped = |pid| status(pid, "State").is_some_and(|state| state.starts_with('T'));
        let command = wait_until(MOMENT, || stopped(space.agent()));
        assert!(!stopped(space.pid1));
        command
    };
    assert!(stops(Init::Ours));
    assert!(!stops(Init::Catatonit));
}

#[test]
fn an_interactive_shell_ends_on_term() {
    let ends = |init| {
        let pty = Pty::new();
        let scratch = Scratch::new();
        let prompt = format!("PROMPT_COMMAND=echo ready > {}", scratch.file("log"));
        let mut space = Space::start_in(init, &["env", &prompt, "bash", "--norc", "-i"], on(&pty));
        scratch.wait_for_line("log", "ready");
        // From the command to the prompt's read.
        std::thread::sleep(MOMENT);
        space.signal(TERM);
        space.wait_code(MOMENT * 3)
    };
    assert_eq!(ends(Init::Ours), Some(129));
    assert!(ends(Init::OursSession).is_some());
    assert_eq!(ends(Init::Tini), None);
}

#[test]
fn a_program_that_cleans_up_after_term_is_not_hung_up() {
    let pty = Pty::new();
    let scratch = Scratch::new();
    let file = scratch.file("log");
    let space = Space::start_in(Init::Ours, &recorder(&file, &[]), on(&pty));
    scratch.wait_for_line("log", "ready");
    space.signal(TERM);
    scratch.wait_for_line("log", "15");
    wait_until(MOMENT, || scratch.count("log", "1") > 0);
    assert_eq!(scratch.count("log", "1"), 0);
}

#[test]
fn a_shell_with_its_own_session_has_job_control() {
    let pty = Pty::new();
    let scratch = Scratch::new();
    let script = format!("exec 2>{0}; set -m; sleep 0.1 & fg; echo \"code $?\" >> {0}", scratch.file("log"));
    Space::start_in(Init::OursSession, &["bash", "-c", &script], on(&pty)).code();
    let lines = scratch.lines("log");
    assert_eq!(lines, ["code 0"], "no complaint about job control");
}

#[test]
fn a_message_on_a_terminal_with_tostop_does_not_stop_init() {
    let pty = Pty::new();
    pty.stty(&["tostop"]);
    let scratch = Scratch::new();
    let deaf = r#"$SIG{TERM} = 'IGNORE'; $SIG{HUP} = 'IGNORE'; open(my $f, '>', $ARGV[0]); syswrite $f, "ready\n"; sleep 1 while 1"#;
    let mut space = Space::start_in(Init::Ours, &["perl", "-e", deaf, &scratch.file("log")], on(&pty));
    scratch.wait_for_line("log", "ready");
    space.signal(TERM);
    std::thread::sleep(Duration::from_millis(100));
    space.signal(TERM);
    assert_eq!(space.code(), 137);
}
