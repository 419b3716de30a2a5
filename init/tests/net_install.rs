//! The rule set in the kernel: installed whole, read back, the same as nft would have made it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod net;

use std::time::{Duration, Instant};

use clawker_init::conntrack::Conntrack;
use clawker_init::fence::{Fence, Opening};
use clawker_init::grants::Running;
use clawker_init::netfilter::{Netfilter, NetfilterError};
use clawker_init::nft::rules::{Features, compile};
use clawker_init::{route, sys};
use clawker_protocol::enforcement::{PortRange, PortRoute, Service};
use net::{World, enforcement};

/// Handles, the owner and what was counted differ between two installs of the same thing.
fn without_handles(listing: &str) -> Vec<String> {
    let skip = |line: &&str| {
        let line = line.trim();
        !line.is_empty() && line != "flags owner" && !line.starts_with("packets ")
    };
    let line = |line: &str| {
        let line = line.split(" # progname").next().unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [family @ ("inet" | "netdev"), table, chain, ..] if !chain.starts_with('@') => {
                format!("{family} {table} {chain}")
            }
            _ => line.to_owned(),
        }
    };
    let mut lines = listing.lines().filter(skip).map(line).collect::<Vec<_>>();
    // A hash has its elements in an order of its own.
    lines.chunk_by_mut(|one, other| is_element(one) == is_element(other)).for_each(|run| {
        if run.first().is_some_and(|line| is_element(line)) {
            run.sort();
        }
    });
    lines
}

fn is_element(line: &str) -> bool {
    line.starts_with("\telement ")
}

#[test]
fn what_we_install_is_what_nft_makes_of_the_same_rules() {
    let world = World::new();
    let twin = World::new();
    let mut enforcement = enforcement();
    // Past: its rule is there, and nothing that counts down.
    enforcement.services.push(Service {
        address: [198, 18, 0, 9].into(),
        port: 22,
        listener: 10_009,
        expires: Some(1),
    });
    for (policy, opening) in [
        (enforcement.clone().into(), Opening::Closed),
        (enforcement.into(), Opening::Indefinitely),
        (net::gateway().into(), Opening::Closed),
    ] {
        world.enter_agent();
        let mut netfilter = net::netfilter_anew();
        netfilter.install(&policy, opening).unwrap();
        let interfaces = route::interfaces().unwrap();
        assert!(interfaces.iter().any(|interface| interface.name == "eth0"), "{interfaces:?}");

        twin.enter_agent();
        let interfaces = route::interfaces().unwrap();
        let text = compile(&policy, &Running::default(), opening, &interfaces, Features::ALL).render();
        let file = std::env::temp_dir().join(format!("clawker-golden-{}.nft", std::process::id()));
        std::fs::write(&file, text.replace("\tflags owner\n", "")).unwrap();
        let made = twin.nft(&["-f", file.to_str().unwrap()]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::remove_file(&file).unwrap();

        for args in [&["list", "ruleset"][..], &["--debug=netlink", "list", "ruleset"]] {
            let (ours, theirs) = (world.listing(args), twin.listing(args));
            assert!(ours.contains("flags owner") && ours.contains("clawker-guard"), "{ours}");
            let (ours, theirs) = (without_handles(&ours), without_handles(&theirs));
            for (one, other) in ours.iter().zip(&theirs) {
                assert_eq!(one, other, "{opening:?} {args:?}");
            }
            assert_eq!(ours.len(), theirs.len());
        }
        assert!(twin.nft(&["flush", "ruleset"]).status.success());
    }
}

#[test]
fn a_swap_leaves_what_an_install_would_have_made() {
    let (world, twin) = (World::new(), World::new());
    let mut changed = enforcement();
    changed.envoy = net::GATEWAY;
    changed.dns_port += 1;
    changed.services.push(Service {
        address: [198, 18, 0, 6].into(),
        port: 22,
        listener: 10_002,
        expires: None,
    });
    changed.services[0].listener = 10_003;
    changed.port_routes.remove(0);
    // Neighbours with listeners of their own.
    for (port, listener) in [(9000, 10_010), (9001, 10_011), (9002, 10_012)] {
        changed.port_routes.push(PortRoute { ports: PortRange::single(port), listener });
    }
    changed.direct.pop();
    changed.direct[0].net = "198.51.100.0/28".parse().unwrap();
    changed.published.clear();
    let mut emptied = changed.clone();
    emptied.services.clear();
    emptied.port_routes.clear();
    emptied.direct.clear();
    let mut timed = enforcement();
    timed.services.push(Service {
        address: [198, 18, 0, 9].into(),
        port: 22,
        listener: 10_009,
        expires: Some(1),
    });
    let steps = [enforcement(), changed.clone(), timed, emptied, changed, enforcement()];

    world.enter_agent();
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&steps[0].clone().into(), Opening::Closed).unwrap();
    for step in &steps[1..] {
        world.enter_agent();
        netfilter.swap(&step.clone().into()).unwrap();
        assert_eq!(netfilter.watch(), Vec::<String>::new(), "its own swap is no change");
        twin.enter_agent();
        let mut fresh = net::netfilter_anew();
        fresh.install(&step.clone().into(), Opening::Closed).unwrap();
        let args = ["list", "ruleset"];
        assert_eq!(without_handles(&world.listing(&args)), without_handles(&twin.listing(&args)));
    }
}

