//! A listed name whose server answers with an address that is not public: Envoy dials nothing, whatever the name's
//! owner, or somebody on the way, makes of it. Each address has somebody who would have taken the connection, and a
//! container beside Envoy that has no such rules shows it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::wait;
use clawker_integration::world::World;

/// No service of the host's has it.
const PORT: u16 = 7780;
const REACHED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\nREACHED";
/// Where the name that flips leads later; nobody else resolves to it.
const FLIPPED: &str = "10.1.2.4";
/// Addresses that this host takes for the time of the test, so that no packet to one of them leaves the machine.
const BAD: [&str; 8] = [
    FLIPPED,
    "10.1.2.3",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.77.7",
    "192.168.77.7",
    "192.0.2.7",
    "203.0.113.7",
];

/// The addresses, which go by themselves where the test is killed.
struct Taken;

impl Taken {
    fn take() -> Self {
        for address in BAD {
            let whole = format!("{address}/32");
            let time = ["valid_lft", "600", "preferred_lft", "600"];
            let words = [&["addr", "replace", &whole, "dev", "lo"][..], &time].concat();
            assert!(Command::new("ip").args(words).status().unwrap().success(), "{address}");
        }
        Self
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for address in BAD {
            let whole = format!("{address}/32");
            let _ = Command::new("ip").args(["addr", "del", &whole, "dev", "lo"]).status();
        }
    }
}

/// Takes connections at an address of the host's and remembers what was said.
fn listen(address: IpAddr, heard: &Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((address, PORT)).unwrap();
    let heard = Arc::clone(heard);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut buffer = [0; 1024];
            let length = stream.read(&mut buffer).unwrap_or(0);
            heard.lock().unwrap().push(format!("{address} {}", String::from_utf8_lossy(&buffer[..length])));
            let _ = stream.write_all(REACHED.as_bytes());
        }
    });
}

/// Another container on clawker-net that anybody there reaches.
struct Peer(String);

impl Peer {
    fn start(network: &str) -> Self {
        let script = format!(
            "use IO::Socket::INET; $|=1; $s=IO::Socket::INET->new(LocalPort=>{PORT},Listen=>9,ReuseAddr=>1) or die; \
             while($c=$s->accept){{sysread($c,$_,1024); print \"heard $_\\n\"; print $c \"{}\"; close $c}}",
            REACHED.replace("\r\n", "\\r\\n")
        );
        let id = docker(&[
            "run",
            "-d",
            "--rm",
            "--network",
            network,
            "clawker-base:latest",
            "perl",
            "-e",
            &script,
        ]);
        Self(id.unwrap())
    }

    fn address(&self) -> IpAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "--format", format, &self.0]).unwrap().parse().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", &self.0]);
    }
}

/// What the agent gets for a request to a name.
fn asks(world: &World, name: &str) -> String {
    let (at, host) = (format!("{name}:{PORT}"), format!("{name}:{PORT}"));
    let said = world.probe("dev", &["http", &at, &host, "/"]).unwrap();
    format!("{}{}", said.out, said.err)
}

/// What the init around Envoy refused, by its events.
fn refusals(world: &World, address: IpAddr) -> usize {
    let events = std::fs::read_to_string(world.state_folder().join("gateway/events.jsonl")).unwrap();
    let of = format!("\"destination\":\"{address}\"");
    events.lines().filter(|line| line.contains("\"event\":\"denied\"") && line.contains(&of)).count()
}

fn refused_to(world: &World, address: IpAddr) -> bool {
    refusals(world, address) > 0
}

