//! `clawker` in a real terminal: raw mode, resize, detach and attach, and the terminal as it was on every way out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clawker_integration::rig::wait;
use clawker_integration::world::World;
use nix::pty::openpty;
use nix::unistd::ttyname;

const PATIENCE: Duration = Duration::from_secs(20);

/// A command in a terminal of its own.
struct Terminal {
    keyboard: File,
    // Held open, so that the terminal stays when the command has left.
    _screen_side: File,
    path: String,
    shown: Arc<Mutex<String>>,
    child: Child,
}

impl Terminal {
    fn open(command: &Command) -> Self {
        let pty = openpty(None, None).unwrap();
        let path = ttyname(&pty.slave).unwrap().to_string_lossy().into_owned();
        let slave = File::from(pty.slave);
        let keyboard = File::from(pty.master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut screen, writer) = (keyboard.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                writer.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        let mut inside = Command::new("setsid");
        inside.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            inside.env(name, value.unwrap_or_default());
        }
        inside.current_dir(command.get_current_dir().unwrap());
        inside.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
        let child = inside.stderr(slave.try_clone().unwrap()).spawn().unwrap();
        Self { keyboard, _screen_side: slave, path, shown, child }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn shows(&self, text: &str) {
        let seen = wait(PATIENCE, || self.shown.lock().unwrap().contains(text));
        assert!(seen, "{text:?} is not on the screen:\n{}", self.shown.lock().unwrap());
    }

    fn settings(&self) -> String {
        let output = Command::new("stty").args(["-F", &self.path, "-a"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn code(&mut self) -> i32 {
        let child = &mut self.child;
        assert!(wait(PATIENCE, || child.try_wait().unwrap().is_some()), "it does not end");
        child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn a_shell_in_a_terminal_is_a_shell_in_a_terminal() {
    let world = World::new("tty").unwrap();
    let mut run =
        Terminal::open(&world.sandbox.command(&["run", "--yes", "--agent", "dev", "--", "bash", "--norc"]));
    let before = run.settings();
    run.types("echo ready-$((40+2))\n");
    run.shows("ready-42");
    assert!(run.settings().contains("-icanon"), "raw while it lasts: {}", run.settings());
    assert!(!run.shown.lock().unwrap().contains("no job control"), "job control works");
    Command::new("stty").args(["-F", &run.path, "rows", "33", "cols", "99"]).status().unwrap();
    run.types("sleep 1; stty size\n");
    run.shows("33 99");
    // An interrupt reaches the program, and the shell lives on.
    run.types("sleep 100\n");
    std::thread::sleep(Duration::from_millis(500));
    run.types("\x03");
    run.types("echo code-$?\n");
    run.shows("code-130");
    run.types("\x10\x11");
    assert_eq!(run.code(), 0);
    run.shows("Detached from dev");
    assert_eq!(
        run.settings().replace("rows 33; columns 99", ""),
        before.replace("rows 0; columns 0", ""),
        "the terminal is as it was"
    );

    let mut exec = Terminal::open(&world.sandbox.command(&["exec", "--agent", "dev", "--", "sh"]));
    exec.types("id -u; echo in-exec\n");
    exec.shows("1001");
    exec.types("\x10\x11");
    assert_eq!(exec.code(), 0, "{}", exec.shown.lock().unwrap());
    assert!(exec.settings().contains(" icanon"), "{}", exec.settings());

    let mut attach = Terminal::open(&world.sandbox.command(&["attach", "dev"]));
    attach.types("echo again-$((1+1))\n");
    attach.shows("again-2");
    attach.types("exit 7\n");
    assert_eq!(attach.code(), 7);

    // Ended by a signal, it still leaves the terminal as it was.
    world.must(&["start", "dev"]).unwrap();
    let mut killed = Terminal::open(&world.sandbox.command(&["attach", "dev"]));
    // What the shell makes of it: what was typed is on the screen before the command is there.
    killed.types("echo there-$((1+1))\n");
    killed.shows("there-2");
    // setsid became the command: it had no group to lead.
    let clawker = nix::unistd::Pid::from_raw(i32::try_from(killed.child.id()).unwrap());
    nix::sys::signal::kill(clawker, nix::sys::signal::Signal::SIGTERM).unwrap();
    killed.code();
    assert!(killed.settings().contains(" icanon"), "{}", killed.settings());
}
