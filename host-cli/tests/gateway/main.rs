//! The generated configuration in the real Envoy and CoreDNS, on a network of its own. Names resolve and upstreams
//! listen on an address that this host takes for the time of the test and that counts as public (Envoy never dials the
//! bridge's own), so that nothing leaves the machine. Needs Docker, the images (scripts/images), root, and port 53 of
//! that address; what is missing fails the test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "all of this is a test")]

mod upstream;
mod wire;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bollard::Docker;
use clawker::config::Settings;
use clawker::docker::Engine;
use clawker::enforcement::{self, Worked};
use clawker::gateway;
use clawker::images;
use clawker::lock::StateLock;
use clawker::output::Output;
use clawker::paths::Paths;
use clawker::plan::Stream;
use clawker::policy::Proto;
use clawker::project::{CliRule, Project};
use clawker::stack::{self, StackInfo};
use clawker_protocol::names::Name;

/// Of TEST-NET-2, where the fake internet has nobody.
const UPSTREAM: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 127);
/// Time enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    paths: Paths,
    root: PathBuf,
    docker: Docker,
    settings: Settings,
    info: StackInfo,
}

impl World {
    /// A stack of its own.
    async fn new(instance: &str) -> Self {
        let root = std::env::temp_dir().join(format!("clawker-gateway-{}", std::process::id()));
        let paths = Paths {
            state: root.join("state"),
            config: root.join("config"),
            // Where the images' references are remembered; nothing else of it is used.
            cache: std::env::var_os("HOME").map(PathBuf::from).expect("HOME is set").join(".cache/clawker"),
            instance: Some(Name::new(instance).unwrap()),
        };
        std::fs::create_dir_all(&paths.state).unwrap();
        let docker = Engine::connect(None).await.expect("Docker answers").api;
        let mut settings = Settings::default();
        let output = Output::new(false, true);
        let images = images::stack(&paths, &settings, &output).await.expect("references");
        for reference in [&images.envoy, &images.coredns] {
            docker.inspect_image(reference).await.expect("the images are here: scripts/images");
        }
        let info = stack::ensure(&docker, &paths, &settings, &output).await.unwrap();
        settings.firewall.upstream_dns = vec![UPSTREAM];
        // It goes by itself where the test is killed.
        assert!(address(&["replace", "valid_lft", "600", "preferred_lft", "600"]), "ip addr works");
        Self { paths, root, docker, settings, info }
    }

    fn work_out(&self, rules: &[&str]) -> Worked {
        let cli = rules.iter().map(|text| {
            let mut words = text.split(' ').map(str::to_owned);
            let (action, dst, proto) = (words.next(), words.next().unwrap(), words.next());
            let port = words.next().map(|port| port.parse().unwrap());
            CliRule {
                rule: clawker::config::RawRule { dst, proto, port, action, ..Default::default() },
                agent: None,
                expires: None,
            }
        });
        let project = Project { dir: self.root.join("project"), accepted: None, cli: cli.collect() };
        let lock = StateLock::acquire(&self.paths).unwrap();
        let stored = gateway::plans(&self.paths).unwrap();
        enforcement::work_out(&self.paths, &lock, &self.settings, &project, None, &stored).unwrap()
    }

    async fn put(&self, rules: &[&str]) -> Worked {
        let worked = self.work_out(rules);
        let lock = StateLock::acquire(&self.paths).unwrap();
        let plans = std::slice::from_ref(&worked.plan);
        let stored = gateway::plans(&self.paths).unwrap();
        enforcement::put_into_force(&self.paths, &lock, &self.info, stored, plans).await.unwrap();
        worked
    }

