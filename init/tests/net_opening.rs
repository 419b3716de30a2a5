//! Opening and closing, and what becomes of flows: a connection that only a bypass let through ends with it,
//! one that the policy lets through lives on.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod net;

use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use clawker_init::fence::{Fence, Opening};
use clawker_init::netfilter::{LoggedFlow, Netfilter};
use clawker_protocol::enforcement::{PortRange, Service};
use clawker_protocol::event::RefusalClass;
use net::*;

fn installed(opening: Opening) -> Netfilter {
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&enforcement().into(), opening).unwrap();
    netfilter
}

fn passes(text: &str, to: &UdpSocket) -> bool {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.send_to(text.as_bytes(), to.local_addr().unwrap()).is_ok() && hears(to, text)
}

#[test]
fn while_open_all_passes_and_what_is_new_is_reported() {
    let world = World::new();
    world.enter_agent();
    let (udp, tcp) = (world.udp(EVIL, 4433), world.tcp(EVIL, 4434));
    let service = world.tcp(ENVOY, SERVICE_LISTENER);
    let (dns, forwarder) = (world.udp(EVIL, 53), world.udp(COREDNS, OPEN_DNS_PORT));
    let mut netfilter = installed(Opening::Closed);
    assert!(!passes("closed", &udp));
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    netfilter.read_flows();
    assert!(passes("open", &udp));
    assert!(talks(&mut dial(EVIL, 4434).unwrap(), &mut accept(&tcp)));
    assert!(netfilter.read_flows().iter().any(|logged| matches!(logged,
        LoggedFlow::Opened { flow } if flow.destination == EVIL.to_string() && flow.port == Some(4434))));
    // A remembered virtual address and a remembered resolver go on working; other resolvers are not diverted.
    assert!(talks(&mut dial(VIRTUAL, 22).unwrap(), &mut accept(&service)));
    let asker = UdpSocket::bind("0.0.0.0:0").unwrap();
    asker.send_to(b"ask", (COREDNS, 53)).unwrap();
    assert!(hears(&forwarder, "ask"));
    assert!(passes("plain", &dns));
    netfilter.set_opening(Opening::Closed).unwrap();
    assert!(!passes("closed", &udp));
    dial(EVIL, 4434).unwrap_err();
}

#[test]
fn the_kernel_closes_by_itself_when_the_time_is_up() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = installed(Opening::Closed);
    let start = Instant::now();
    netfilter.set_opening(Opening::For(Duration::from_secs(1))).unwrap();
    assert!(passes("open", &udp));
    // From here on nothing of ours runs.
    while passes("still", &udp) {
        assert!(start.elapsed() < Duration::from_secs(4), "it never closed");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    assert!(!passes("after", &udp));
}

#[test]
fn a_second_opening_replaces_the_first() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = installed(Opening::For(Duration::from_millis(500)));
    netfilter.set_opening(Opening::For(Duration::from_secs(60))).unwrap();
    std::thread::sleep(Duration::from_millis(900));
    assert!(passes("longer", &udp));
    netfilter.set_opening(Opening::For(Duration::from_millis(300))).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert!(!passes("shorter", &udp));
    // Also when its element has gone already.
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert!(passes("again", &udp));
}

#[test]
fn closing_ends_the_flows_of_a_bypass_and_no_others() {
    let world = World::new();
    world.enter_agent();
    let evil = world.tcp(EVIL, 4434);
    let web = world.tcp(EVIL, 443);
    let envoy = world.tcp(ENVOY, SERVICE_LISTENER);
    let routed = world.tcp(ENVOY, ROUTE_LISTENER);
    let direct = world.tcp(DIRECT, 7000);
    let six = world.tcp("2001:db8::9".parse::<std::net::Ipv6Addr>().unwrap(), 4434);
    let published = std::net::TcpListener::bind((AGENT, PUBLISHED)).unwrap();
    let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut netfilter = installed(Opening::Closed);
    // Begun while closed: conntrack knows that Envoy answers.
    let mut before = (dial(EVIL, 443).unwrap(), accept(&routed));
    let mut inbound =
        (world.outside(|| TcpStream::connect((AGENT, PUBLISHED)).unwrap()), published.accept().unwrap().0);
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    let mut bypassed = [
        (dial(EVIL, 4434).unwrap(), accept(&evil)),
        (dial(EVIL, 443).unwrap(), accept(&web)),
        (dial("2001:db8::9".parse::<std::net::Ipv6Addr>().unwrap(), 4434).unwrap(), accept(&six)),
    ];
    let mut allowed = [
        (dial(VIRTUAL, 22).unwrap(), accept(&envoy)),
        (dial(DIRECT, 7000).unwrap(), accept(&direct)),
        (
            dial(std::net::Ipv4Addr::LOCALHOST, local.local_addr().unwrap().port()).unwrap(),
            local.accept().unwrap().0,
        ),
    ];
    for (one, other) in bypassed.iter_mut().chain(&mut allowed) {
        assert!(talks(one, other));
    }
    netfilter.set_opening(Opening::Closed).unwrap();
    for (one, _) in &mut bypassed {
        assert!(is_cut(one), "{:?}", one);
    }
    for (one, other) in allowed.iter_mut().chain([&mut before, &mut inbound]) {
        assert!(talks(one, other), "{one:?} {other:?}");
    }
}

