//! How long the rules take, in a network namespace of its own: as root, `cargo run --release -p clawker-init
//! --example rule_times`. The peer is the `nft` program with the same rules, where there is one.

#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clawker_init::fence::{Fence, Opening};
use clawker_init::grants::Running;
use clawker_init::netfilter::Netfilter;
use clawker_init::nft::rules::{Features, compile};
use clawker_init::route;
use clawker_protocol::enforcement::{Enforcement, PortRange, PortRoute, Service};
use nix::sched::{CloneFlags, unshare};

const RUNS: usize = 31;

fn enforcement(services: u32) -> Enforcement {
    let text = r#"{"generation":1,"envoy":"198.51.100.2","coredns":"198.51.100.3","dns_port":5301,
                   "open_dns_port":5300}"#;
    Enforcement {
        services: (0..services)
            .map(|n| Service {
                address: Ipv4Addr::from(0xc612_0000 + n),
                port: 443,
                listener: 20_000 + u16::try_from(n % 10_000).unwrap(),
                expires: None,
            })
            .collect(),
        port_routes: vec![PortRoute { ports: PortRange::single(443), listener: 10_443 }],
        ..serde_json::from_str(text).unwrap()
    }
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: usize| times[(times.len() - 1) * part / 100];
    println!("{what:<52} min {:>9.3?}  median {:>9.3?}  p95 {:>9.3?}", at(0), at(50), at(95));
}

fn measure(what: &str, mut run: impl FnMut() -> Duration) {
    show(what, (0..RUNS).map(|_| run()).collect());
}

fn new_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
}

fn main() {
    for services in [20, 10_000] {
        let enforcement = enforcement(services);
        measure(&format!("install and read back, {services} services"), || {
            new_namespace();
            let mut netfilter = Netfilter::open().unwrap();
            let start = Instant::now();
            netfilter.install(&enforcement.clone().into(), Opening::Closed).unwrap();
            start.elapsed()
        });
        let mut standing = Netfilter::open().unwrap();
        standing.install(&enforcement.clone().into(), Opening::Closed).unwrap();
        let mut next = enforcement.clone();
        measure(&format!("swap one of them and read back, {services} services"), || {
            next.services[0].listener ^= 1;
            let start = Instant::now();
            standing.swap(&next.clone().into()).unwrap();
            start.elapsed()
        });
        for (what, opening) in
            [("open", Opening::For(Duration::from_secs(60))), ("close, nothing to cut", Opening::Closed)]
        {
            measure(&format!("{what}, {services} services"), || {
                let start = Instant::now();
                standing.set_opening(opening).unwrap();
                start.elapsed()
            });
        }
        drop(standing);
        let features = Features { owner: false, egress: true };
        let text = compile(
            &enforcement.into(),
            &Running::default(),
            Opening::Closed,
            &route::interfaces().unwrap(),
            features,
        )
        .render();
        measure(&format!("peer: the nft program, {services} services"), || {
            new_namespace();
            let start = Instant::now();
            let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(nft.wait().unwrap().success());
            start.elapsed()
        });
    }
}
