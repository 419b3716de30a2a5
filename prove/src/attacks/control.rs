//! Init's socket without the secret. Success is that init does something, or that it answers nobody any more.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Failed, Run, dns, send};
use crate::catalogue::names;

// As `clawker_protocol::places` has them; the probe knows them as any attacker does.
const SOCKET: &str = "/run/clawker/host/control.sock";
const BOOT: &str = "/run/clawker/host/boot.json";
const EVENTS: &str = "/run/clawker/host/events.jsonl";
const INIT: &str = "/usr/local/bin/clawker-init";
/// How long init may take to answer anybody.
const ANSWER: Duration = Duration::from_secs(2);

pub(super) const CODE: &[(&str, Run)] = &[
    ("control-connect", |_| {
        UnixStream::connect(SOCKET)?;
        Ok("connected".to_owned())
    }),
    ("control-boot", |_| Ok(format!("{} bytes read", fs::read(BOOT)?.len()))),
    ("control-events", |_| Ok(format!("{} bytes read", fs::read(EVENTS)?.len()))),
    ("control-abstract", |_| {
        let all = fs::read_to_string("/proc/net/unix")?;
        match all.lines().find(|line| line.contains("@") && line.contains("clawker")) {
            Some(line) => Ok(line.to_owned()),
            None => Err(Failed::Refused("there is none".to_owned())),
        }
    }),
    ("control-ctl", |_| {
        let output = Command::new(INIT).args(["ctl", "status"]).stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok("it answered".to_owned()) } else { Err(Failed::Refused(said)) }
    }),
    ("control-no-secret", |_| ask(br#"{"v":1,"id":1,"op":"disable"}"#)),
    ("control-wrong-secret", |_| {
        ask(format!(r#"{{"v":1,"id":1,"op":"disable","secret":"{}"}}"#, "0".repeat(64)).as_bytes())
    }),
    ("control-hash", |_| {
        let boot: serde_json::Value = serde_json::from_slice(&fs::read(BOOT)?)?;
        let request = serde_json::json!({"v": 1, "id": 1, "op": "disable", "secret": boot["secret_sha256"]});
        ask(request.to_string().as_bytes())
    }),
    ("control-version", |_| ask(br#"{"v":0,"id":1,"op":"disable","secret":""}"#)),
    ("control-unknown", |_| ask(br#"{"v":1,"id":1,"op":"open_everything","secret":""}"#)),
    ("control-bypass", |_| ask(br#"{"v":1,"id":-1,"op":"bypass","seconds":-1,"secret":""}"#)),
    ("control-huge", |_| ask(br#"{"v":1,"id":1,"op":"bypass","seconds":36893488147419103232,"secret":""}"#)),
    ("control-twice", |_| ask(br#"{"v":1,"id":1,"op":"status","op":"disable","secret":""}"#)),
    ("control-spliced", |_| {
        ask(b"{\"v\":1,\"id\":1,\"op\":\"disable\"}\n{\"v\":1,\"id\":2,\"op\":\"disable\",\"secret\":null}")
    }),
    ("control-deep", |_| {
        let mut stream = connect()?;
        let _ = stream.write_all(&[vec![b'['; 100_000], b"\n".to_vec()].concat());
        silenced()
    }),
    ("control-empty", |_| {
        let mut stream = connect()?;
        let _ = stream.write_all(&vec![b'\n'; 20_000]);
        silenced()
    }),
    ("control-garbage", |_| ask(b"\0\xff[[[[{{{{")),
    ("control-long", |_| {
        let mut stream = connect()?;
        // Init may hang up before all is written.
        let _ = stream.write_all(&vec![b'['; 8 << 20]);
        silenced()
    }),
    ("control-half", |_| {
        let mut stream = connect()?;
        stream.write_all(br#"{"v":1,"id":1,"op":"disab"#)?;
        silenced()
    }),
    ("control-many", |_| {
        let _all: Vec<UnixStream> = (0..300).filter_map(|_| connect().ok()).collect();
        silenced()
    }),
    ("control-coredns-health", |c| {
        send::tcp((c.places.coredns, c.places.health_port), &dns::framed(&dns::query(names::GOOD, 1)))
    }),
];

fn connect() -> Result<UnixStream, Failed> {
    let stream = UnixStream::connect(SOCKET)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    Ok(stream)
}

/// Asks and tells whether init did it.
fn ask(line: &[u8]) -> Result<String, Failed> {
    let answer = answer(line)?;
    let ok = serde_json::from_str::<serde_json::Value>(&answer).is_ok_and(|answer| answer["ok"] == true);
    if ok { Ok(answer) } else { Err(Failed::Refused(answer)) }
}

fn answer(line: &[u8]) -> Result<String, Failed> {
    let mut stream = connect()?;
    stream.write_all(line)?;
    stream.write_all(b"\n")?;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(answer.get(..length).unwrap_or_default()).trim().to_owned())
}

/// Whether init answers nobody any more; a refusal is an answer.
fn silenced() -> Result<String, Failed> {
    match answer(br#"{"v":1,"id":1,"op":"status"}"#) {
        Ok(said) if !said.is_empty() => Err(Failed::Refused("init answers others".to_owned())),
        _ => Ok("init answers nobody".to_owned()),
    }
}