    fn dial(&self, port: u16) -> TcpStream {
        let stream = TcpStream::connect((self.info.envoy, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What comes back first; empty for a reset or an end.
    fn answer(&self, port: u16, bytes: &[u8]) -> String {
        let mut stream = self.dial(port);
        let mut buffer = [0; 2048];
        let read = stream.write_all(bytes).and_then(|()| stream.read(&mut buffer));
        String::from_utf8_lossy(&buffer[..read.unwrap_or(0)]).into_owned()
    }
}

/// `ip addr` for [`UPSTREAM`]; the first word is the verb.
fn address(words: &[&str]) -> bool {
    let whole = format!("{UPSTREAM}/32");
    let (verb, rest) = words.split_first().unwrap();
    let all = [&["addr", verb, &whole, "dev", "lo"][..], rest].concat();
    std::process::Command::new("ip").args(all).status().is_ok_and(|status| status.success())
}

impl Drop for World {
    /// Nothing is left, whatever happened.
    fn drop(&mut self) {
        let paths = self.paths.clone();
        let down = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let docker = Engine::connect(None).await.unwrap().api;
                stack::down(&docker, &paths).await.unwrap();
            });
        });
        let gone = down.join().is_ok();
        let _ = address(&["del"]);
        let _ = std::fs::remove_dir_all(&self.root);
        assert!(gone || std::thread::panicking(), "the stack could not be taken down");
    }
}

const RULES: [&str; 7] = [
    "allow .web.test tls",
    "deny shut.web.test tls",
    "allow alone.test tls",
    "allow plain.test http",
    "allow git.test ssh",
    "allow db.test tcp 5432",
    "allow other.test tls 8443",
];

#[tokio::test]
async fn the_real_envoy_and_coredns_do_what_the_policy_says() {
    let world = World::new("gatewaytest").await;
    let begin = Instant::now();
    stack::ensure(&world.docker, &world.paths, &Settings::default(), &Output::new(false, true))
        .await
        .unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "a stack that is up is left alone");
    let worked = world.put(&RULES).await;
    names(&world, &worked);
    refusals(&world, &worked);
    assert!(upstream::serve(UPSTREAM), "port 53 of the address can be bound");
    passes(&world, &worked);
    change_keeps_connections(&world, &worked).await;
    bad_is_refused(&world).await;
}

/// A, and no other type; NXDOMAIN for the rest; no transfer.
fn names(world: &World, worked: &Worked) {
    let (a, aaaa, https, axfr) = (1, 28, 65, 252);
    let ask = |name: &str, kind: u16| wire::ask(world.info.coredns, worked.plan.dns_port, name, kind);
    for name in
        ["web.test", "a.web.test", "b.a.web.test", "x.shut.web.test", "ALONE.test", "git.test", "plain.test"]
    {
        let answer = ask(name, a);
        let address = answer.address.unwrap_or(Ipv4Addr::UNSPECIFIED);
        assert!(answer.code == 0 && address.octets()[..2] == [198, 18], "{name}: {answer:?}");
        for kind in [aaaa, https] {
            assert_eq!(ask(name, kind), wire::Answer { code: 0, address: None }, "{name} {kind}");
        }
    }
    assert_eq!(ask("shut.web.test", a).address, None);
    for name in ["evil.test", "x.alone.test", "evilweb.test", "statsig.com"] {
        assert_eq!(ask(name, a), wire::Answer { code: 3, address: None }, "{name}");
    }
    assert_eq!(ask("", axfr).code, 5, "a transfer would list every name");
}

