//! A policy of many names: how long one more rule takes as a command, when CoreDNS and Envoy have taken it, and what
//! memory both need.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::peers::{JUDGED, PASSED};
use crate::bench::command::once;
use crate::bench::figures::Figures;
use crate::fakenet::dns;
use crate::rig::docker::docker;
use crate::rig::workspace;
use crate::wire::hello::Hello;
use crate::world::{World, WorldError};

/// How often one more rule is added, as a command alone and while it is watched.
const TIMES: usize = 9;
const WATCHED: usize = 5;
/// How often what is watched is looked at.
const STEP: Duration = Duration::from_millis(5);
/// How long one look waits for an answer, and all together for the rule.
const ONE_ANSWER: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(15);
/// The first byte of a TLS record with a handshake message (RFC 8446, 5.1).
const HANDSHAKE: u8 = 0x16;

/// What a policy of so many names costs.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Names.
    pub names: usize,
    /// From rules to the bytes of all files, without any effect.
    pub generation: Figures,
    /// `clawker firewall reload` with all of them at once.
    pub reload: Duration,
    /// `clawker firewall add`, as a process.
    pub add: Figures,
    /// From the command's start until CoreDNS answers with the new name.
    pub coredns: Figures,
    /// From the command's start until Envoy lets a connection to it through.
    pub envoy: Figures,
    /// Resident memory in kilobytes.
    pub coredns_kb: u64,
    /// See [`Growth::coredns_kb`].
    pub envoy_kb: u64,
}

fn figures(times: Vec<Duration>) -> Result<Figures, WorldError> {
    Figures::of(times).ok_or_else(|| io::Error::other("nothing was measured").into())
}

/// Puts a policy of so many names into force, and measures.
///
/// # Errors
/// When a command fails.
pub fn measure(world: &World, names: usize, roots: &[&Path]) -> Result<Growth, WorldError> {
    let roots: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
    let list: Vec<String> = (0..names.saturating_sub(2)).map(|number| format!("n{number}.example")).collect();
    let paths = "[{path: /api/}, {path: /static, methods: [GET]}, {path: /api/private, action: deny}]";
    let file = format!(
        "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    add_domains: [{PASSED}{}{}]\n    \
         rules: [{{dst: {JUDGED}, path_rules: {paths}}}]\n",
        roots.join(", "),
        if list.is_empty() { "" } else { ", " },
        list.join(", ")
    );
    world.write_project_file(&file)?;
    let reload = once(&mut world.command(&["firewall", "reload", "--yes"]))?;
    let mut add = Vec::new();
    for number in 0..TIMES {
        add.push(once(&mut world.command(&["firewall", "add", &format!("more-{names}-{number}.example")]))?);
    }
    let (mut coredns, mut envoy) = (Vec::new(), Vec::new());
    for number in 0..WATCHED {
        let taken = watched(world, &format!("watched-{names}-{number}.example"))?;
        coredns.push(taken.0);
        envoy.push(taken.1);
    }
    Ok(Growth {
        names,
        generation: generation(names)?,
        reload,
        add: figures(add)?,
        coredns: figures(coredns)?,
        envoy: figures(envoy)?,
        coredns_kb: resident(&world.stack_name("clawker-coredns"), "coredns")?,
        envoy_kb: resident(&world.stack_name("clawker-envoy"), "envoy")?,
    })
}

/// Where a policy's names are asked for, and where connections to them go through.
struct Places {
    coredns: SocketAddr,
    envoy: SocketAddr,
}

