//! Services that end by themselves: new connections and open flows, with this program there and without it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod net;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use clawker_init::events::now_millis;
use clawker_init::fence::{Fence, Opening};
use clawker_init::keeper::boot_time;
use clawker_init::netfilter::Netfilter;
use clawker_protocol::enforcement::{Enforcement, Service};
use net::*;

const GRANTED: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 7);
const LISTENER: u16 = 10_007;
/// Long enough for a busy machine to make its first connections in.
const SHORT: u64 = 1_500;
const LONG: u64 = 60_000;

/// With a service that has so much left.
fn granting(left: u64) -> Enforcement {
    let mut enforcement = enforcement();
    let expires = Some(now_millis() + left);
    enforcement.services.push(Service { address: GRANTED, port: 22, listener: LISTENER, expires });
    enforcement
}

fn installed(enforcement: &Enforcement) -> Netfilter {
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&enforcement.clone().into(), Opening::Closed).unwrap();
    netfilter
}

/// A connection to the granted address, with both of its ends; it works.
fn connection(to: &TcpListener) -> (TcpStream, TcpStream) {
    let one = dial(GRANTED, 22).expect("the grant does not open");
    let port = one.local_addr().unwrap().port();
    // Earlier ones that nobody accepted wait before it.
    let other = std::iter::repeat_with(|| accept(to)).find(|other| other.peer_addr().unwrap().port() == port);
    let mut both = (one, other.unwrap());
    assert!(talks(&mut both.0, &mut both.1));
    both
}

