//! What passes and what doesn't while the fence is closed, with real packets between two namespaces. Each
//! refusal is tried before the install, too, so that it is the rules that stop it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod net;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use clawker_init::fence::{Fence, Opening};
use clawker_init::netfilter::{LoggedFlow, Netfilter};
use clawker_protocol::event::{Flow, RefusalClass};
use net::*;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
};

fn installed() -> Netfilter {
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&enforcement().into(), Opening::Closed).unwrap();
    netfilter
}

fn packets(netfilter: &mut Netfilter, class: RefusalClass) -> u64 {
    netfilter.refused().unwrap()[&class].packets
}

/// What was reported under a class and to an address.
fn refused(flows: &[LoggedFlow], wanted: RefusalClass, to: &str) -> Option<Flow> {
    flows.iter().find_map(|logged| match logged {
        LoggedFlow::Refused { class, flow } if *class == wanted && flow.destination == to => {
            Some(flow.clone())
        }
        _ => None,
    })
}

fn send(text: &str, to: Ipv4Addr, port: u16) -> std::io::Result<usize> {
    UdpSocket::bind("0.0.0.0:0")?.send_to(text.as_bytes(), (to, port))
}

/// A packet of another protocol, by a raw socket.
fn send_raw(proto: u8, to: Ipv4Addr) -> nix::Result<usize> {
    let fd = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
    let mut packet = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, proto, 0, 0, 0, 0, 0, 0];
    packet.extend(to.octets());
    // An echo request, for those that look.
    packet.extend([8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
    let [a, b, c, d] = to.octets();
    sendto(fd.as_raw_fd(), &packet, &SockaddrIn::new(a, b, c, d, 0), MsgFlags::empty())
}

#[test]
fn an_unlisted_host_is_out_of_reach_and_each_try_is_counted_and_reported() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let tcp = world.tcp(EVIL, 4434);
    // The positive control.
    send("before", EVIL, 4433).unwrap();
    assert!(hears(&udp, "before"));
    assert!(talks(&mut dial(EVIL, 4434).unwrap(), &mut accept(&tcp)));
    send_raw(1, EVIL).unwrap();
    send_raw(253, EVIL).unwrap();

    let mut netfilter = installed();
    assert_eq!(send("after", EVIL, 4433).unwrap_err().kind(), ErrorKind::PermissionDenied);
    assert!(!hears(&udp, "after"));
    let start = Instant::now();
    assert_eq!(dial(EVIL, 4434).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(start.elapsed() < Duration::from_millis(900), "a refusal must not be a time-out");
    send_raw(1, EVIL).unwrap_err();
    send_raw(253, EVIL).unwrap_err();

    for class in [RefusalClass::Udp, RefusalClass::Tcp, RefusalClass::Icmp, RefusalClass::Other] {
        assert!(packets(&mut netfilter, class) >= 1, "{class:?}");
    }
    assert_eq!(packets(&mut netfilter, RefusalClass::Unmarked), 0);
    let flows = netfilter.read_flows();
    let evil = EVIL.to_string();
    let flow = refused(&flows, RefusalClass::Udp, &evil).unwrap();
    assert_eq!((flow.proto.as_str(), flow.port, flow.uid), ("udp", Some(4433), Some(0)));
    let flow = refused(&flows, RefusalClass::Tcp, &evil).unwrap();
    assert_eq!((flow.proto.as_str(), flow.port, flow.uid), ("tcp", Some(4434), Some(0)));
    assert_eq!(refused(&flows, RefusalClass::Icmp, &evil).unwrap().proto, "icmp");
    assert_eq!(refused(&flows, RefusalClass::Other, &evil).unwrap().proto, "253");
}

#[test]
fn a_refusal_tells_whose_it_was_also_when_its_process_is_gone() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let send = |transport: &str, uid: u32| {
        let script = format!("echo hello >/dev/{transport}/{EVIL}/4433");
        Command::new("bash").args(["-c", &script]).uid(uid).gid(uid).output().unwrap()
    };
    assert!(send("udp", 1001).status.success());
    assert!(hears(&udp, "hello\n"));
    let mut netfilter = installed();
    for (transport, class) in [("udp", RefusalClass::Udp), ("tcp", RefusalClass::Tcp)] {
        for uid in [1001, 1002] {
            // Its end was waited for: nothing but the report tells of it.
            assert!(!send(transport, uid).status.success());
            let flow = refused(&netfilter.read_flows(), class, &EVIL.to_string()).unwrap();
            assert_eq!((flow.uid, flow.port), (Some(uid), Some(4433)), "{transport}");
        }
    }
}

