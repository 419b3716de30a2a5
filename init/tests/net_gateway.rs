//! What Envoy may dial, with real packets: nothing that is not public, whatever a name resolved to, but its resolvers
//! and what a rule lists. Each refusal is tried before the install, too, so that it is the rules that stop it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod net;

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use clawker_init::fence::{Fence, Opening};
use clawker_init::netfilter::{LoggedFlow, Netfilter};
use clawker_protocol::event::RefusalClass;
use clawker_protocol::gateway::{Gateway, Private};
use net::*;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};

const PORT: u16 = 443;
/// Of an address block that nobody was ever given.
const PUBLIC6: Ipv6Addr = Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 9);

fn installed(gateway: &Gateway) -> Netfilter {
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&gateway.clone().into(), Opening::Closed).unwrap();
    netfilter
}

fn packets(netfilter: &mut Netfilter, class: RefusalClass) -> u64 {
    netfilter.refused().unwrap()[&class].packets
}

/// Dials as Envoy does for a rule with a list of its own.
fn dial_with(tos: u8, to: IpAddr, port: u16) -> std::io::Result<TcpStream> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    match to {
        IpAddr::V4(_) => setsockopt(&fd, sockopt::Ipv4Tos, &tos.into())?,
        IpAddr::V6(_) => setsockopt(&fd, sockopt::Ipv6TClass, &tos.into())?,
    }
    connect(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(to, port)))?;
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Somebody who would take the connection.
fn listening(world: &World, address: IpAddr) -> TcpListener {
    world.lives_outside(address);
    world.tcp(address, PORT)
}

#[test]
fn what_is_not_public_is_never_dialled_and_what_is_public_is() {
    let world = World::new();
    world.enter_agent();
    let mut there: Vec<(IpAddr, TcpListener)> = addresses(&[
        "0.1.2.3",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.254",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.5",
        "203.0.113.9",
        "240.0.0.1",
        "64:ff9b::a01:203",
        "64:ff9b:1::1",
        "100::1",
        "2001::9",
        "2002:a01:203::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12::1",
        "fec0::1",
    ])
    .into_iter()
    .map(|address| (address, listening(&world, address)))
    .collect();
    for neighbour in [GATEWAY, ENVOY, EVIL].map(IpAddr::V4).into_iter().chain(addresses(&["2001:db8::9"])) {
        there.push((neighbour, world.tcp(neighbour, PORT)));
    }
    let public: Vec<(IpAddr, TcpListener)> =
        vec![(PUBLIC6.into(), listening(&world, PUBLIC6.into())), (DIRECT.into(), world.tcp(DIRECT, PORT))];
    for (address, listener) in there.iter().chain(&public) {
        let mut stream = dial(*address, PORT).unwrap_or_else(|error| panic!("control {address}: {error}"));
        assert!(talks(&mut stream, &mut accept(listener)), "control {address}");
    }

    let mut netfilter = installed(&gateway());
    for (address, listener) in &there {
        let error = dial(*address, PORT).expect_err(&address.to_string());
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}: a refusal must not be a time-out");
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "{address}");
        let flows = netfilter.read_flows();
        let told = flows.iter().any(|logged| {
            matches!(logged,
            LoggedFlow::Refused { class: RefusalClass::Tcp, flow } if flow.destination == address.to_string())
        });
        assert!(told, "{address} is not in {flows:?}");
        // Reports are limited to 20 a second.
        std::thread::sleep(Duration::from_millis(20));
    }
    // As a name with only an AAAA record would have it.
    let mapped: Ipv6Addr = "::ffff:10.1.2.3".parse().unwrap();
    assert_eq!(dial(mapped, PORT).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    for (address, listener) in &public {
        let mut stream = dial(*address, PORT).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(talks(&mut stream, &mut accept(listener)), "{address}");
    }
    assert_eq!(packets(&mut netfilter, RefusalClass::Unmarked), 0);
}

#[test]
fn neither_loopback_nor_an_address_of_its_own_is_dialled() {
    let world = World::new();
    world.enter_agent();
    let (four, six) = (TcpListener::bind("0.0.0.0:443").unwrap(), TcpListener::bind("[::]:444").unwrap());
    let own = addresses(&["127.0.0.1", "127.0.0.11", "127.9.9.9", "0.0.0.0", "198.51.100.10"]);
    let own6 = addresses(&["::1", "2001:db8::10", "::ffff:127.0.0.1"]);
    let all = || own.iter().map(|at| (*at, 443)).chain(own6.iter().map(|at| (*at, 444)));
    for (address, port) in all() {
        dial(address, port).unwrap_or_else(|error| panic!("control {address}: {error}"));
    }
    for listener in [&four, &six] {
        listener.set_nonblocking(true).unwrap();
        while listener.accept().is_ok() {}
    }
    let mut netfilter = installed(&gateway());
    for (address, port) in all() {
        let error = dial(address, port).expect_err(&address.to_string());
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{address}");
    }
    assert!(four.accept().is_err() && six.accept().is_err());
    assert!(packets(&mut netfilter, RefusalClass::DockerDns) >= 1);
}