#[test]
fn a_listed_name_that_resolves_to_what_is_not_public_leads_nowhere() {
    let mut world = World::new("rebind").unwrap();
    let port = PORT.to_string();
    let add = |world: &World, dst: &str, more: &[&str]| {
        let rule = [&["firewall", "add", dst, "--proto", "http", "--port", &port], more].concat();
        world.must(&rule).unwrap();
    };
    world.agent("dev").unwrap();
    add(&world, ".rebind.example", &[]);
    let network = world.sandbox.stack_name("clawker-net");
    let peer = Peer::start(&network);
    let inspect = |format: &str| docker(&["network", "inspect", "--format", format, &network]).unwrap();
    let bridge: IpAddr = inspect("{{(index .IPAM.Config 0).Gateway}}").parse().unwrap();
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let envoy = docker(&["inspect", "--format", format, &world.sandbox.stack_name("clawker-envoy")]);
    let envoy: IpAddr = envoy.unwrap().parse().unwrap();

    let _taken = Taken::take();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let bad: Vec<IpAddr> = BAD.iter().map(|text| text.parse().unwrap()).chain([bridge]).collect();
    bad.iter().for_each(|address| listen(*address, &heard));
    let reachable: Vec<IpAddr> = bad.iter().copied().chain([peer.address()]).collect();

    // The positive control: from beside Envoy, every one of them is reached.
    for address in &reachable {
        let at = format!("{address}:{PORT}");
        let said = wait_for(|| world.rig.probe_from(&network, &["http", &at, "control", "/"]).ok());
        assert!(said.contains("REACHED"), "control {address}: {said}");
    }
    heard.lock().unwrap().clear();

    // And a name of the same rule is, where it resolves to a public address.
    let good = "198.51.100.132".parse().unwrap();
    world.rig.add_name("good.rebind.example", &[good]).unwrap();
    let said = asks(&world, "good.rebind.example");
    assert!(world.rig.waits_for("good.rebind.example:7780", Duration::from_secs(5)), "{said}");

    let own = [envoy, Ipv4Addr::LOCALHOST.into(), Ipv4Addr::new(127, 0, 0, 11).into()];
    let told = |address: &&IpAddr| address.to_string() != FLIPPED;
    for (number, address) in reachable.iter().chain(&own).filter(told).enumerate() {
        let name = format!("n{number}.rebind.example");
        world.rig.add_name(&name, &[*address]).unwrap();
        let said = asks(&world, &name);
        assert!(!said.contains("REACHED"), "{address}: {said}");
        assert!(
            wait(Duration::from_secs(5), || refused_to(&world, *address)),
            "{address} was not tried: {said}"
        );
    }
    // An alias leads as far as its target: to a public address, and not into private space.
    world.rig.add_name("elsewhere.test", &[good]).unwrap();
    world.rig.add_alias("alias.rebind.example", "elsewhere.test").unwrap();
    let said = asks(&world, "alias.rebind.example");
    assert!(world.rig.waits_for("alias.rebind.example:7780", Duration::from_secs(5)), "{said}");
    for (number, address) in reachable.iter().filter(told).enumerate() {
        let (name, target) = (format!("c{number}.rebind.example"), format!("t{number}.attacker.test"));
        world.rig.add_name(&target, &[*address]).unwrap();
        world.rig.add_alias(&name, &target).unwrap();
        let before = refusals(&world, *address);
        let said = asks(&world, &name);
        assert!(!said.contains("REACHED"), "{address} by an alias: {said}");
        let tried = || refusals(&world, *address) > before;
        assert!(wait(Duration::from_secs(5), tried), "{address} was not tried by its alias: {said}");
    }
    // Nothing that Envoy asks for has these.
    for (name, address) in [("six", "::1"), ("mapped", "::ffff:10.1.2.3"), ("nat64", "64:ff9b::a01:203")] {
        let name = format!("{name}.rebind.example");
        world.rig.add_name(&name, &[address.parse().unwrap()]).unwrap();
        assert!(!asks(&world, &name).contains("REACHED"), "{name}");
    }
    // 0.0.0.0 is this host to the kernel.
    world.rig.add_name("zero.rebind.example", &[Ipv4Addr::UNSPECIFIED.into()]).unwrap();
    assert!(!asks(&world, "zero.rebind.example").contains("REACHED"));
    // One that has both: the public one is reached, or nobody.
    world.rig.add_name("both.rebind.example", &[good, "10.1.2.3".parse().unwrap()]).unwrap();
    for _ in 0..6 {
        assert!(!asks(&world, "both.rebind.example").contains("REACHED"));
    }
    let heard_now = heard.lock().unwrap().clone();
    assert!(heard_now.is_empty(), "{heard_now:#?}");
    let of_peer = docker(&["logs", &peer.0]).unwrap();
    assert_eq!(of_peer.matches("heard").count(), 1, "the control alone: {of_peer}");

    // A name whose owner flips it once it was asked for. By TCP: for HTTP, Envoy keeps the connection that it has.
    world.must(&["firewall", "add", "flips.rebind.example", "--proto", "tcp", "--port", &port]).unwrap();
    world.rig.add_name("flips.rebind.example", &[good]).unwrap();
    asks(&world, "flips.rebind.example");
    assert!(world.rig.waits_for("flips.rebind.example:7780", Duration::from_secs(5)));
    let flipped = FLIPPED.parse().unwrap();
    world.rig.add_name("flips.rebind.example", &[flipped]).unwrap();
    let tried = wait(Duration::from_secs(90), || {
        std::thread::sleep(Duration::from_secs(1));
        assert!(!asks(&world, "flips.rebind.example").contains("REACHED"));
        refused_to(&world, flipped)
    });
    assert!(tried, "Envoy never asked again");

    let log = world.must(&["firewall", "log", "--json", "--agent", "dev"]).unwrap();
    assert!(log.lines().any(|line| line.contains("n0.rebind.example") && line.contains("proxy")), "{log}");

    // Its own space is open to the rule that lists it, and to no other.
    add(&world, "git.rebind.example", &["--private", "10.1.0.0/16"]);
    world.rig.add_name("git.rebind.example", &["10.1.2.3".parse().unwrap()]).unwrap();
    assert!(asks(&world, "git.rebind.example").contains("REACHED"), "{}", envoy_log(&world));
    assert!(!asks(&world, "n0.rebind.example").contains("REACHED"), "another name of the same address");
    let remove = ["firewall", "remove", "git.rebind.example", "--proto", "http", "--port", &port];
    world.must(&remove).unwrap();
    assert!(!asks(&world, "git.rebind.example").contains("REACHED"));
}

