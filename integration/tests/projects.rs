//! Projects side by side on one stack, and agents of one project with rules of their own: what one lists opens nothing
//! for another, by no way that an agent could try, and each thing that is refused here works where it is listed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::sandbox::Sandbox;
use clawker_integration::rig::{image, wait};
use clawker_integration::world::{Said, World};

/// How long something that is to happen may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The port of the agents' own server, here and outside.
const OWN: u16 = 8099;
/// What listens there: it answers, and says who came.
const SERVER: &str = r#"
    my $door = IO::Socket::INET->new(LocalPort => 8099, Listen => 9, ReuseAddr => 1) or die $!;
    while (my $guest = $door->accept) {
        print STDERR "came ", $guest->peerhost, "\n";
        sysread $guest, my $request, 4096;
        print $guest "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved";
        close $guest;
    }"#;

/// One `clawker firewall` command that must succeed.
fn firewall(project: &Sandbox, words: &str) {
    let words: Vec<&str> = ["firewall"].into_iter().chain(words.split(' ')).collect();
    project.must(&words).unwrap();
}

/// What a name resolves to for an agent; nothing where it doesn't.
fn address(project: &Sandbox, agent: &str, name: &str) -> String {
    let said = project.sh(agent, &format!("getent ahostsv4 {name}")).unwrap().out;
    said.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Whether a request to a name gets through: by its own address, or by another one.
fn fetches(
    world: &World,
    project: &Sandbox,
    agent: &str,
    name: &str,
    by: Option<&str>,
    canary: &str,
) -> bool {
    let by = by.map(|address| format!("--resolve {name}:443:{address}")).unwrap_or_default();
    let script = format!("curl -sS --max-time 5 {by} https://{name}/{canary}");
    came(world, &project.sh(agent, &script).unwrap(), canary)
}

/// Whether a line arrives by TCP at `ADDRESS:PORT` or `NAME:PORT`.
fn delivers(world: &World, project: &Sandbox, agent: &str, place: &str, canary: &str) -> bool {
    came(world, &project.probe(agent, &["tcp", place, canary]).unwrap(), canary)
}

/// What the client says and what the other side saw are the same, or the test is worth nothing.
fn came(world: &World, said: &Said, canary: &str) -> bool {
    let seen = world.rig.waits_for(canary, Duration::from_millis(if said.code == 0 { 3000 } else { 300 }));
    assert_eq!(said.code == 0, seen, "{canary}: {said:?}");
    seen
}

/// The fake internet's client on the host, which no rules of ours bind.
fn from_the_host(world: &World, args: &[&str]) -> Said {
    let mut command = Command::new(image::binary());
    command.arg("probe").args(args).env("SSL_CERT_FILE", world.rig.ca_pem_path()).stdin(Stdio::null());
    command.output().unwrap().into()
}

fn address_of(container: &str) -> String {
    docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container])
        .unwrap()
}

fn state(world: &World, file: &str) -> serde_json::Value {
    serde_json::from_slice(&fs::read(world.state_folder().join(file)).unwrap()).unwrap()
}

/// The policies that hold a name, with what was worked out of each.
fn plans(world: &World) -> BTreeMap<String, serde_json::Value> {
    let files = fs::read_dir(world.state_folder().join("plans")).unwrap().flatten();
    let plans = files.map(|file| serde_json::from_slice(&fs::read(file.path()).unwrap()).unwrap());
    plans.map(|plan: serde_json::Value| (plan["id"].as_str().unwrap().to_owned(), plan)).collect()
}

/// The policy of a project as a whole.
fn plan_of(world: &World, project: &Sandbox) -> serde_json::Value {
    let dir = project.project();
    let ours = |plan: &serde_json::Value| plan["project_dir"] == dir.to_str().unwrap();
    let mut found = plans(world).into_values().filter(ours);
    let plan = found.next().unwrap();
    assert!(found.next().is_none(), "one policy is expected");
    plan
}

/// Envoy's port for a protocol of a policy.
fn listener(plan: &serde_json::Value, kind: &str, port: u16) -> u16 {
    let all = plan[kind].as_array().unwrap();
    let found = all.iter().find(|one| one["port"] == port).unwrap();
    found["listener"].as_u64().unwrap().try_into().unwrap()
}

/// A download beside an agent that lasts until it is cut.
struct Stream(Child, std::path::PathBuf);