#[test]
fn an_address_of_the_link_is_not_dialled() {
    let world = World::new();
    world.enter_agent();
    let address: Ipv6Addr = "fe80::9".parse().unwrap();
    world.lives_outside(address.into());
    let index = nix::net::if_::if_nametoindex("eth0").unwrap();
    let outside = world.outside(|| nix::net::if_::if_nametoindex("eth0").unwrap());
    let listener = world.outside(|| TcpListener::bind(SocketAddrV6::new(address, PORT, 0, outside)).unwrap());
    let to = SocketAddr::V6(SocketAddrV6::new(address, PORT, 0, index));
    TcpStream::connect_timeout(&to, Duration::from_secs(2)).expect("the positive control");
    listener.accept().unwrap();
    let _netfilter = installed(&gateway());
    let error = TcpStream::connect_timeout(&to, Duration::from_secs(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn its_resolvers_are_asked_and_nobody_else_is_sent_a_datagram() {
    let world = World::new();
    world.enter_agent();
    world.lives_outside(RESOLVER.into());
    let sends = |text: &str, to: &UdpSocket| {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(text.as_bytes(), to.local_addr().unwrap()).is_ok() && hears(to, text)
    };
    let asked = world.udp(RESOLVER, 53);
    let by_tcp = world.tcp(RESOLVER, 53);
    let others =
        [world.udp(RESOLVER, 54), world.udp(DIRECT, 53), world.udp(DIRECT, 443), world.udp(EVIL, 53)];
    let other_tcp = world.tcp(RESOLVER, PORT);
    for socket in others.iter().chain([&asked]) {
        assert!(sends("before", socket), "control {socket:?}");
    }
    assert!(talks(&mut dial(RESOLVER, PORT).unwrap(), &mut accept(&other_tcp)));
    let mut netfilter = installed(&gateway());
    assert!(sends("question", &asked));
    assert!(talks(&mut dial(RESOLVER, 53).unwrap(), &mut accept(&by_tcp)));
    for socket in &others {
        assert!(!sends("after", socket), "{socket:?}");
    }
    dial(RESOLVER, PORT).unwrap_err();
    assert!(packets(&mut netfilter, RefusalClass::Udp) >= 4);

    // Another one takes its place.
    let other = Gateway { resolvers: vec![DIRECT], ..gateway() };
    netfilter.swap(&other.into()).unwrap();
    assert!(!sends("old", &asked));
    assert!(sends("new", &others[1]));
}

#[test]
fn a_rule_s_addresses_are_open_to_its_own_connections_only() {
    let world = World::new();
    world.enter_agent();
    let listed = addresses(&["10.1.2.3", "fd12::1"]);
    let single: IpAddr = "192.168.7.7".parse().unwrap();
    let elsewhere = addresses(&["10.2.0.1", "192.168.7.8", "fc00::1"]);
    let listeners: Vec<TcpListener> = listed.iter().map(|address| listening(&world, *address)).collect();
    let at_single = listening(&world, single);
    let _others: Vec<TcpListener> = elsewhere.iter().map(|address| listening(&world, *address)).collect();
    for address in listed.iter().chain([&single]).chain(&elsewhere) {
        dial_with(4, *address, PORT).unwrap_or_else(|error| panic!("control {address}: {error}"));
    }
    for listener in listeners.iter().chain([&at_single]) {
        accept(listener);
    }
    let mut netfilter = installed(&gateway());
    for (address, listener) in listed.iter().zip(&listeners) {
        assert!(talks(&mut dial_with(4, *address, PORT).unwrap(), &mut accept(listener)), "{address}");
        for tos in [0, 8, 252] {
            dial_with(tos, *address, PORT).expect_err(&format!("{address} with {tos}"));
        }
    }
    assert!(talks(&mut dial_with(252, single, PORT).unwrap(), &mut accept(&at_single)));
    dial_with(4, single, PORT).unwrap_err();
    for address in &elsewhere {
        dial_with(4, *address, PORT).expect_err(&address.to_string());
    }
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    setsockopt(&socket, sockopt::Ipv4Tos, &4).unwrap();
    socket.send_to(b"x", (listed[0], PORT)).expect_err("TCP only");
    assert_eq!(packets(&mut netfilter, RefusalClass::Unmarked), 0);
}

#[test]
fn a_list_of_everything_opens_neither_this_host_nor_the_link_nor_clawker_net() {
    let world = World::new();
    world.enter_agent();
    let metadata: IpAddr = "169.254.169.254".parse().unwrap();
    let nat64: IpAddr = "64:ff9b::a01:203".parse().unwrap();
    let there = [(metadata, listening(&world, metadata)), (nat64, listening(&world, nat64))];
    let at_neighbour = world.tcp(EVIL, PORT);
    let _own = TcpListener::bind(("127.0.0.1", PORT)).unwrap();
    let addresses = [metadata, nat64, EVIL.into(), Ipv4Addr::LOCALHOST.into()];
    for address in addresses {
        dial_with(4, address, PORT).unwrap_or_else(|error| panic!("control {address}: {error}"));
    }
    let nets = ["0.0.0.0/0", "127.0.0.0/8", "169.254.169.254/32", "198.51.100.0/24", "::/0", "64:ff9b::/96"];
    let private = Private { tos: 4, nets: nets.map(|net| net.parse().unwrap()).to_vec() };
    let mut netfilter = installed(&Gateway { private: vec![private], ..gateway() });
    for address in addresses {
        dial_with(4, address, PORT).expect_err(&address.to_string());
    }
    // What a list can open, it does.
    let private = "10.9.9.9".parse().unwrap();
    let listener = listening(&world, private);
    assert!(talks(&mut dial_with(4, private, PORT).unwrap(), &mut accept(&listener)));
    assert!(packets(&mut netfilter, RefusalClass::Tcp) >= 4);
    drop((there, at_neighbour));
}

#[test]
fn a_change_opens_at_once_cuts_what_is_listed_no_more_and_leaves_the_rest() {
    let world = World::new();
    world.enter_agent();
    let [one, other] = ["10.1.2.3", "172.16.0.1"].map(|text| text.parse::<IpAddr>().unwrap());
    let (at_one, at_other) = (listening(&world, one), listening(&world, other));
    let at_public = world.tcp(DIRECT, PORT);
    let mut netfilter = installed(&gateway());
    dial_with(8, other, PORT).unwrap_err();
    let mut cut = (dial_with(4, one, PORT).unwrap(), accept(&at_one));
    let mut public = (dial(DIRECT, PORT).unwrap(), accept(&at_public));

    let second = Private { tos: 8, nets: vec!["172.16.0.0/12".parse().unwrap()] };
    let mut both = gateway();
    both.private.push(second.clone());
    netfilter.swap(&both.into()).unwrap();
    assert!(talks(&mut cut.0, &mut cut.1), "what is still listed goes on");
    let mut kept = (dial_with(8, other, PORT).unwrap(), accept(&at_other));

    netfilter.swap(&Gateway { private: vec![second], ..gateway() }.into()).unwrap();
    assert!(is_cut(&mut cut.0));
    dial_with(4, one, PORT).unwrap_err();
    assert!(talks(&mut kept.0, &mut kept.1));
    assert!(talks(&mut public.0, &mut public.1));
    assert_eq!(netfilter.watch(), Vec::<String>::new(), "its own swap is no change");

    // An agent's policy has no place here, and there is nothing to open.
    netfilter.swap(&enforcement().into()).unwrap_err();
    netfilter.set_opening(Opening::Indefinitely).unwrap_err();
    dial_with(4, one, PORT).unwrap_err();
}

#[test]
fn its_listeners_are_for_clawker_net_only() {
    let world = World::new();
    world.enter_agent();
    let listener = TcpListener::bind((AGENT, PORT)).unwrap();
    let datagrams = UdpSocket::bind((AGENT, PORT)).unwrap();
    datagrams.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let reach = |from: Ipv4Addr| {
        world.outside(move || {
            let fd = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
            let time = nix::sys::time::TimeVal::new(0, 500_000);
            setsockopt(&fd, sockopt::SendTimeout, &time).unwrap();
            let bound = SockaddrStorage::from(SocketAddr::new(from.into(), 0));
            nix::sys::socket::bind(fd.as_raw_fd(), &bound).unwrap();
            connect(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(AGENT.into(), PORT)))
                .map(|()| TcpStream::from(fd))
        })
    };
    let say = |text: &'static str| {
        world.outside(move || {
            let _ = UdpSocket::bind((EVIL, 0)).unwrap().send_to(text.as_bytes(), (AGENT, PORT));
        });
    };
    for from in [EVIL, DIRECT] {
        assert!(talks(&mut reach(from).unwrap(), &mut listener.accept().unwrap().0), "control {from}");
    }
    say("before");
    assert!(hears(&datagrams, "before"));
    let mut netfilter = installed(&gateway());
    assert!(talks(&mut reach(EVIL).unwrap(), &mut listener.accept().unwrap().0));
    assert!(reach(DIRECT).is_err(), "from outside its network");
    say("after");
    assert!(!hears(&datagrams, "after"));
    assert!(packets(&mut netfilter, RefusalClass::Inbound) >= 2);
}
