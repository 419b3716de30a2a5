//! The socket against clients that misbehave. Run as root or not, the peer here is inside the namespace.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;

use super::*;

struct Rig {
    path: PathBuf,
    control: Control,
    now: Duration,
}

impl Rig {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("clawker-control-{name}-{}", std::process::id()));
        let control = Control::listen(&path, &secret::hash("s3cret")).unwrap();
        Self { path, control, now: Duration::from_secs(1000) }
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    /// Everything is ready, as after a poll that woke for all.
    fn turn(&mut self) -> Vec<Arrival> {
        let mut interests = Vec::new();
        self.control.interests(&mut interests);
        let mut ready: Vec<RawFd> = interests.iter().map(|interest| interest.fd).collect();
        let mut arrivals = self.control.turn(&ready, self.now);
        interests.clear();
        self.control.interests(&mut interests);
        ready = interests.iter().map(|interest| interest.fd).collect();
        arrivals.extend(self.control.turn(&ready, self.now));
        arrivals
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

fn line(stream: &UnixStream) -> Response {
    let mut text = String::new();
    BufReader::new(stream.try_clone().unwrap()).read_line(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn code(stream: &UnixStream) -> ErrorCode {
    line(stream).error.unwrap().code
}

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_peer_is_outside_or_root() {
    for (pid, uid, good) in [(0, 1000, true), (0, 0, true), (7, 0, true), (7, 1001, false), (7, 33, false)] {
        assert_eq!(accepted(pid, uid), good, "pid {pid} uid {uid}");
    }
}

#[test]
fn only_the_secret_opens() {
    assert!(root(), "this test needs root");
    let mut rig = Rig::new("secret");
    let mut good = rig.connect();
    let mut bad = rig.connect();
    good.write_all(b"{\"v\":1,\"id\":1,\"op\":\"status\",\"secret\":\"s3cret\"}\n").unwrap();
    bad.write_all(b"{\"v\":1,\"id\":2,\"op\":\"status\"}\n").unwrap();
    let arrivals = rig.turn();
    assert_eq!(arrivals.iter().filter(|arrival| matches!(arrival, Arrival::Request { .. })).count(), 1);
    assert_eq!(arrivals.iter().filter(|arrival| matches!(arrival, Arrival::Refused(_))).count(), 1);
    assert_eq!(code(&bad), ErrorCode::Forbidden);
}

#[test]
fn garbage_is_named_and_the_next_line_still_counts() {
    let mut rig = Rig::new("garbage");
    let mut client = rig.connect();
    client.write_all(b"\x00\xff garbage\n").unwrap();
    rig.turn();
    assert_eq!(code(&client), ErrorCode::BadRequest);
    client.write_all(b"{\"v\":1,\"id\":1,\"op\":\"status\",\"secret\":\"s3cret\"}\n").unwrap();
    assert_eq!(rig.turn().len(), 1);
}

#[test]
fn what_a_client_asked_that_gave_up_waiting_is_not_done_later() {
    assert!(root(), "this test needs root");
    let mut rig = Rig::new("gave-up");
    let mut client = rig.connect();
    client.write_all(b"{\"v\":1,\"id\":1,\"op\":\"disable\",\"secret\":\"s3cret\"}\n").unwrap();
    drop(client);
    assert!(rig.turn().is_empty(), "a failure that was reported happened after all");
    assert!(rig.control.clients.is_empty());
}

#[test]
fn a_client_that_sends_no_more_still_gets_every_answer() {
    assert!(root(), "this test needs root");
    let mut rig = Rig::new("half-close");
    let mut client = rig.connect();
    let request = b"{\"v\":1,\"id\":5,\"op\":\"status\",\"secret\":\"s3cret\"}\n";
    client.write_all(&[request.as_slice(), request, b"{\"v\":1"].concat()).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answered = 0;
    for _ in 0..5 {
        let mut interests = Vec::new();
        rig.control.interests(&mut interests);
        let ready: Vec<RawFd> = interests.iter().map(|interest| interest.fd).collect();
        // One turn at a time: the loop answers each request before it looks for the next.
        for arrival in rig.control.turn(&ready, rig.now) {
            let Arrival::Request { client, request } = arrival else { panic!("{arrival:?}") };
            rig.control.answer(client, &Response::done(request.id, serde_json::Value::Null));
            answered += 1;
        }
    }
    assert_eq!(answered, 2);
    let mut lines = BufReader::new(client).lines().map(Result::unwrap);
    let mut next = || serde_json::from_str::<Response>(&lines.next().unwrap()).unwrap();
    assert!(next().ok && next().ok);
    assert_eq!(next().error.unwrap().code, ErrorCode::BadRequest);
    // And it was closed, so that nobody waits for more.
    assert!(lines.next().is_none());
    assert!(rig.control.clients.is_empty() && !rig.control.has_more());
}

#[test]
fn a_client_that_is_gone_holds_no_place() {
    let mut rig = Rig::new("gone");
    drop(rig.connect());
    rig.turn();
    assert!(rig.control.clients.is_empty());
}

#[test]
fn half_a_line_is_cut_after_its_time() {
    let mut rig = Rig::new("half");
    let mut client = rig.connect();
    client.write_all(b"{\"v\":1").unwrap();
    rig.turn();
    assert!(rig.control.timeout(rig.now).unwrap() <= REQUEST_TIME);
    rig.now += REQUEST_TIME;
    rig.turn();
    assert_eq!(code(&client), ErrorCode::Timeout);
    assert!(rig.control.clients.is_empty());
}

#[test]
fn a_line_without_end_is_cut_and_its_memory_given_back() {
    let mut rig = Rig::new("long");
    let client = rig.connect();
    let sender = client.try_clone().unwrap();
    let thread = std::thread::spawn(move || {
        let mut sender = sender;
        for _ in 0..2_000 {
            if sender.write_all(&[b'x'; 4096]).is_err() {
                return;
            }
        }
    });
    for _ in 0..10_000 {
        rig.turn();
        if rig.control.clients.is_empty() {
            break;
        }
    }
    assert!(rig.control.clients.is_empty(), "never cut");
    drop(rig);
    drop(client);
    thread.join().unwrap();
}

#[test]
fn a_long_line_is_for_policies_only() {
    assert!(root(), "this test needs root");
    let mut rig = Rig::new("short");
    let mut client = rig.connect();
    let padding = "x".repeat(MAX_SHORT_LINE);
    let text =
        format!("{{\"v\":1,\"id\":3,\"op\":\"status\",\"secret\":\"s3cret\",\"pad\":\"{padding}\"}}\n");
    client.write_all(text.as_bytes()).unwrap();
    assert!(rig.turn().is_empty());
    assert_eq!(code(&client), ErrorCode::TooLong);
}

#[test]
fn past_the_bound_clients_are_told_and_old_idle_ones_go() {
    let mut rig = Rig::new("many");
    let clients: Vec<UnixStream> = (0..MAX_CLIENTS + 5).map(|_| rig.connect()).collect();
    rig.turn();
    assert_eq!(rig.control.clients.len(), MAX_CLIENTS);
    assert_eq!(code(clients.first().unwrap()), ErrorCode::Busy);
    rig.now += IDLE_TIME;
    rig.turn();
    assert!(rig.control.clients.is_empty());
}

#[test]
fn silent_clients_keep_nobody_out_and_push_nobody_out_who_has_the_secret() {
    assert!(root(), "this test needs root");
    let request = b"{\"v\":1,\"id\":1,\"op\":\"status\",\"secret\":\"s3cret\"}\n";
    let mut rig = Rig::new("silent");
    let mut known = rig.connect();
    known.write_all(request).unwrap();
    assert_eq!(rig.turn().len(), 1);
    let _silent: Vec<UnixStream> = (0..MAX_CLIENTS * 2).map(|_| rig.connect()).collect();
    rig.turn();
    let mut late = rig.connect();
    late.write_all(request).unwrap();
    known.write_all(request).unwrap();
    assert_eq!(rig.turn().len(), 2);
    assert_eq!(rig.control.clients.len(), MAX_CLIENTS);
}

#[test]
fn a_streaming_client_that_does_not_read_is_cut() {
    let mut rig = Rig::new("stream");
    let _client = rig.connect();
    rig.turn();
    let key = rig.control.clients[0].key;
    rig.control.stream_to(key);
    let lines: VecDeque<String> = std::iter::repeat_n("x".repeat(1000) + "\n", 100).collect();
    for _ in 0..100 {
        rig.control.broadcast(&lines);
    }
    assert!(rig.control.clients.is_empty());
}