impl Stream {
    fn open(project: &Sandbox, agent: &str, name: &str) -> Self {
        let file = project.project().join(format!("{agent}-{name}.txt"));
        let script = format!("curl -sSN https://{name}/stream?ms=20 > {}", file.display());
        let mut command = project.command(&["exec", "--agent", agent, "--", "sh", "-c", &script]);
        let stream = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), file);
        assert!(stream.grows(), "{name}: it never began");
        stream
    }

    fn grows(&self) -> bool {
        let length = || fs::metadata(&self.1).map_or(0, |found| found.len());
        let before = length();
        wait(Duration::from_secs(3), || length() > before)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_one_project_lists_opens_nothing_for_another() {
    let world = World::new("pair").unwrap();
    let a = &world.sandbox;
    let b = &world.beside("other").unwrap();
    let publish = format!("{OWN}:{OWN}");
    let serve = ["perl", "-MIO::Socket::INET", "-e", SERVER];
    let run = [&["run", "--agent", "one", "--detach", "--yes", "-p", &publish, "--"], &serve[..]].concat();
    a.must(&run).unwrap();
    b.agent("one").unwrap();
    for (project, side) in [(a, "a"), (b, "b")] {
        firewall(project, &format!("add {side}.example"));
        firewall(project, &format!("add {side}-db.example --proto tcp --port 9000"));
    }
    let own = |project: &Sandbox, side: &str| {
        let (web, db) = (format!("{side}.example"), format!("{side}-db.example:9000"));
        assert!(fetches(&world, project, "one", &web, None, &format!("own-web-{side}")), "positive control");
        assert!(delivers(&world, project, "one", &db, &format!("own-db-{side}")), "positive control");
        (address(project, "one", &web), address(project, "one", &format!("{side}-db.example")))
    };
    let ((web, db), (own_web, own_db)) = (own(a, "a"), own(b, "b"));

    // By name.
    assert_eq!(address(b, "one", "a.example"), "");
    assert!(!fetches(&world, b, "one", "a.example", None, "p-name"));
    // By the other's virtual addresses, and by SNI at its own listener.
    for (number, by) in [&web, &own_web, &own_db, "198.51.100.140"].into_iter().enumerate() {
        assert!(!fetches(&world, b, "one", "a.example", Some(by), &format!("p-sni-{number}")), "{by}");
    }
    assert!(
        fetches(&world, b, "one", "b.example", Some(&web), "p-own-by-a"),
        "an address says nothing: SNI does"
    );
    for (number, port) in [9000, 443, 80].into_iter().enumerate() {
        assert!(!delivers(&world, b, "one", &format!("{db}:{port}"), &format!("p-db-{number}")), "{port}");
    }

    // By the other's ports in Envoy and CoreDNS, dialled directly. They are there: the host reaches them.
    let (plan, plan_b) = (plan_of(&world, a), plan_of(&world, b));
    let envoy = address_of(&world.stack_name("clawker-envoy"));
    let coredns = address_of(&world.stack_name("clawker-coredns"));
    let judged = format!("{envoy}:{}", listener(&plan, "judged", 443));
    let stream = format!("{envoy}:{}", listener(&plan, "streams", 9000));
    let dns = format!("{coredns}:{}", plan["dns_port"]);
    let said = from_the_host(&world, &["https", &judged, "a.example", "/p-host"]);
    assert!(came(&world, &said, "p-host") && said.out.contains("host: a.example"), "positive control");
    assert!(came(&world, &from_the_host(&world, &["tcp", &stream, "p-host-db"]), "p-host-db"));
    assert_eq!(from_the_host(&world, &["dns", &dns, "a.example"]).out, web, "positive control");
    let ca = b.project().join("ca.pem");
    fs::copy(world.rig.ca_pem_path(), &ca).unwrap();
    let client = format!("SSL_CERT_FILE={} {}/fakenet probe", ca.display(), b.project().display());
    let own_dns = format!("{coredns}:{}", plan_b["dns_port"]);
    for user in ["1001", "0"] {
        let canary = format!("p-direct-{user}");
        let tries = [
            format!("{client} https {judged} a.example /{canary}"),
            format!("{client} https {judged} b.example /{canary}"),
            format!("{client} tcp {stream} {canary}"),
            format!("{client} dns {dns} a.example"),
        ];
        for script in tries {
            let said = b.inside("one", user, &["sh", "-c", &script]).unwrap();
            assert!(said.code != 0 && world.rig.saw(&canary).is_empty(), "{script}: {said:?}");
        }
    }
    let resolver = b.sh("one", "sed -n 's/^nameserver //p' /etc/resolv.conf").unwrap().out;
    for server in [&resolver, &own_dns] {
        let said = b.probe("one", &["dns", server, "a.example"]).unwrap();
        assert_ne!(said.out, web, "{server}: {said:?}");
    }
    assert_eq!(b.probe("one", &["dns", &resolver, "b.example"]).unwrap().out, own_web, "positive control");

    // The other's agent. It serves, to itself and to the host.
    let (agent, own) = (address_of(&a.container("one")), OWN.to_string());
    let ask = ["http", &format!("{agent}:{own}"), "peer", "/"];
    assert!(wait(PATIENCE, || from_the_host(&world, &ask).code == 0), "positive control");
    for port in [OWN, 443, 9000] {
        let said = b.probe("one", &["http", &format!("{agent}:{port}"), "peer", "/"]).unwrap();
        assert!(said.code != 0 && !said.out.contains("served"), "{port}: {said:?}");
    }
    let output = Command::new("docker").args(["logs", &a.container("one")]).output().unwrap();
    let arrived = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(arrived.contains("came ") && !arrived.contains(&address_of(&b.container("one"))), "{arrived}");
}

#[test]
fn a_rule_of_one_agent_opens_nothing_for_another_and_a_removed_rule_nothing_for_anybody() {
    let world = World::new("own").unwrap();
    let demo = &world.sandbox;
    for agent in ["one", "two"] {
        demo.agent(agent).unwrap();
    }
    firewall(demo, "add all.example");
    firewall(demo, "add one.example --agent one");
    firewall(demo, "add one-db.example --proto tcp --port 9000 --agent one");
    for agent in ["one", "two"] {
        assert!(
            fetches(&world, demo, agent, "all.example", None, &format!("o-all-{agent}")),
            "positive control"
        );
    }
    assert!(fetches(&world, demo, "one", "one.example", None, "o-one"), "positive control");
    assert!(delivers(&world, demo, "one", "one-db.example:9000", "o-one-db"), "positive control");
    let (web, db) = (address(demo, "one", "one.example"), address(demo, "one", "one-db.example"));
    let all = address(demo, "two", "all.example");
    let closed = |agent: &str, round: &str| {
        assert_eq!(address(demo, agent, "one.example"), "", "{agent} {round}");
        assert!(!fetches(&world, demo, agent, "one.example", None, &format!("o-{agent}-{round}")));
        for (number, by) in [&web, &all, "198.51.100.140"].into_iter().enumerate() {
            let canary = format!("o-{agent}-{round}-{number}");
            assert!(!fetches(&world, demo, agent, "one.example", Some(by), &canary), "{agent} {round}: {by}");
        }
        for place in [format!("{db}:9000"), "one-db.example:9000".to_owned()] {
            assert!(!delivers(&world, demo, agent, &place, &format!("o-{agent}-{round}-db")), "{place}");
        }
    };
    closed("two", "before");

    firewall(demo, "remove one.example --agent one");
    firewall(demo, "remove one-db.example --proto tcp --port 9000 --agent one");
    closed("one", "removed");
    closed("two", "removed");
    assert!(fetches(&world, demo, "one", "all.example", None, "o-all-after"), "what stays listed works");
    // Back again: the very ways that were refused above lead there.
    firewall(demo, "add one.example");
    for (number, by) in [&web, &all].into_iter().enumerate() {
        assert!(fetches(&world, demo, "two", "one.example", Some(by), &format!("o-again-{number}")), "{by}");
    }
}

#[test]
fn two_projects_that_list_one_name_have_it_apart() {
    let world = World::new("both").unwrap();
    let (a, b) = (&world.sandbox, &world.beside("other").unwrap());
    for (project, side) in [(a, "a"), (b, "b")] {
        project.agent("one").unwrap();
        firewall(project, "add shared.example");
        firewall(project, "add db.example --proto tcp --port 9000");
        assert!(fetches(&world, project, "one", "shared.example", None, &format!("s-{side}")));
        assert!(delivers(&world, project, "one", "db.example:9000", &format!("s-db-{side}")));
    }
    let ports = |project: &Sandbox| {
        let plan = plan_of(&world, project);
        (listener(&plan, "judged", 443), listener(&plan, "streams", 9000), plan["dns_port"].as_u64())
    };
    let (of_a, of_b) = (ports(a), ports(b));
    assert!(of_a.0 != of_b.0 && of_a.1 != of_b.1 && of_a.2 != of_b.2, "{of_a:?} {of_b:?}");

    let (mut cut, kept) =
        (Stream::open(a, "one", "shared.example"), Stream::open(b, "one", "shared.example"));
    firewall(a, "remove shared.example");
    firewall(a, "remove db.example --proto tcp --port 9000");
    assert!(wait(PATIENCE, || cut.0.try_wait().unwrap().is_some()), "a connection outlived its rule");
    assert!(kept.grows(), "removing it in one project cut the other's");
    assert!(!fetches(&world, a, "one", "shared.example", None, "s-a-removed"));
    assert!(!delivers(&world, a, "one", "db.example:9000", "s-db-a-removed"));
    assert!(fetches(&world, b, "one", "shared.example", None, "s-b-new"));
    assert!(delivers(&world, b, "one", "db.example:9000", "s-db-b-new"));
    assert!(kept.grows());
    assert_eq!(ports(b), of_b);
}

/// Every address and port that is in a policy's plan, by what it is for.
fn places(plan: &serde_json::Value) -> BTreeMap<String, String> {
    let list = |key: &str| plan[key].as_array().unwrap().iter();
    let answers = list("zone").map(|one| (format!("name {}", one["name"]), one["address"].to_string()));
    let judged = list("judged")
        .map(|one| (format!("judged {} {}", one["proto"], one["port"]), one["listener"].to_string()));
    let streams = list("streams")
        .map(|one| (format!("stream {} {}", one["name"], one["port"]), one["listener"].to_string()));
    let services = list("services")
        .map(|one| (format!("service {} {}", one["address"], one["port"]), one["listener"].to_string()));
    let dns = [("dns".to_owned(), plan["dns_port"].to_string())];
    answers.chain(judged).chain(streams).chain(services).chain(dns).collect()
}

#[test]
fn a_removed_rule_moves_no_address_and_no_port_of_any_other() {
    let world = World::new("stay").unwrap();
    let (a, b) = (&world.sandbox, &world.beside("other").unwrap());
    for project in [a, b] {
        project.agent("one").unwrap();
        for name in ["first", "middle", "last"] {
            firewall(project, &format!("add {name}.example"));
            firewall(project, &format!("add {name}-db.example --proto tcp --port 9000"));
            firewall(project, &format!("add {name}.example --proto http --port 8080"));
        }
    }
    let (before, before_b) = (places(&plan_of(&world, a)), places(&plan_of(&world, b)));
    let handed_out = state(&world, "alloc.json");
    for rule in [
        "middle.example",
        "middle-db.example --proto tcp --port 9000",
        "middle.example --proto http --port 8080",
    ] {
        firewall(a, &format!("remove {rule}"));
    }
    let after = places(&plan_of(&world, a));
    let gone: Vec<&String> = before.keys().filter(|key| !after.contains_key(*key)).collect();
    assert_eq!(gone.len(), 6, "two names, one stream, three services: {gone:?}");
    assert!(after.iter().all(|(key, place)| before.get(key) == Some(place)), "{before:#?} {after:#?}");
    assert_eq!(places(&plan_of(&world, b)), before_b);
    let now = state(&world, "alloc.json");
    for kind in ["addresses", "listeners", "dns"] {
        assert_eq!(now[kind], handed_out[kind], "{kind}");
    }
    // A new name gets what nobody had, and the old one gets back what it had.
    firewall(a, "add new.example");
    let new = places(&plan_of(&world, a))["name \"new.example\""].clone();
    assert!(!before.values().any(|place| *place == new), "{new}");
    for rule in [
        "middle.example",
        "middle-db.example --proto tcp --port 9000",
        "middle.example --proto http --port 8080",
    ] {
        firewall(a, &format!("add {rule}"));
    }
    firewall(a, "remove new.example");
    assert_eq!(places(&plan_of(&world, a)), before);
    assert!(
        fetches(&world, a, "one", "last.example", None, "m-last")
            && delivers(&world, b, "one", "last-db.example:9000", "m-db")
    );
}