#[test]
fn ten_thousand_services_fit_in_one_transaction() {
    let world = World::new();
    world.enter_agent();
    let mut big = enforcement();
    big.services = (0..10_000u32)
        .map(|n| Service {
            address: std::net::Ipv4Addr::from(0xc612_0000 + n),
            port: 443,
            listener: 20_000 + u16::try_from(n % 10_000).unwrap(),
            expires: None,
        })
        .collect();
    let mut netfilter = Netfilter::open().unwrap();
    let start = Instant::now();
    netfilter.install(&big.clone().into(), Opening::Closed).unwrap();
    let took = start.elapsed();
    eprintln!("10,000 services installed and read back in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let listing = world.listing(&["list", "map", "inet", "clawker", "services"]);
    assert_eq!(listing.matches(" : 2").count(), 10_000);
}

#[test]
fn without_the_capability_it_says_which_one_is_missing() {
    const CAP_NET_ADMIN: u32 = 12;
    let world = World::new();
    world.enter_agent();
    // Of this thread only.
    let mut sets = sys::capget().unwrap();
    sets.effective &= !(1 << CAP_NET_ADMIN);
    sys::capset(sets).unwrap();
    let error = Netfilter::open().unwrap_err();
    assert!(matches!(error, NetfilterError::NoNetAdmin), "{error}");
    sets.effective |= 1 << CAP_NET_ADMIN;
    sys::capset(sets).unwrap();
    Netfilter::open().unwrap();
}

#[test]
fn conntrack_forgets_one_port_and_keeps_the_rest() {
    let world = World::new();
    world.enter_agent();
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&enforcement().into(), Opening::Indefinitely).unwrap();
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    for port in [53, 54, 5353] {
        socket.send_to(b"x", (net::EVIL, port)).unwrap();
    }
    let mut conntrack = Conntrack::open().unwrap();
    let ports = |conntrack: &mut Conntrack| {
        let mut ports: Vec<u16> = conntrack
            .list(|entry| entry.proto == 17)
            .unwrap()
            .iter()
            .map(|entry| entry.original.destination.port())
            .collect();
        ports.sort_unstable();
        ports
    };
    assert_eq!(ports(&mut conntrack), [53, 54, 5353]);
    // The kernel's own filter, where it has one; else the listing does the same.
    let filtered = conntrack.forget_port(17, 53).is_ok();
    assert_eq!(ports(&mut conntrack), if filtered { vec![54, 5353] } else { vec![53, 54, 5353] });
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert_eq!(ports(&mut conntrack), [54, 5353]);
}

#[test]
fn another_installs_table_is_not_taken_over() {
    let world = World::new();
    world.enter_agent();
    let mut first = Netfilter::open().unwrap();
    first.install(&enforcement().into(), Opening::Closed).unwrap();
    // The group is the first one's, and so is the table.
    let error = Netfilter::open().unwrap_err().to_string();
    assert!(error.contains("NFLOG"), "{error}");
    assert!(world.listing(&["list", "tables"]).contains("table inet clawker\n"));
}