impl Places {
    fn of(world: &World) -> Result<Self, WorldError> {
        let plans = fs::read_dir(world.state_folder().join("plans"))?;
        let plan = plans.flatten().next().ok_or_else(|| io::Error::other("there is no plan"))?.path();
        let plan: Ports = serde_json::from_slice(&fs::read(plan)?).map_err(io::Error::from)?;
        let tls = plan.judged.iter().find(|judged| judged.proto == "tls" && judged.port == 443);
        let tls = tls.ok_or_else(|| io::Error::other("no listener judges TLS"))?;
        let place = |part: &str, port: u16| -> Result<SocketAddr, WorldError> {
            let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
            let address = docker(&["inspect", "--format", format, &world.stack_name(part)])?;
            Ok(SocketAddr::new(address.parse().map_err(io::Error::other)?, port))
        };
        Ok(Self {
            coredns: place("clawker-coredns", plan.dns_port)?,
            envoy: place("clawker-envoy", tls.listener)?,
        })
    }
}

/// Of a plan, what is needed here.
#[derive(Deserialize)]
struct Ports {
    dns_port: u16,
    judged: Vec<Judged>,
}

#[derive(Deserialize)]
struct Judged {
    proto: String,
    port: u16,
    listener: u16,
}

/// Adds a rule, and looks when CoreDNS answers with its name and Envoy lets a connection to it through.
fn watched(world: &World, name: &str) -> Result<(Duration, Duration), WorldError> {
    let places = Places::of(world)?;
    if resolves(places.coredns, name) || is_let_through(places.envoy, name) {
        return Err(io::Error::other(format!("{name} is allowed before it is added")).into());
    }
    let begun = Instant::now();
    let poll = |is_there: &dyn Fn() -> bool| {
        while !is_there() {
            if begun.elapsed() > LONGEST {
                return None;
            }
            std::thread::sleep(STEP);
        }
        Some(begun.elapsed())
    };
    let mut add = world.command(&["firewall", "add", name]);
    std::thread::scope(|scope| {
        let coredns = scope.spawn(|| poll(&|| resolves(places.coredns, name)));
        let envoy = scope.spawn(|| poll(&|| is_let_through(places.envoy, name)));
        once(&mut add)?;
        match (coredns.join(), envoy.join()) {
            (Ok(Some(coredns)), Ok(Some(envoy))) => Ok((coredns, envoy)),
            _ => Err(io::Error::other("the new rule was never seen").into()),
        }
    })
}

fn resolves(place: SocketAddr, name: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(ONE_ANSWER))?;
        socket.connect(place)?;
        socket.send(&dns::query(name, "A").ok_or(io::ErrorKind::InvalidInput)?)?;
        let mut answer = [0; 1232];
        let length = socket.recv(&mut answer)?;
        let read = dns::read_answer(answer.get(..length).unwrap_or_default());
        Ok(matches!(read, Some((0, addresses)) if !addresses.is_empty()))
    };
    ask().unwrap_or(false)
}

/// Whether a ClientHello with this name gets its server's first handshake record back.
fn is_let_through(place: SocketAddr, name: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&place, ONE_ANSWER)?;
        stream.set_read_timeout(Some(ONE_ANSWER))?;
        stream.write_all(&Hello::new("policy").named(name).bytes())?;
        let mut first = [0];
        stream.read_exact(&mut first)?;
        Ok(first == [HANDSHAKE])
    };
    ask().unwrap_or(false)
}

/// Kilobytes that the processes of a program in a container hold.
fn resident(container: &str, program: &str) -> Result<u64, WorldError> {
    let list = docker(&["top", container, "-eo", "pid,rss,comm"])?;
    let rows = list.lines().filter(|line| line.split_whitespace().nth(2) == Some(program));
    let sum: u64 = rows.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum();
    if sum == 0 {
        return Err(io::Error::other(format!("{container} runs no {program}: {list}")).into());
    }
    Ok(sum)
}

/// What the pure part takes, by the product's own program for that.
fn generation(names: usize) -> Result<Figures, WorldError> {
    let program = workspace().join("target/release/examples/generate");
    let output = Command::new(&program).arg(names.to_string()).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let whole = text.lines().filter_map(|line| line.strip_prefix("whole_us "));
    figures(whole.filter_map(|us| us.parse().ok()).map(Duration::from_micros).collect())
}
