//! The log as a user follows it: from all witnesses, through restarts and cut files, to the right reader and no other,
//! and never with an agent's control characters.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clawker_integration::rig::docker::docker;
use clawker_integration::world::World;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(20);

/// A log that is followed.
struct Followed {
    child: Child,
    lines: Receiver<String>,
}

impl Followed {
    fn start(world: &World, arguments: &[&str]) -> Self {
        let all = [&["firewall", "log", "-f"], arguments].concat();
        let mut child = world.sandbox.command(&all).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The first line that holds the text.
    fn line(&self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(text) {
                return line;
            }
        }
        panic!("no line with {text}");
    }

    fn interrupt(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lookup(world: &World, name: &str) {
    world.sh("dev", &format!("getent hosts {name}; true")).unwrap();
}

#[test]
fn the_log_goes_on_through_restarts_and_cut_files_until_nobody_wants_it() {
    let world = World::new("logf").unwrap();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "listed.example"]).unwrap();
    let all = Followed::start(&world, &["--agent", "dev"]);
    let denied = Followed::start(&world, &["--denied", "--json", "--agent", "dev"]);
    lookup(&world, "first.example");
    world.sh("dev", "curl -sS --max-time 5 https://listed.example/").unwrap();
    world.probe("dev", &["tcp", "198.51.100.133:4444", "x"]).unwrap();
    assert!(all.line("first.example").contains("deny"));
    let row = all.line("listed.example:443");
    assert!(row.contains("allow") && row.contains("by \"allow tls listed.example port 443\""), "{row}");
    let json: serde_json::Value = serde_json::from_str(&denied.line("first.example")).unwrap();
    assert_eq!(
        (&json["witness"], &json["verdict"], &json["agent"]),
        (&"dns".into(), &"deny".into(), &"demo/dev".into())
    );
    let json: serde_json::Value = serde_json::from_str(&denied.line("198.51.100.133")).unwrap();
    assert_eq!((&json["witness"], &json["port"]), (&"init".into(), &4444.into()));

    for part in ["clawker-coredns", "clawker-envoy"] {
        docker(&["restart", "-t", "1", &world.sandbox.stack_name(part)]).unwrap();
    }
    world.must(&["firewall", "up"]).unwrap();
    lookup(&world, "second.example");
    denied.line("second.example");
    // As init does when the file is full: the newer half, in place.
    let id =
        docker(&["inspect", "--format", "{{index .Config.Labels \"clawker.id\"}}", &world.container("dev")]);
    let events = world.state_folder().join("agents").join(id.unwrap()).join("events.jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let half = text.len() / 2 + text[text.len() / 2..].find('\n').unwrap() + 1;
    fs::write(&events, &text[half..]).unwrap();
    world.probe("dev", &["tcp", "198.51.100.134:4445", "x"]).unwrap();
    denied.line("198.51.100.134");

    assert_eq!((all.interrupt(), denied.interrupt()), (Some(0), Some(0)));
    let mut gone = world.sandbox.command(&["firewall", "log", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    gone.stdout.take().unwrap().read_exact(&mut [0; 4]).unwrap();
    let ended = clawker_integration::rig::wait(PATIENCE, || gone.try_wait().unwrap().is_some());
    let _ = gone.kill();
    assert!(ended && gone.wait().unwrap().code() == Some(0), "nobody reads it, and it goes on");
    let said = world.clawker(&["firewall", "log", "--since", "1h", "--tail", "1"]).unwrap();
    assert_eq!(said.out.lines().count(), 2, "{said:?}");
}

#[test]
fn an_agent_steers_no_terminal_and_reads_no_other_s_log() {
    let world = World::new("loge").unwrap();
    world.agent("dev").unwrap();
    world.agent("other").unwrap();
    world.must(&["firewall", "add", "plain.example", "--proto", "http"]).unwrap();
    // ESC, BEL, CSI as C1, a right-to-left override, a line's end with a forged entry; in a label, an SNI, a Host, a path.
    // What Envoy itself refuses as no HTTP is tried too, and leaves no entry.
    let resolver = world.sh("dev", "sed -n 's/^nameserver //p' /etc/resolv.conf").unwrap().out;
    let evil = "\u{1b}[2J\u{7}\u{9b}1m\u{202e}\rforged deny";
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, u8::try_from(evil.len()).unwrap()];
    question.extend(evil.bytes());
    question.extend(b"\x07evildns\0\0\x01\0\x01");
    let request = |host: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").into_bytes()
    };
    for (place, bytes) in [
        (format!("udp/{resolver}/53"), question),
        ("tcp/plain.example/80".to_owned(), request("plain.example", "/evilpath\u{202e}")),
        ("tcp/plain.example/80".to_owned(), request("plain.example", "/evilpath%1b%e2%80%ae")),
        ("tcp/plain.example/80".to_owned(), request("evilhost.example", "/%0aforged")),
        ("tcp/plain.example/80".to_owned(), request("evilhost\u{202e}", "/")),
        ("tcp/198.51.100.140/443".to_owned(), client_hello(&format!("evilsni{evil}"))),
    ] {
        let escaped: String = bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let script =
            format!("exec 3<>/dev/{place} && printf '{escaped}' >&3 && read -t 2 -r answer <&3; true");
        let said = world.inside("dev", "1001", &["bash", "-c", &script]).unwrap();
        assert_eq!(said.code, 0, "{said:?}");
    }
    let log = || world.clawker(&["firewall", "log", "--agent", "dev"]).unwrap();
    let names = ["evildns", "evilpath", "evilhost", "evilsni"];
    let came = clawker_integration::rig::wait(PATIENCE, || names.iter().all(|name| log().out.contains(name)));
    let text = log().out;
    assert!(came, "{text}");
    let steers = |c: char| {
        c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
    };
    assert!(!text.contains(steers), "{}", text.escape_debug());
    assert!(text.lines().all(|line| !line.starts_with("forged")), "{text}");
    let other = world.must(&["firewall", "log", "--agent", "other"]).unwrap();
    assert!(names.iter().all(|name| !other.contains(name)), "{other}");
    let json = world.must(&["--json", "firewall", "log", "--agent", "other"]).unwrap();
    assert!(json.lines().all(|line| line.contains("\"agent\":\"demo/other\"")), "{json}");
}

/// A TLS 1.2 ClientHello (RFC 5246, 7.4.1.2) with this server name (RFC 6066, 3).
fn client_hello(name: &str) -> Vec<u8> {
    let sized = |bytes: Vec<u8>| [u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec(), bytes].concat();
    let entry = [vec![0], sized(name.as_bytes().to_vec())].concat();
    let groups = sized(sized(vec![0, 0x1d]));
    let extensions = [vec![0, 0], sized(sized(entry)), vec![0, 10], groups].concat();
    let fixed = [vec![3, 3], vec![7; 32], vec![0], sized(vec![0xc0, 0x2f]), vec![1, 0]].concat();
    let hello = [fixed, sized(extensions)].concat();
    let handshake = [vec![1, 0], sized(hello)].concat();
    [vec![0x16, 3, 1], sized(handshake)].concat()
}
