//! The fake internet against real clients, from the host and from another bridge: what a sink does not record here,
//! no other test may call silence. Needs root and Docker.
#![allow(clippy::unwrap_used, reason = "What a test calls fails it by this")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use clawker_integration::fakenet::record::{Kind, Record};
use clawker_integration::rig::docker::{docker, remove_labelled, run};
use clawker_integration::rig::sandbox::Sandbox;
use clawker_integration::rig::{Rig, image, wait};

const PATIENCE: Duration = Duration::from_secs(10);
const LABEL: &str = "clawker.fakenet.test=1";

/// A bridge that is not the fake internet's, as an agent's is.
struct Elsewhere;

impl Elsewhere {
    const NETWORK: &str = "clawker-fakenet-test";

    fn new() -> Self {
        remove_labelled(LABEL);
        docker(&["network", "create", "--label", LABEL, Self::NETWORK]).unwrap();
        Self
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        remove_labelled(LABEL);
    }
}

fn curl(rig: &Rig, arguments: &[&str]) -> String {
    let ca = rig.ca_pem_path();
    let base = ["-sS", "--max-time", "10", "--noproxy", "*", "--cacert", ca.to_str().unwrap()];
    run("curl", &[&base[..], arguments].concat()).unwrap()
}

/// The records of one kind that hold the canary, once there is one.
fn recorded(rig: &Rig, kind: Kind, canary: &str) -> Vec<Record> {
    let of_kind = || rig.saw(canary).into_iter().filter(|record| record.kind == kind).collect::<Vec<_>>();
    assert!(
        wait(PATIENCE, || !of_kind().is_empty()),
        "No {kind:?} record of {canary}: {:?}",
        rig.saw(canary)
    );
    of_kind()
}

#[test]
fn every_sink_records_what_reaches_it_and_nothing_stays_behind() {
    leave_a_killed_run();
    let mut rig = Rig::up("self").unwrap();
    assert_eq!(docker(&["ps", "-aq", "--filter", "name=clawker-fakenet-killed"]).unwrap(), "");
    let elsewhere = Elsewhere::new();
    rig.keep_sources().unwrap();
    from_the_host(&mut rig);
    from_another_bridge(&rig);
    messages(&rig);
    it_only_answers(&rig);
    a_sandbox_takes_everything_with_it(&rig);
    // Waits for the records of all that came before it, then looks for what never came.
    curl(&rig, &["http://198.51.100.133/last"]);
    recorded(&rig, Kind::Http, "/last");
    assert!(rig.saw("canary-that-was-never-sent").is_empty());
    let count = rig.records().len();
    assert_eq!(rig.since(count), []);

    drop((rig, elsewhere));
    assert_eq!(docker(&["ps", "-aq", "--filter", "label=clawker.fakenet"]).unwrap(), "");
    assert_eq!(docker(&["network", "ls", "-q", "--filter", "label=clawker.fakenet"]).unwrap(), "");
    assert_eq!(docker(&["image", "ls", "-q", image::REPOSITORY]).unwrap(), "");
    assert!(!run("iptables-save", &[]).unwrap().contains("fakenet"));
}