/// What no rule allows is reset, or told so, whatever the upstream.
fn refusals(world: &World, worked: &Worked) {
    let tls = listener(worked, Proto::Tls, 443);
    for name in [Some("evil.test"), Some("shut.web.test"), Some("evilweb.test"), Some("other.test"), None] {
        assert_eq!(world.answer(tls, &wire::client_hello(name)), "", "{name:?}");
    }
    assert_eq!(world.answer(tls, b"GET / HTTP/1.1\r\n\r\n"), "");
    let http = listener(worked, Proto::Http, 80);
    for host in ["evil.test", "plain.test:22", "a@plain.test", "198.51.100.1", "xplain.test"] {
        let answer = world.answer(http, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 403"), "{host}: {answer}");
        let command = format!("clawker firewall add {host} --proto http\"");
        let is_name = !host.contains([':', '@']);
        assert_eq!(answer.contains(&command), is_name, "{host}: {answer}");
    }
    let begin = Instant::now();
    let mut silent = world.dial(tls);
    assert_eq!(silent.read(&mut [0; 8]).unwrap_or(0), 0);
    assert!(begin.elapsed() < Duration::from_secs(8), "a client that says nothing is let go of");
}

fn passes(world: &World, worked: &Worked) {
    for (port, names) in
        [(443, &["web.test", "a.web.test", "x.shut.web.test", "ALONE.test"][..]), (8443, &["other.test"][..])]
    {
        for name in names {
            let answer = world.answer(listener(worked, Proto::Tls, port), &wire::client_hello(Some(name)));
            assert_eq!(answer, format!("upstream {port}"), "{name}");
        }
    }
    let http = listener(worked, Proto::Http, 80);
    for host in ["plain.test", "plain.test:80", "PLAIN.test"] {
        let answer = world.answer(http, format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
    }
    for stream in &worked.plan.streams {
        assert_eq!(
            world.answer(stream.listener, b"hello"),
            format!("upstream {}", stream.port),
            "{}",
            stream.name
        );
    }
}

/// A connection that stays allowed lives through a rule change, and the change is in force when it was said to be.
async fn change_keeps_connections(world: &World, worked: &Worked) {
    let tls = listener(worked, Proto::Tls, 443);
    let mut open = world.dial(tls);
    let mut buffer = [0; 64];
    open.write_all(&wire::client_hello(Some("alone.test"))).unwrap();
    assert!(open.read(&mut buffer).unwrap() > 0);
    let mut rules = RULES.to_vec();
    for number in 0..3 {
        let rule = format!("allow new{number}.test tls");
        rules.push(Box::leak(rule.into_boxed_str()));
        world.put(&rules).await;
        let hello = wire::client_hello(Some(&format!("new{number}.test")));
        assert_eq!(world.answer(tls, &hello), "upstream 443", "in force at once");
        open.write_all(b"still here").unwrap();
        let read = open.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"still here");
    }
    world.put(&RULES).await;
    assert_eq!(world.answer(tls, &wire::client_hello(Some("new0.test"))), "", "and out of force at once");
    assert_eq!(wire::ask(world.info.coredns, worked.plan.dns_port, "new0.test", 1).code, 3);
}

/// What Envoy does not take leaves files and behaviour as they were.
async fn bad_is_refused(world: &World) {
    let mut worked = world.work_out(&RULES);
    worked.plan.generation += 1;
    worked.plan.streams.push(Stream {
        proto: Proto::Tcp,
        name: "%NO_SUCH%".into(),
        port: 1,
        dial: Default::default(),
        listener: 9_000,
    });
    let read = |name: &str| std::fs::read(world.paths.envoy_dir().join(name)).unwrap();
    let before = read(clawker::envoy::LISTENERS);
    let lock = StateLock::acquire(&world.paths).unwrap();
    // Whether it is known beforehand that there is something to check, or only seen by the files.
    for differs in [true, false] {
        let plans = [worked.plan.clone()];
        let error = gateway::publish(&world.paths, &lock, &world.info, &plans, differs).await.unwrap_err();
        assert!(error.to_string().contains("Envoy refuses the new policy"), "{error}");
        assert_eq!(read(clawker::envoy::LISTENERS), before);
        assert!(!world.paths.envoy_dir().join(clawker::envoy::CHECK).exists());
        assert_eq!(wire::ask(world.info.coredns, worked.plan.dns_port, "alone.test", 1).code, 0);
    }
}

fn listener(worked: &Worked, proto: Proto, port: u16) -> u16 {
    worked.plan.judged.iter().find(|one| one.proto == proto && one.port == port).unwrap().listener
}
