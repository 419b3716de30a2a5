//! The rule transaction and the toggle, in fresh network namespaces, against `nft -f` and a shell of iptables
//! that do about the same.

use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use clawker_init::fence::{Fence, Opening};
use clawker_init::grants::Running;
use clawker_init::netfilter::Netfilter;
use clawker_init::netlink::{Family, Socket};
use clawker_init::nft::batch::Batch;
use clawker_init::nft::rules::{Features, compile};
use clawker_init::route;
use clawker_protocol::enforcement::{Enforcement, PortRange, PortRoute, Service};

/// The default policy's shape, with as many services as asked for.
pub fn enforcement(services: u32) -> Enforcement {
    let address = |n: u32| Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + n);
    Enforcement {
        generation: 1,
        envoy: Ipv4Addr::new(172, 30, 0, 2),
        coredns: Ipv4Addr::new(172, 30, 0, 3),
        dns_port: 5301,
        open_dns_port: 5300,
        services: (0..services)
            .map(|n| Service { address: address(n), port: 443, listener: 20_000, expires: None })
            .collect(),
        port_routes: vec![
            PortRoute { ports: PortRange::single(443), listener: 20_000 },
            PortRoute { ports: PortRange::single(80), listener: 20_001 },
        ],
        direct: Vec::new(),
        published: Vec::new(),
    }
}

/// Runs in a namespace of its own: compiles the rules, then sends the one transaction and prints the nanoseconds until
/// the kernel has answered.
///
/// # Errors
/// When the kernel refused.
pub fn transaction(services: u32) -> Result<(), Box<dyn std::error::Error>> {
    let interfaces = route::interfaces()?;
    let ruleset = compile(
        &enforcement(services).into(),
        &Running::default(),
        Opening::Closed,
        &interfaces,
        Features::ALL,
    );
    let socket = Socket::open(Family::Netfilter, 0)?;
    let mut batch = Batch::new();
    batch.add_ruleset(&ruleset);
    let finished = batch.finish().ok_or("nothing to send")?;
    let begin = Instant::now();
    let nacks = socket.request(finished.bytes(), finished.last())?;
    let elapsed = begin.elapsed();
    match nacks.first() {
        Some(nack) => Err(nack.error().into()),
        None => {
            println!("transaction {}", elapsed.as_nanos());
            Ok(())
        }
    }
}

/// Runs in a namespace of its own: installs once and prints the nanoseconds; then toggles and prints each.
///
/// # Errors
/// When the kernel refused.
pub fn inside(services: u32, toggles: u32) -> Result<(), Box<dyn std::error::Error>> {
    let policy = enforcement(services).into();
    let mut netfilter = Netfilter::open()?;
    let begin = Instant::now();
    netfilter.install(&policy, Opening::Closed)?;
    println!("install {}", begin.elapsed().as_nanos());
    for _ in 0..toggles {
        for (name, opening) in [("open", Opening::Indefinitely), ("close", Opening::Closed)] {
            let begin = Instant::now();
            netfilter.set_opening(opening)?;
            println!("{name} {}", begin.elapsed().as_nanos());
        }
    }
    Ok(())
}

/// Runs [`inside`] (or, by its name, [`transaction`]) in a fresh network namespace and collects what it printed under
/// `name`.
///
/// # Errors
/// When it failed.
pub fn run(name: &str, services: u32, toggles: u32) -> io::Result<Vec<Duration>> {
    let output = Command::new("unshare")
        .arg("--net")
        .arg("sh")
        .args([
            "-c",
            "ip link set lo up; ip link add eth0 type veth peer name peer0; ip link set eth0 up; exec \"$@\"",
            "sh",
        ])
        .arg(std::env::current_exe()?)
        .args([
            if name == "transaction" { name } else { "rules" },
            &services.to_string(),
            &toggles.to_string(),
        ])
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.trim().parse().ok().map(Duration::from_nanos))
        .collect())
}

/// The peers' way to the same rules, as a shell would write it.
pub const IPTABLES: &str = "\
iptables -t nat -A OUTPUT -p udp --dport 53 -j DNAT --to 172.30.0.3:5301
iptables -t nat -A OUTPUT -p tcp --dport 53 -j DNAT --to 172.30.0.3:5301
iptables -t nat -A OUTPUT -o lo -j RETURN
iptables -t nat -A OUTPUT -p tcp --dport 443 -j DNAT --to 172.30.0.2:20000
iptables -t nat -A OUTPUT -p tcp --dport 80 -j DNAT --to 172.30.0.2:20001
iptables -P OUTPUT DROP
iptables -A OUTPUT -o lo -j ACCEPT
iptables -A OUTPUT -d 172.30.0.2 -p tcp -j ACCEPT
iptables -A OUTPUT -d 172.30.0.3 -p udp --dport 5301 -j ACCEPT
iptables -A OUTPUT -d 172.30.0.3 -p tcp --dport 5301 -j ACCEPT
iptables -P INPUT DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT";

/// Times one script in a fresh network namespace, without the namespace's own set-up.
///
/// # Errors
/// When it failed.
pub fn script(script: &str) -> io::Result<Duration> {
    let timed = format!("a=$(date +%s%N)\nset -e\n{script}\nb=$(date +%s%N)\necho $((b-a))");
    let output = Command::new("unshare").args(["--net", "sh", "-c", &timed]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let nanos = text
        .trim()
        .parse()
        .map_err(|_| io::Error::other(format!("{text:?} {}", String::from_utf8_lossy(&output.stderr))))?;
    Ok(Duration::from_nanos(nanos))
}