/// Waits until a new connection is refused.
fn wait_for_the_end(start: Instant) -> Duration {
    while dial(GRANTED, 22).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never ended");
        std::thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

/// Whether bytes that `from` sends arrive at `to`.
fn arrives(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    to.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let sent = from.write_all(b"late");
    sent.is_ok() && matches!(to.read(&mut [0; 4]), Ok(length) if length > 0)
}

/// What PID 1 does when it is woken.
fn end_on_time(netfilter: &mut Netfilter) -> Vec<Service> {
    let end = netfilter.next_end().expect("nothing is to end");
    std::thread::sleep(end.saturating_sub(boot_time()));
    netfilter.end_due().unwrap()
}

#[test]
fn the_kernel_alone_ends_a_grant_and_what_flows_through_it_and_nothing_else() {
    let world = World::new();
    world.enter_agent();
    let (granted, lasting) = (world.tcp(ENVOY, LISTENER), world.tcp(ENVOY, SERVICE_LISTENER));
    let start = Instant::now();
    let _netfilter = installed(&granting(SHORT));
    // One for each way, since what goes one way may end the other.
    let (mut up, mut down) = (connection(&granted), connection(&granted));
    let mut other = (dial(VIRTUAL, 22).unwrap(), accept(&lasting));
    assert!(talks(&mut other.0, &mut other.1));
    // From here on nothing of ours runs.
    let ended = wait_for_the_end(start);
    assert!(ended >= Duration::from_millis(SHORT - 100), "{ended:?}");
    assert!(!arrives(&mut up.0, &mut up.1), "what the agent sent went out");
    assert!(!arrives(&mut down.1, &mut down.0), "what was sent to the agent came in");
    assert!(up.0.write_all(b"more").is_err() || up.0.read(&mut [0; 1]).is_err(), "it was not told");
    assert!(talks(&mut other.0, &mut other.1));
    assert!(talks(&mut dial(VIRTUAL, 22).unwrap(), &mut accept(&lasting)));
}

#[test]
fn at_its_end_a_grant_s_sockets_are_told_at_once_and_others_are_not() {
    let world = World::new();
    world.enter_agent();
    let (granted, lasting) = (world.tcp(ENVOY, LISTENER), world.tcp(ENVOY, SERVICE_LISTENER));
    let routed = world.tcp(ENVOY, ROUTE_LISTENER);
    let mut netfilter = installed(&granting(SHORT));
    let mut doomed = connection(&granted);
    let mut others = [
        (dial(VIRTUAL, 22).unwrap(), accept(&lasting)),
        // By a name that the address does not show.
        (dial(EVIL, 443).unwrap(), accept(&routed)),
    ];
    assert_eq!(netfilter.end_due().unwrap(), [], "too early");
    let ended = end_on_time(&mut netfilter);
    assert_eq!(ended.iter().map(|service| service.address).collect::<Vec<_>>(), [GRANTED]);
    let start = Instant::now();
    let read = doomed.0.read(&mut [0; 16]);
    assert!(
        !matches!(read, Ok(length) if length > 0) && start.elapsed() < Duration::from_secs(1),
        "{read:?}"
    );
    dial(GRANTED, 22).unwrap_err();
    for (one, other) in &mut others {
        assert!(talks(one, other));
    }
    assert_eq!((netfilter.next_end(), netfilter.end_due().unwrap()), (None, vec![]), "it ends twice");
    assert_eq!(netfilter.watch(), Vec::<String>::new(), "an end of its own is no change");
}

#[test]
fn another_time_replaces_the_first_without_touching_what_flows() {
    let world = World::new();
    world.enter_agent();
    let granted = world.tcp(ENVOY, LISTENER);
    let mut netfilter = installed(&granting(SHORT));
    let mut flow = connection(&granted);
    netfilter.swap(&granting(LONG).into()).unwrap();
    std::thread::sleep(Duration::from_millis(SHORT + 300));
    assert_eq!(netfilter.end_due().unwrap(), []);
    assert!(talks(&mut flow.0, &mut flow.1), "a longer time cut what flowed");
    connection(&granted);
    let start = Instant::now();
    netfilter.swap(&granting(SHORT).into()).unwrap();
    assert!(talks(&mut flow.0, &mut flow.1));
    wait_for_the_end(start);
    assert!(!arrives(&mut flow.0, &mut flow.1));
    // Also when its elements have gone already.
    netfilter.swap(&granting(LONG).into()).unwrap();
    connection(&granted);
    // Taken away before its time.
    let mut flow = connection(&granted);
    netfilter.swap(&enforcement().into()).unwrap();
    dial(GRANTED, 22).unwrap_err();
    assert!(!arrives(&mut flow.0, &mut flow.1));
    assert_eq!(netfilter.next_end(), None);
}

#[test]
fn a_swap_that_keeps_a_grant_keeps_its_end() {
    let world = World::new();
    world.enter_agent();
    let granted = world.tcp(ENVOY, LISTENER);
    let start = Instant::now();
    let mut policy = granting(SHORT);
    let mut netfilter = installed(&policy);
    let end = netfilter.next_end();
    let mut flow = connection(&granted);
    std::thread::sleep(Duration::from_millis(SHORT / 2));
    policy.generation += 1;
    policy.direct.pop();
    netfilter.swap(&policy.clone().into()).unwrap();
    assert_eq!(netfilter.next_end(), end);
    assert!(talks(&mut flow.0, &mut flow.1));
    assert!(wait_for_the_end(start) < Duration::from_millis(SHORT + 2_000));
}

#[test]
fn after_the_end_tables_are_swapped_and_put_back_without_it() {
    let world = World::new();
    world.enter_agent();
    let granted = world.tcp(ENVOY, LISTENER);
    let mut policy = granting(SHORT);
    let mut netfilter = installed(&policy);
    connection(&granted);
    let listed = |netfilter: &mut Netfilter, set: &str| {
        netfilter.refused().unwrap();
        let what = if set == "grants" { "map" } else { "set" };
        world.listing(&["list", what, "inet", "clawker", set]).contains("timeout 1")
    };
    // The positive control of what is looked for below; and one put back while it runs has what is left.
    assert!(listed(&mut netfilter, "grants") && listed(&mut netfilter, "granted"));
    wait_for_the_end(Instant::now());
    // A foreign table makes the watcher look at ours: without their elements they are sound.
    for round in ["before", "after"] {
        assert!(world.nft(&["add", "table", "inet", "foreign"]).status.success());
        assert_eq!(netfilter.watch(), ["deleted the foreign table inet foreign"], "{round} it was seen to");
        dial(GRANTED, 22).unwrap_err();
        policy.generation += 1;
        netfilter.swap(&policy.clone().into()).unwrap();
        dial(GRANTED, 22).unwrap_err();
        assert_eq!(netfilter.end_due().unwrap().len(), usize::from(round == "before"));
    }
    assert!(!listed(&mut netfilter, "grants") && !listed(&mut netfilter, "granted"));
}

#[test]
fn a_guard_that_is_put_back_leaves_a_running_grant_with_its_end() {
    let world = World::new();
    world.enter_agent();
    let granted = world.tcp(ENVOY, LISTENER);
    let mut netfilter =
        Netfilter::open_for(clawker_init::nft::rules::Features { owner: false, egress: true }).unwrap();
    let start = Instant::now();
    netfilter.install(&granting(3_000).into(), Opening::Closed).unwrap();
    // Without an owner anybody with the capability can break our table.
    assert!(world.nft(&["flush", "chain", "inet", "clawker", "output"]).status.success());
    assert!(dial(GRANTED, 22).is_err(), "nothing is broken");
    assert_eq!(netfilter.watch().len(), 1);
    let mut flow = connection(&granted);
    assert!(wait_for_the_end(start) >= Duration::from_millis(2_800));
    assert!(!arrives(&mut flow.0, &mut flow.1));
}

#[test]
fn while_the_fence_is_open_an_end_cuts_nothing_and_closing_does() {
    let world = World::new();
    world.enter_agent();
    let granted = world.tcp(ENVOY, LISTENER);
    let mut netfilter = installed(&granting(SHORT));
    let mut flow = connection(&granted);
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert_eq!(end_on_time(&mut netfilter).len(), 1);
    assert!(talks(&mut flow.0, &mut flow.1));
    netfilter.set_opening(Opening::Closed).unwrap();
    assert!(!arrives(&mut flow.1, &mut flow.0));
    dial(GRANTED, 22).unwrap_err();
}

#[test]
fn two_ports_of_one_listener_end_together() {
    let world = World::new();
    world.enter_agent();
    let granted = world.tcp(ENVOY, LISTENER);
    let mut policy = granting(SHORT);
    let second = Service { port: 23, ..policy.services.last().unwrap().clone() };
    policy.services.push(second);
    let mut netfilter = installed(&policy);
    let mut flow = connection(&granted);
    dial(GRANTED, 23).unwrap();
    assert_eq!(end_on_time(&mut netfilter).len(), 2);
    dial(GRANTED, 23).unwrap_err();
    assert!(!arrives(&mut flow.0, &mut flow.1));
}

#[test]
fn what_is_past_at_the_start_never_opens() {
    let world = World::new();
    world.enter_agent();
    let _listener = world.tcp(ENVOY, LISTENER);
    let mut policy = granting(LONG);
    policy
        .services
        .iter_mut()
        .for_each(|service| service.expires = service.expires.map(|end| end - 2 * LONG));
    let mut netfilter = installed(&policy);
    dial(GRANTED, 22).unwrap_err();
    assert_eq!(netfilter.next_end(), None);
    netfilter.swap(&granting(LONG).into()).unwrap();
    dial(GRANTED, 22).unwrap();
}