fn wait_for(what: impl Fn() -> Option<String>) -> String {
    let mut said = None;
    wait(Duration::from_secs(5), || {
        said = what();
        said.is_some()
    });
    said.unwrap_or_default()
}

fn envoy_log(world: &World) -> String {
    docker(&["logs", "--tail", "5", &world.sandbox.stack_name("clawker-envoy")]).unwrap_or_default()
}

#[test]
fn envoy_holds_no_capability_and_its_fence_stands_and_comes_back() {
    let world = World::new("fenced").unwrap();
    let envoy = world.sandbox.stack_name("clawker-envoy");
    for round in ["first start", "after docker restart"] {
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &envoy]).unwrap();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        let child = children.split_whitespace().next().expect("Envoy runs");
        assert_eq!(
            std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap().trim(),
            "envoy",
            "{round}"
        );
        let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert!(status.contains(&format!("{set}:\t0000000000000000")), "{round}: {status}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{round}");
        // Only what changes rules and cuts flows is left to PID 1.
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("CapEff:\t0000000000001020"), "{round}: {status}");
        let listed = Command::new("nsenter").args(["-t", &pid, "-n", "nft", "list", "ruleset"]).output();
        let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
        for expected in
            ["chain dialled", "flags owner", "table netdev clawker-guard", "ip daddr 10.0.0.0/8 goto refused"]
        {
            assert!(listed.contains(expected), "{round}: no {expected:?} in\n{listed}");
        }
        docker(&["restart", "-t", "5", &envoy]).unwrap();
        let up = || world.must(&["firewall", "status"]).is_ok_and(|said| !said.contains("deaf"));
        assert!(wait(Duration::from_secs(20), up), "{round}: Envoy came up again");
    }
    // What nothing changed needs no other container, also where what is dialled did.
    let id = || docker(&["inspect", "--format", "{{.Id}}", &envoy]).unwrap();
    let before = id();
    world.agent("dev").unwrap();
    world.must(&["firewall", "add", "git.example", "--private", "10.1.0.0/16"]).unwrap();
    world.must(&["firewall", "up"]).unwrap();
    assert_eq!(id(), before);
}