#[test]
fn an_unlisted_ipv6_host_is_out_of_reach_and_a_listed_one_is_not() {
    let world = World::new();
    world.enter_agent();
    let evil: IpAddr = "2001:db8::9".parse().unwrap();
    let listed: IpAddr = "2001:db8::20".parse().unwrap();
    let (at_evil, at_listed) = (world.tcp(evil, 7000), world.tcp(listed, 7000));
    assert!(talks(&mut dial(evil, 7000).unwrap(), &mut accept(&at_evil)));
    let mut netfilter = installed();
    assert_eq!(dial(evil, 7000).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(dial(listed, 7001).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(talks(&mut dial(listed, 7000).unwrap(), &mut accept(&at_listed)));
    let flow = refused(&netfilter.read_flows(), RefusalClass::Tcp, "2001:db8::9").unwrap();
    assert_eq!((flow.proto.as_str(), flow.port), ("tcp", Some(7000)));
}

#[test]
fn dockers_resolver_is_refused_on_every_port_though_loopback_passes() {
    let world = World::new();
    world.enter_agent();
    let resolver = Ipv4Addr::new(127, 0, 0, 11);
    let sockets: Vec<UdpSocket> = [53, 40_000].map(|port| UdpSocket::bind((resolver, port)).unwrap()).into();
    for socket in &sockets {
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        send("before", resolver, socket.local_addr().unwrap().port()).unwrap();
        assert!(hears(socket, "before"));
    }
    let _listener = TcpListener::bind((resolver, 40_001)).unwrap();
    let local = TcpListener::bind("127.0.0.1:0").unwrap();
    dial(resolver, 40_001).unwrap();

    let mut netfilter = installed();
    for socket in &sockets {
        send("after", resolver, socket.local_addr().unwrap().port()).unwrap_err();
        assert!(!hears(socket, "after"));
    }
    assert_eq!(dial(resolver, 40_001).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert!(packets(&mut netfilter, RefusalClass::DockerDns) >= 3);
    assert!(refused(&netfilter.read_flows(), RefusalClass::DockerDns, "127.0.0.11").is_some());
    let mut stream = dial(Ipv4Addr::LOCALHOST, local.local_addr().unwrap().port()).unwrap();
    assert!(talks(&mut stream, &mut local.accept().unwrap().0));
}

#[test]
fn names_and_routed_ports_lead_to_envoy_and_every_question_to_coredns() {
    let world = World::new();
    world.enter_agent();
    let _netfilter = installed();
    let service = world.tcp(ENVOY, SERVICE_LISTENER);
    let routed = world.tcp(ENVOY, ROUTE_LISTENER);
    let direct = world.tcp(DIRECT, 7005);
    let _unlisted = world.tcp(DIRECT, 7011);
    assert!(talks(&mut dial(VIRTUAL, 22).unwrap(), &mut accept(&service)));
    assert!(talks(&mut dial(EVIL, 443).unwrap(), &mut accept(&routed)));
    assert!(talks(&mut dial(EVIL, 8050).unwrap(), &mut accept(&routed)));
    assert!(talks(&mut dial(DIRECT, 7005).unwrap(), &mut accept(&direct)));
    for (to, port) in [(VIRTUAL, 23), (EVIL, 8101), (DIRECT, 7011), (GATEWAY, 22)] {
        assert_eq!(dial(to, port).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{to}:{port}");
    }

    let dns = world.udp(COREDNS, DNS_PORT);
    let asker = UdpSocket::bind("0.0.0.0:0").unwrap();
    asker.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    asker.send_to(b"question", (EVIL, 53)).unwrap();
    let mut buffer = [0; 16];
    let (length, from) = dns.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question");
    dns.send_to(b"answer", from).unwrap();
    let (length, from) = asker.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], from), (&b"answer"[..], SocketAddr::new(EVIL.into(), 53)));
    let dns_tcp = world.tcp(COREDNS, DNS_PORT);
    assert!(talks(&mut dial(GATEWAY, 53).unwrap(), &mut accept(&dns_tcp)));
}

#[test]
fn envoy_and_coredns_are_reached_through_the_rules_only() {
    let world = World::new();
    world.enter_agent();
    let (service, routed) = (world.tcp(ENVOY, SERVICE_LISTENER), world.tcp(ENVOY, ROUTE_LISTENER));
    let (dns, open) = (world.udp(COREDNS, DNS_PORT), world.udp(COREDNS, OPEN_DNS_PORT));
    for (port, listener) in [(SERVICE_LISTENER, &service), (ROUTE_LISTENER, &routed)] {
        assert!(talks(&mut dial(ENVOY, port).unwrap(), &mut accept(listener)));
    }
    send("before", COREDNS, DNS_PORT).unwrap();
    assert!(hears(&dns, "before"));

    let _netfilter = installed();
    for port in [SERVICE_LISTENER, ROUTE_LISTENER] {
        assert_eq!(dial(ENVOY, port).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    for (port, socket) in [(DNS_PORT, &dns), (OPEN_DNS_PORT, &open)] {
        send("after", COREDNS, port).unwrap_err();
        assert!(!hears(socket, "after"));
    }
}

#[test]
fn only_a_published_port_is_open_to_the_outside() {
    let world = World::new();
    world.enter_agent();
    let listeners = [PUBLISHED, 9999].map(|port| TcpListener::bind((AGENT, port)).unwrap());
    let reach = |port| {
        world.outside(move || {
            std::net::TcpStream::connect_timeout(
                &SocketAddr::new(AGENT.into(), port),
                Duration::from_millis(500),
            )
        })
    };
    reach(9999).unwrap();
    let mut netfilter = installed();
    let mut stream = reach(PUBLISHED).unwrap();
    assert!(talks(&mut stream, &mut listeners[0].accept().unwrap().0));
    assert!(reach(9999).is_err());
    assert!(packets(&mut netfilter, RefusalClass::Inbound) >= 1);
    assert!(refused(&netfilter.read_flows(), RefusalClass::Inbound, &AGENT.to_string()).is_some());
}

#[test]
fn every_uid_is_judged_the_same() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let send_as = |uid: u32, text: &str| {
        let script = format!("echo -n {text} > /dev/udp/{EVIL}/4433");
        Command::new("setpriv")
            .args([&format!("--reuid={uid}"), "--clear-groups", "bash", "-c", &script])
            .output()
            .unwrap()
            .status
            .success()
    };
    let mut netfilter = installed();
    for uid in [0, 33, 1001] {
        assert!(!send_as(uid, "closed"), "{uid}");
        assert!(!hears(&udp, "closed"), "{uid}");
        let flow = refused(&netfilter.read_flows(), RefusalClass::Udp, &EVIL.to_string()).unwrap();
        assert_eq!(flow.uid, Some(uid));
    }
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    for uid in [0, 33, 1001] {
        assert!(send_as(uid, "open") && hears(&udp, "open"), "{uid}");
    }
}
