//! A small world for tests with real packets: the agent's network namespace and one that plays everybody else,
//! joined by a veth pair. Needs root. Both go when the value goes, also in a panic.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clawker_init::netfilter::{Netfilter, NetfilterError};
use clawker_protocol::enforcement::{
    Direct, Enforcement, PortRange, PortRoute, Published, Service, Transport,
};
use clawker_protocol::gateway::{Gateway, Private};
use nix::sched::{CloneFlags, setns};

pub const AGENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub const ENVOY: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub const COREDNS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
/// Nobody lists it.
pub const EVIL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
/// Listed as `direct` for ports 7000 to 7010.
pub const DIRECT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
/// The gateway's.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 53);
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 5);
pub const DNS_PORT: u16 = 5301;
pub const OPEN_DNS_PORT: u16 = 5300;
pub const SERVICE_LISTENER: u16 = 10001;
pub const ROUTE_LISTENER: u16 = 10443;
pub const PUBLISHED: u16 = 8080;

/// Opens it where one was a moment ago: a child that another test is just starting may hold the old one's sockets until
/// it runs its program.
pub fn netfilter_anew() -> Netfilter {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Netfilter::open() {
            Err(NetfilterError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied && Instant::now() < deadline =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.unwrap(),
        }
    }
}

static NEXT: AtomicU32 = AtomicU32::new(0);

/// What the tests enforce unless they say otherwise.
pub fn enforcement() -> Enforcement {
    Enforcement {
        generation: 1,
        envoy: ENVOY,
        coredns: COREDNS,
        dns_port: DNS_PORT,
        open_dns_port: OPEN_DNS_PORT,
        services: vec![Service { address: VIRTUAL, port: 22, listener: SERVICE_LISTENER, expires: None }],
        port_routes: vec![
            PortRoute { ports: PortRange::single(443), listener: ROUTE_LISTENER },
            PortRoute { ports: PortRange::new(8000, 8100).unwrap(), listener: ROUTE_LISTENER },
        ],
        direct: vec![
            Direct {
                net: format!("{DIRECT}/32").parse().unwrap(),
                ports: PortRange::new(7000, 7010).unwrap(),
            },
            Direct { net: "2001:db8::20/128".parse().unwrap(), ports: PortRange::single(7000) },
        ],
        published: vec![Published { transport: Transport::Tcp, port: PUBLISHED }],
    }
}

/// What the gateway's tests enforce unless they say otherwise: clawker-net holds the agent's own address and all of the
/// outside's but [`DIRECT`], which is public.
pub fn gateway() -> Gateway {
    let private =
        |tos, nets: &[&str]| Private { tos, nets: nets.iter().map(|net| net.parse().unwrap()).collect() };
    Gateway {
        subnet: "198.51.100.0/28".parse().unwrap(),
        resolvers: vec![RESOLVER],
        private: vec![private(4, &["10.1.0.0/16", "fd00::/8"]), private(252, &["192.168.7.7/32"])],
    }
}

/// Two namespaces.
pub struct World {
    agent: String,
    outside: String,
}