#[test]
fn a_socket_that_remembers_its_resolver_follows_every_change() {
    let world = World::new();
    world.enter_agent();
    let (dns, evil) = (world.udp(COREDNS, DNS_PORT), world.udp(EVIL, 53));
    let mut netfilter = installed(Opening::Closed);
    let asker = UdpSocket::bind("0.0.0.0:0").unwrap();
    asker.connect((EVIL, 53)).unwrap();
    asker.send(b"one").unwrap();
    assert!(hears(&dns, "one"));
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    asker.send(b"two").unwrap();
    assert!(hears(&evil, "two"));
    netfilter.set_opening(Opening::Closed).unwrap();
    asker.send(b"three").unwrap();
    assert!(hears(&dns, "three"));
    assert!(!hears(&evil, "three"));
}

#[test]
fn a_swap_ends_the_flows_of_what_is_no_longer_listed_and_no_others() {
    let world = World::new();
    world.enter_agent();
    let mut both = enforcement();
    let other = std::net::Ipv4Addr::new(198, 18, 0, 6);
    both.services.push(Service { address: other, port: 22, listener: 10_002, expires: None });
    let (kept, removed) = (world.tcp(ENVOY, SERVICE_LISTENER), world.tcp(ENVOY, 10_002));
    let direct = world.tcp(DIRECT, 7000);
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&both.clone().into(), Opening::Closed).unwrap();
    let mut kept = (dial(VIRTUAL, 22).unwrap(), accept(&kept));
    let mut removed = (dial(other, 22).unwrap(), accept(&removed));
    let mut direct = (dial(DIRECT, 7000).unwrap(), accept(&direct));
    dial(EVIL, 1).unwrap_err();
    let counted = netfilter.refused().unwrap()[&RefusalClass::Tcp].packets;
    assert!(counted >= 1);

    netfilter.swap(&enforcement().into()).unwrap();
    assert!(is_cut(&mut removed.0));
    assert!(talks(&mut kept.0, &mut kept.1));
    assert!(talks(&mut direct.0, &mut direct.1));
    dial(other, 22).unwrap_err();
    assert!(
        netfilter.refused().unwrap()[&RefusalClass::Tcp].packets >= counted,
        "a swap forgot what was refused"
    );

    let mut without = enforcement();
    without.direct.clear();
    netfilter.swap(&without.clone().into()).unwrap();
    assert!(is_cut(&mut direct.0));
    assert!(talks(&mut kept.0, &mut kept.1));
}

#[test]
fn a_swap_leaves_an_opening_open_with_its_end() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = installed(Opening::For(Duration::from_secs(1)));
    netfilter.swap(&enforcement().into()).unwrap();
    assert!(passes("open", &udp));
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!passes("closed", &udp));
}

#[test]
fn no_packet_slips_out_while_the_rules_are_swapped() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = installed(Opening::Closed);
    let sent = under_fire(&world, &udp, || {
        for round in 0..50 {
            // Other rules, elements and intervals each time.
            let mut other = enforcement();
            if round % 2 == 0 {
                other.envoy = GATEWAY;
                other.services[0].listener += 1;
                other.direct.pop();
                other.port_routes[0].ports = PortRange::new(440, 450).unwrap();
            }
            netfilter.swap(&other.clone().into()).unwrap();
            netfilter.set_opening(Opening::Closed).unwrap();
        }
    });
    assert!(sent > 1_000, "{sent}: no fire");
    assert!(!hears(&udp, "leak"));
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    under_fire(&world, &udp, || {});
    assert!(hears(&udp, "leak"), "it would not have arrived anyway");
}
