//! The loop and what else it attends to.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use clawker_init::child::Plan;
use clawker_init::supervisor::{self, Alone, Attendant, Interest, Options};
use common_pid1::again::{as_pid_1, is_inside};

/// Writes down what it is told, and takes what arrives in its pipe.
struct Notes {
    pipe: std::io::PipeReader,
    told: Vec<String>,
    wakes: u32,
    timeout: Option<Duration>,
}

impl Attendant for Notes {
    fn interests(&self, into: &mut Vec<Interest>) {
        into.push(Interest { fd: self.pipe.as_raw_fd(), read: true, write: false });
    }
    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
    fn attend(&mut self, ready: &[RawFd]) {
        self.wakes += 1;
        if ready == [self.pipe.as_raw_fd()] {
            let mut byte = [0];
            self.pipe.read_exact(&mut byte).unwrap();
            self.told.push(format!("byte {}", byte[0]));
        }
    }
    fn agent_started(&mut self, pid: i32) {
        self.told.push(format!("started {}", pid > 1));
    }
    fn agent_exited(&mut self, code: i32) {
        self.told.push(format!("exited {code}"));
    }
}

fn plan(command: &[&str]) -> Plan {
    let command: Vec<OsString> = command.iter().map(OsString::from).collect();
    Plan::new(&command, &std::env::vars_os().collect::<Vec<_>>()).unwrap()
}

const OPTIONS: Options = Options { grace: Duration::from_secs(8), keep: None };

/// As PID 1: runs the command, prints what the attendant was told.
fn inside(command: &[&str], timeout: Option<Duration>) {
    let (pipe, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[7]).unwrap();
    let mut notes = Notes { pipe, told: Vec::new(), wakes: 0, timeout };
    let code = supervisor::run(plan(command), OPTIONS, &mut notes);
    println!("told: {}; code {code}; {} wakes", notes.told.join(", "), notes.wakes);
    drop(writer);
}

#[test]
fn the_attendant_is_told_of_its_descriptors_and_of_the_agent() {
    if is_inside() {
        return inside(&["sh", "-c", "sleep 0.3; exit 3"], None);
    }
    let told = as_pid_1("the_attendant_is_told_of_its_descriptors_and_of_the_agent", "");
    assert!(
        told.contains("started true, exited 3; code 3") || told.contains("byte 7, exited 3; code 3"),
        "{told}"
    );
    assert!(told.contains("byte 7") && told.contains("started true"), "{told}");
    // Byte, start, exit, and a few that fall together with them: nothing wakes it besides.
    let wakes: u32 = told.split("; ").nth(2).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(wakes <= 8, "{told}");
}

#[test]
fn a_program_that_never_ran_was_never_started() {
    if is_inside() {
        return inside(&["/no/such/program"], None);
    }
    let told = as_pid_1("a_program_that_never_ran_was_never_started", "");
    assert!(!told.contains("started") && told.contains("exited 127; code 127"), "{told}");
}

#[test]
fn the_attendants_deadline_wakes_the_loop() {
    if is_inside() {
        return inside(&["sleep", "1"], Some(Duration::from_millis(20)));
    }
    let told = as_pid_1("the_attendants_deadline_wakes_the_loop", "");
    let wakes: u32 = told.split("; ").nth(2).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(wakes >= 10, "{told}");
}

#[test]
fn the_agent_is_killed_where_pid_1_cannot_give_up_its_capabilities() {
    if is_inside() {
        clawker_init::sys::capset(clawker_init::sys::Capabilities::default()).unwrap();
        let options = Options { keep: Some(&clawker_init::privileges::PID1_KEEPS), ..OPTIONS };
        let code = supervisor::run(plan(&["sleep", "60"]), options, &mut Alone);
        println!("told: code {code}");
        return;
    }
    let told = as_pid_1("the_agent_is_killed_where_pid_1_cannot_give_up_its_capabilities", "");
    assert_eq!(told, "code 125");
}
