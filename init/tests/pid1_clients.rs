//! A thousand clients at the control socket, none of which behaves: PID 1 collects orphans, keeps its deadlines and answers
//! who has the secret all the same. One that reads a client's line to its end does none of it.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use clawker_init::child::Plan;
use clawker_init::control::{Arrival, Control};
use clawker_init::supervisor::{self, Attendant, Interest, Options};
use clawker_protocol::control::Response;
use clawker_protocol::secret;
use common_pid1::Scratch;
use common_pid1::again::{as_pid_1, given};

/// Between two deadlines.
const TICK: Duration = Duration::from_millis(20);
/// A deadline that is kept is later by no more on a loaded machine.
const SLACK: Duration = Duration::from_secs(2);

/// Opens the clients and keeps them: silent, half a line, more than any line may have, a byte now and then. Then makes 200
/// orphans and asks with the secret. Ends with 0 when the orphans are collected and the answer came within 4 s, else with 1
/// for the orphans and 2 for the answer.
const CLIENTS: &str = r#"
use IO::Socket::UNIX; use IO::Select; use Time::HiRes 'time'; $SIG{PIPE} = 'IGNORE';
my (@all, @slow);
for my $n (1 .. 1000) {
    my $s = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $ARGV[0], Timeout => 1) or next;
    $s->blocking(0); push @all, $s;
    if ($n % 4 == 1) { syswrite $s, '{"v":1,"id":' }
    if ($n % 4 == 2) { for (1 .. 40) { defined syswrite $s, 'x' x 131072 or last } }
    if ($n % 4 == 3) { push @slow, $s }
}
for (1 .. 200) { if (!fork) { if (!fork) { select undef, undef, undef, 0.01; exit } exit } wait }
my $until = time + 4;
my $ask = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $ARGV[0], Timeout => 1);
$ask and syswrite $ask, qq({"v":1,"id":7,"op":"version","secret":"s3cret"}\n);
my ($answered, $children, $text) = (0, 1, '');
while (time < $until && ($children > 0 || !$answered)) {
    syswrite $_, 'x' for @slow;
    $answered ||= $ask && IO::Select->new($ask)->can_read(0.01) && sysread($ask, $text, 4096) && $text =~ /"id":7,"ok":true/;
    open my $f, '<', '/proc/1/task/1/children'; $children = grep { $_ != $$ } split ' ', <$f>;
    select undef, undef, undef, 0.01;
}
exit(($children > 0 ? 1 : 0) + ($answered ? 0 : 2));
"#;

/// Notes how late a deadline was that comes again and again.
struct Clock {
    due: Instant,
    latest: Duration,
}

impl Clock {
    fn new() -> Self {
        Self { due: Instant::now() + TICK, latest: Duration::ZERO }
    }

    fn left(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }

    fn look(&mut self) {
        let late = Instant::now().saturating_duration_since(self.due);
        if self.left().is_zero() {
            self.latest = self.latest.max(late);
            self.due = Instant::now() + TICK;
        }
    }
}

/// Answers as the keeper does.
struct Ours {
    control: Control,
    begin: Instant,
    clock: Clock,
}

impl Attendant for Ours {
    fn interests(&self, into: &mut Vec<Interest>) {
        self.control.interests(into);
    }
    fn timeout(&self) -> Option<Duration> {
        if self.control.has_more() { Some(Duration::ZERO) } else { Some(self.clock.left()) }
    }
    fn attend(&mut self, ready: &[RawFd]) {
        self.clock.look();
        for arrival in self.control.turn(ready, self.begin.elapsed()) {
            if let Arrival::Request { client, request } = arrival {
                self.control.answer(client, &Response::done(request.id, "yes".into()));
            }
        }
    }
    fn agent_started(&mut self, _: i32) {}
    fn agent_exited(&mut self, _: i32) {}
}

/// Reads a line of one client after the other.
struct Patient {
    listener: UnixListener,
    clock: Clock,
}

impl Attendant for Patient {
    fn interests(&self, into: &mut Vec<Interest>) {
        into.push(Interest { fd: self.listener.as_raw_fd(), read: true, write: false });
    }
    fn timeout(&self) -> Option<Duration> {
        Some(self.clock.left())
    }
    fn attend(&mut self, ready: &[RawFd]) {
        self.clock.look();
        if ready.contains(&self.listener.as_raw_fd()) {
            let (stream, _) = self.listener.accept().unwrap();
            let _ = BufReader::new(stream).read_line(&mut String::new());
        }
    }
    fn agent_started(&mut self, _: i32) {}
    fn agent_exited(&mut self, _: i32) {}
}

/// As PID 1: runs the clients and prints whether all deadlines were kept, and how the clients ended.
fn inside<A: Attendant>(path: &str, make: impl FnOnce(&Path) -> A, clock: impl Fn(&A) -> &Clock) {
    let mut attendant = make(Path::new(path));
    let command = ["perl", "-e", CLIENTS, path].map(OsString::from);
    let plan = Plan::new(&command, &std::env::vars_os().collect::<Vec<_>>()).unwrap();
    let options = Options { grace: Duration::from_secs(8), keep: None };
    let code = supervisor::run(plan, options, &mut attendant);
    println!("told: kept {}; code {code}", clock(&attendant).latest < SLACK);
}

#[test]
fn a_thousand_clients_stall_neither_reaping_nor_a_deadline_nor_an_answer() {
    if let Some(socket) = given() {
        let make = |path: &Path| Ours {
            control: Control::listen(path, &secret::hash("s3cret")).unwrap(),
            begin: Instant::now(),
            clock: Clock::new(),
        };
        return inside(&socket, make, |ours| &ours.clock);
    }
    let scratch = Scratch::new();
    let told = as_pid_1(
        "a_thousand_clients_stall_neither_reaping_nor_a_deadline_nor_an_answer",
        &scratch.file("socket"),
    );
    assert_eq!(told, "kept true; code 0");
}

#[test]
fn an_init_that_waits_for_one_client_would_be_found_out() {
    if let Some(socket) = given() {
        let make = |path: &Path| Patient { listener: UnixListener::bind(path).unwrap(), clock: Clock::new() };
        return inside(&socket, make, |patient| &patient.clock);
    }
    let scratch = Scratch::new();
    let told = as_pid_1("an_init_that_waits_for_one_client_would_be_found_out", &scratch.file("socket"));
    assert_eq!(told, "kept false; code 3");
}