impl World {
    pub fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "these tests make network namespaces: run them as root");
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let world = Self { agent: format!("clk-a-{id}"), outside: format!("clk-o-{id}") };
        for name in [&world.agent, &world.outside] {
            ip(&["netns", "add", name]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        ip(&[
            "-n",
            &world.agent,
            "link",
            "add",
            "eth0",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            &world.outside,
        ]);
        let address = |namespace: &str, address: &str| {
            let mut args = vec!["-n", namespace, "addr", "add", address, "dev", "eth0"];
            if address.contains(':') {
                args.push("nodad");
            }
            ip(&args);
        };
        for (namespace, last) in [(&world.agent, 10), (&world.outside, 1)] {
            address(namespace, &format!("198.51.100.{last}/24"));
            address(namespace, &format!("2001:db8::{last}/64"));
            ip(&["-n", namespace, "link", "set", "eth0", "up"]);
        }
        for other in [ENVOY, COREDNS, EVIL, DIRECT] {
            address(&world.outside, &format!("{other}/32"));
        }
        address(&world.outside, "2001:db8::9/128");
        address(&world.outside, "2001:db8::20/128");
        ip(&["-n", &world.agent, "route", "add", "default", "via", "198.51.100.1"]);
        ip(&["-n", &world.agent, "-6", "route", "add", "default", "via", "2001:db8::1"]);
        world
    }

    /// Somebody outside has this address, too, and the way there is the default one.
    pub fn lives_outside(&self, address: IpAddr) {
        let whole = match address {
            IpAddr::V4(_) => format!("{address}/32"),
            IpAddr::V6(_) => format!("{address}/128"),
        };
        let mut args = vec!["-n", &self.outside, "addr", "add", &whole, "dev", "eth0"];
        if address.is_ipv6() {
            args.push("nodad");
        }
        ip(&args);
    }

    /// This thread is the agent's container from now on.
    pub fn enter_agent(&self) {
        enter(&self.agent);
    }

    /// This thread is everybody else from now on.
    pub fn enter_outside(&self) {
        enter(&self.outside);
    }

    /// Runs something on the outside, in a thread of its own, and waits for it.
    pub fn outside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter_outside();
                    body()
                })
                .join()
                .unwrap()
        })
    }

    /// A UDP socket on the outside.
    pub fn udp(&self, address: Ipv4Addr, port: u16) -> UdpSocket {
        self.outside(|| {
            let socket = UdpSocket::bind((address, port)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            socket
        })
    }

    /// A TCP listener on the outside.
    pub fn tcp(&self, address: impl Into<IpAddr>, port: u16) -> TcpListener {
        let address = SocketAddr::new(address.into(), port);
        self.outside(move || {
            let listener = TcpListener::bind(address).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        })
    }

    /// Adds a second interface to the agent's namespace, of that name.
    pub fn add_interface(&self, name: &str) {
        ip(&[
            "-n",
            &self.agent,
            "link",
            "add",
            name,
            "type",
            "veth",
            "peer",
            "name",
            name,
            "netns",
            &self.outside,
        ]);
        ip(&["-n", &self.outside, "link", "set", name, "up"]);
        ip(&["-n", &self.agent, "link", "set", name, "up"]);
    }

    /// Runs `nft` in the agent's namespace as another root process would.
    pub fn nft(&self, args: &[&str]) -> std::process::Output {
        Command::new("ip").args(["netns", "exec", &self.agent, "nft"]).args(args).output().unwrap()
    }

    /// What `nft` lists there.
    pub fn listing(&self, args: &[&str]) -> String {
        let output = self.nft(args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [&self.agent, &self.outside] {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn enter(name: &str) {
    let file = File::open(format!("/run/netns/{name}")).unwrap();
    setns(file, CloneFlags::CLONE_NEWNET).unwrap();
}

fn ip(args: &[&str]) {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Sends datagrams as fast as it can from the agent's namespace while `body` runs; answers with how many.
pub fn under_fire(world: &World, to: &UdpSocket, body: impl FnOnce()) -> u64 {
    let to = to.local_addr().unwrap();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            world.enter_agent();
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                let _ = socket.send_to(b"leak", to);
                sent += 1;
            }
            sent
        });
        std::thread::sleep(Duration::from_millis(20));
        body();
        std::thread::sleep(Duration::from_millis(20));
        over.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    })
}

/// Whether a datagram with this text arrives.
pub fn hears(socket: &UdpSocket, text: &str) -> bool {
    let mut buffer = [0; 64];
    while let Ok((length, _)) = socket.recv_from(&mut buffer) {
        if &buffer[..length] == text.as_bytes() {
            return true;
        }
    }
    false
}

/// Dials; `None` when it is refused.
pub fn dial(to: impl Into<IpAddr>, port: u16) -> Result<TcpStream, std::io::Error> {
    let stream = TcpStream::connect_timeout(&SocketAddr::new(to.into(), port), Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

/// Accepts what was dialled.
pub fn accept(listener: &TcpListener) -> TcpStream {
    let start = Instant::now();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
                return stream;
            }
            Err(_) if start.elapsed() < Duration::from_secs(2) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(error) => panic!("nobody dialled: {error}"),
        }
    }
}

/// Whether bytes go both ways.
pub fn talks(one: &mut TcpStream, other: &mut TcpStream) -> bool {
    let mut buffer = [0; 4];
    let mut way = |from: &mut TcpStream, to: &mut TcpStream| {
        from.write_all(b"ping").is_ok() && to.read_exact(&mut buffer).is_ok()
    };
    way(one, other) && way(other, one)
}

/// Whether the program that holds the stream is told of its end, within a time that is no time-out's.
pub fn is_cut(stream: &mut TcpStream) -> bool {
    let start = Instant::now();
    let read = stream.read(&mut [0; 16]);
    let told = match read {
        Ok(length) => length == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    };
    told && start.elapsed() < Duration::from_secs(1)
}