/// A rig whose process had no time to tidy up.
fn leave_a_killed_run() {
    let mut killed =
        Command::new(env!("CARGO_BIN_EXE_rig")).arg("killed").stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(killed.stdout.take().unwrap()).lines();
    let is_up = said.any(|line| line.unwrap().starts_with("records"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(is_up, "The rig to be killed did not come up");
    assert_ne!(docker(&["ps", "-q", "--filter", "name=clawker-fakenet-killed"]).unwrap(), "");
}

fn from_the_host(rig: &mut Rig) {
    dns(rig);

    let resolve = "secure.example:443:198.51.100.140";
    let over_h2 = curl(rig, &["--http2", "--resolve", resolve, "https://secure.example/canary-h2?q=1"]);
    assert!(over_h2.contains("host: secure.example"), "{over_h2}");
    let http = &recorded(rig, Kind::Http, "canary-h2")[0];
    assert_eq!((http.what.as_str(), http.sni.as_str()), ("GET /canary-h2?q=1", "secure.example"));
    recorded(rig, Kind::Tls, "secure.example");

    curl(rig, &["--http1.1", "--resolve", resolve, "-H", "X-Note: canary-header", "https://secure.example/"]);
    assert_eq!(recorded(rig, Kind::Http, "canary-header")[0].destination, "198.51.100.140:443");
    let plain = curl(rig, &["-d", "canary-body", "-H", "Host: plain.example", "http://198.51.100.131/"]);
    assert!(plain.contains("host: plain.example"), "{plain}");
    assert_eq!(recorded(rig, Kind::Http, "canary-body")[0].name, "plain.example");
    let odd_port = curl(rig, &["http://198.51.100.131:4321/canary-odd-port"]);
    assert!(odd_port.contains("fakenet"), "{odd_port}");
    assert_eq!(recorded(rig, Kind::Http, "canary-odd-port")[0].destination, "198.51.100.131:4321");

    assert_eq!(
        curl(
            rig,
            &["-o", "/dev/null", "-w", "%{size_download}", "http://198.51.100.131/download?bytes=100001"]
        ),
        "100001"
    );
    let endless = ["-sN", "--max-time", "2", "http://198.51.100.131/stream?ms=50"];
    let stream = Command::new("curl").args(endless).output().unwrap();
    assert!(String::from_utf8_lossy(&stream.stdout).contains("data: 3"), "The stream does not flow");

    let probe = image::binary();
    for arguments in [
        &["probe", "ws", "198.51.100.131:80", "chat.example", "/canary-ws", "1"][..],
        &["probe", "hold", "198.51.100.131:5555", "1"],
    ] {
        let said = run(probe.to_str().unwrap(), arguments).unwrap();
        let count = said.strip_suffix(" came back").unwrap().parse::<u32>().unwrap();
        assert!(count > 2, "{arguments:?}: {said}");
    }
    assert_eq!(recorded(rig, Kind::Http, "canary-ws")[0].name, "chat.example");
    let ping = ["probe", "icmp", "198.51.100.150", "canary-ping-host"];
    assert_eq!(run(probe.to_str().unwrap(), &ping).unwrap(), "canary-ping-host");
    assert_eq!(recorded(rig, Kind::Icmp, "canary-ping-host")[0].destination, "198.51.100.150");
}

fn dns(rig: &mut Rig) {
    let dig = |name: &str, more: &[&str]| {
        run("dig", &[&["+short", "+time=3", "+tries=1", "@198.51.100.10", name], more].concat()).unwrap()
    };
    assert_eq!(dig("api.anthropic.com", &[]), "198.51.100.130");
    assert_eq!(dig("Canary-Tcp.Tunnel.example", &["+tcp", "TXT"]), "");
    assert_eq!(recorded(rig, Kind::Dns, "canary-tcp.tunnel.example")[0].what, "TXT");
    rig.add_name("rebound.example", &["169.254.169.254".parse().unwrap()]).unwrap();
    rig.add_name("gone.example", &[]).unwrap();
    assert_eq!(dig("rebound.example", &[]), "169.254.169.254");
    assert!(run("dig", &["+tries=1", "@198.51.100.133", "gone.example"]).unwrap().contains("NXDOMAIN"));
    rig.reset_names().unwrap();
    assert!(dig("gone.example", &[]).starts_with("198.51.100."));
}

fn from_another_bridge(rig: &Rig) {
    let probe = |arguments: &[&str]| rig.probe_from(Elsewhere::NETWORK, arguments).unwrap();
    assert_eq!(probe(&["dns", "198.51.100.10", "canary-a.example"]).split('.').count(), 4);
    recorded(rig, Kind::Dns, "canary-a.example");
    assert_eq!(probe(&["tcp", "198.51.100.133:31337", "canary-raw"]), "canary-raw");
    assert_eq!(recorded(rig, Kind::Data, "canary-raw")[0].destination, "198.51.100.133:31337");
    assert!(probe(&["tcp", "198.51.100.133:22"]).starts_with("SSH-2.0-"));
    assert_eq!(probe(&["udp", "198.51.100.133:9999", "canary-udp"]), "canary-udp");
    let source = &recorded(rig, Kind::Udp, "canary-udp")[0].source;
    assert!(!source.starts_with("198.51.100."), "The record names the bridge, {source}, and not who came");
    // Nobody answers on this port, and yet it must be seen.
    assert!(rig.probe_from(Elsewhere::NETWORK, &["udp", "198.51.100.133:40000", "canary-deaf"]).is_err());
    assert_eq!(recorded(rig, Kind::Udp, "canary-deaf")[0].destination, "198.51.100.133:40000");
    assert_eq!(probe(&["icmp", "198.51.100.10", "canary-icmp"]), "canary-icmp");
    recorded(rig, Kind::Icmp, "canary-icmp");
    assert!(probe(&["http", "198.51.100.131:80", "good.example", "/canary-http"]).contains("HTTP/1.1 200"));
    recorded(rig, Kind::Http, "canary-http");
    let https = probe(&["https", "198.51.100.131:443", "good.example", "/canary-https", "body"]);
    assert!(https.contains("path: /canary-https"), "{https}");
    assert_eq!(recorded(rig, Kind::Http, "canary-https")[0].sni, "good.example");
}

fn messages(rig: &Rig) {
    let turn = |stream: bool, tools: &str| {
        let body = format!(
            r#"{{"model":"m","stream":{stream},"tools":[{tools}],"messages":[{{"role":"user","content":"RUN: id"}}]}}"#
        );
        let resolve = "api.anthropic.com:443:198.51.100.130";
        curl(rig, &["--resolve", resolve, "-d", &body, "https://api.anthropic.com/v1/messages?beta=true"])
    };
    let events = turn(true, r#"{"name":"Bash"}"#);
    assert_eq!(events.matches("event: ").count(), 6, "{events}");
    assert!(
        events.contains("tool_use") && events.ends_with("\n\n") | events.contains("message_stop"),
        "{events}"
    );
    assert!(turn(false, "").contains(r#""stop_reason":"end_turn""#));
    let resolve = "api.anthropic.com:443:198.51.100.130";
    assert_eq!(
        curl(rig, &["--resolve", resolve, "https://api.anthropic.com/api/claude_cli/bootstrap"]),
        "{}"
    );
    let head = curl(rig, &["--resolve", resolve, "-I", "https://api.anthropic.com/"]);
    assert!(head.starts_with("HTTP/2 200"), "{head}");
}

/// Whoever sits on the fake internet's network must not be able to use it as a way to the real one.
fn it_only_answers(rig: &Rig) {
    let (name, image) = ("clawker-fakenet-test", rig.image());
    let run = [
        "run",
        "-d",
        "--name",
        name,
        "--label",
        LABEL,
        "--network",
        Elsewhere::NETWORK,
        "--cap-add",
        "NET_ADMIN",
    ];
    docker(&[&run[..], &[&image, "serve"]].concat()).unwrap();
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let target = format!("{}:9000", docker(&["inspect", "--format", format, name]).unwrap());
    let reaches = |network: &str| rig.probe_from(network, &["tcp", &target, "hello"]).is_ok();
    assert!(wait(PATIENCE, || reaches(Elsewhere::NETWORK)));
    assert!(!reaches(&rig.network()));
}

fn a_sandbox_takes_everything_with_it(rig: &Rig) {
    let sandbox = Sandbox::new(rig, "selftest", "shop").unwrap();
    let made = sandbox.agent_container("dev");
    assert_eq!(made, "clawker.shop.dev.selftest");
    let settings = fs::read_to_string(sandbox.settings_file()).unwrap();
    assert!(settings.contains("198.51.100.10"), "{settings}");
    let project = fs::metadata(sandbox.project()).unwrap();
    assert_ne!(project.uid(), 0, "A project of root's is none that an agent can work in");
    let command = sandbox.command(&["ps"]);
    let variable = |name: &str| command.get_envs().find(|(key, _)| *key == name).and_then(|(_, value)| value);
    assert_eq!(variable("CLAWKER_INSTANCE").unwrap(), "selftest");
    assert_eq!(variable("XDG_STATE_HOME").unwrap(), sandbox.state());

    docker(&["create", "--name", &made, "--label", "clawker.instance=selftest", &rig.image()]).unwrap();
    let home = sandbox.home();
    drop(sandbox);
    assert!(!home.exists());
    assert_eq!(docker(&["ps", "-aq", "--filter", "label=clawker.instance=selftest"]).unwrap(), "");
}
