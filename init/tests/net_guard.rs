//! What holds when the table that judges is gone or passed by: another root in the namespace, PID 1's death, raw
//! frames, new interfaces.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod net;

use std::net::UdpSocket;
use std::process::Command;

use clawker_init::fence::{Fence, Opening};
use clawker_init::netfilter::Netfilter;
use clawker_init::nft::rules::Features;
use clawker_protocol::event::RefusalClass;
use net::*;

/// Sends one Ethernet frame by a packet socket: an IPv4 UDP datagram, whatever the socket says of its type.
const FRAME: &str = r#"
my ($device, $index, $mac, $claimed, $text) = @ARGV;
my $to = pack("H12", $mac =~ s/://gr);
my $udp = pack("nnnn", 5000, 4433, 8 + length $text, 0) . $text;
my @ip = (0x4500, 20 + length $udp, 0, 0, 0x4011, 0, 0xc633, 0x640a, 0xc633, 0x6409);
my $sum = 0;
$sum += $_ for @ip;
$sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
$ip[5] = ~$sum & 0xffff;
my $frame = $to . ("\2\0\0\0\0\1") . pack("n", 0x0800) . pack("n10", @ip) . $udp;
socket(my $s, 17, 3, unpack("S", pack("n", hex $claimed))) or die "socket: $!";
my $address = pack("S n l S C C a8", 17, hex $claimed, $index, 0, 0, 6, $to);
defined send($s, $frame, 0, $address) or die "send: $!";
"#;

fn installed() -> Netfilter {
    let mut netfilter = Netfilter::open().unwrap();
    netfilter.install(&enforcement().into(), Opening::Closed).unwrap();
    netfilter
}

fn send(text: &str) -> bool {
    UdpSocket::bind("0.0.0.0:0").unwrap().send_to(text.as_bytes(), (EVIL, 4433)).is_ok()
}

/// Sends a raw frame to the outside's `device`, claiming a type for it.
fn send_frame(world: &World, device: &str, claimed: &str, text: &str) {
    let output = Command::new("ip").args(["-o", "link", "show", "dev", device]).output().unwrap();
    let line = String::from_utf8(output.stdout).unwrap();
    let index = line.split(':').next().unwrap().to_owned();
    let mac = world.outside(|| {
        let output = Command::new("ip").args(["-o", "link", "show", "dev", device]).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        line.split("link/ether ").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    });
    let output =
        Command::new("perl").args(["-e", FRAME, device, &index, &mac, claimed, text]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || error.contains("send: "), "{error}");
}

#[test]
fn another_root_can_flush_only_the_guards_and_they_come_back() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = installed();
    assert_eq!(netfilter.watch(), Vec::<String>::new(), "its own install is no change");
    world.nft(&["flush", "ruleset"]);
    let left = world.listing(&["list", "tables"]);
    assert!(left.contains("table inet clawker\n") && !left.contains("guard"), "{left}");
    assert!(!send("flushed") && !hears(&udp, "flushed"));
    assert!(!world.nft(&["delete", "table", "inet", "clawker"]).status.success());
    assert!(!world.nft(&["add", "element", "inet", "clawker", "open", "{ ipv4 }"]).status.success());

    let said = netfilter.watch();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|what| what.contains("clawker-guard") && what.contains("back")), "{said:?}");
    let tables = world.listing(&["list", "tables"]);
    assert!(tables.contains("inet clawker-guard") && tables.contains("netdev clawker-guard"), "{tables}");
    assert_eq!(netfilter.watch(), Vec::<String>::new(), "its own healing is no change");

    // A guard that is there but was opened.
    assert!(world.nft(&["insert", "rule", "inet", "clawker-guard", "output", "accept"]).status.success());
    assert_eq!(netfilter.watch().len(), 1);
    assert!(!world.listing(&["list", "table", "inet", "clawker-guard"]).contains("\t\taccept"));
}

#[test]
fn where_the_kernel_knows_no_owner_the_watcher_puts_everything_back() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = Netfilter::open_for(Features { owner: false, egress: true }).unwrap();
    netfilter.install(&enforcement().into(), Opening::Closed).unwrap();
    for change in [
        &["add", "element", "inet", "clawker", "open", "{ ipv4 }"][..],
        &["insert", "rule", "inet", "clawker", "output", "goto", "accepted"],
        &["flush", "chain", "inet", "clawker", "output"],
        &["add", "element", "inet", "clawker", "direct4", "{ 198.51.100.9 . 4433 }"],
        &["chain", "inet", "clawker", "output", "{ policy accept; }"],
        &["delete", "table", "inet", "clawker"],
    ] {
        let done = world.nft(change);
        assert!(done.status.success(), "{change:?}: {}", String::from_utf8_lossy(&done.stderr));
        let said = netfilter.watch();
        assert!(
            said.len() == 1 && said[0].starts_with("put table inet clawker back"),
            "{change:?}: {said:?}"
        );
        assert!(!send("changed") && !hears(&udp, "changed"), "{change:?}");
    }
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert!(send("open") && hears(&udp, "open"));
    assert!(world.nft(&["flush", "set", "inet", "clawker", "open"]).status.success());
    assert_eq!(netfilter.watch().len(), 1, "an opening that somebody else closed");
    assert!(send("open again") && hears(&udp, "open again"));
}

#[test]
fn a_foreign_table_is_deleted_and_dockers_is_left_alone() {
    let world = World::new();
    world.enter_agent();
    let mut netfilter = installed();
    assert!(world.nft(&["add", "table", "ip", "nat"]).status.success());
    assert!(world.nft(&["add", "table", "netdev", "later"]).status.success());
    let said = netfilter.watch();
    assert_eq!(said, ["deleted the foreign table netdev later"]);
    let tables = world.listing(&["list", "tables"]);
    assert!(tables.contains("table ip nat") && !tables.contains("later"), "{tables}");
}

#[test]
fn when_pid_1_dies_nothing_gets_out() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    assert!(send("before") && hears(&udp, "before"));
    let mut netfilter = installed();
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert!(send("open") && hears(&udp, "open"));
    drop(netfilter);
    let tables = world.listing(&["list", "tables"]);
    assert!(!tables.contains("table inet clawker\n"), "the owned table outlives its owner: {tables}");
    assert!(!send("after") && !hears(&udp, "after"));
    // And a new one can take over what is left.
    let mut netfilter = installed();
    assert_eq!(netfilter.watch(), Vec::<String>::new());
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert!(send("again") && hears(&udp, "again"));
}

#[test]
fn a_sender_at_full_speed_gets_nothing_out_at_the_moment_of_death() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    for _ in 0..5 {
        let netfilter = installed();
        let sent = under_fire(&world, &udp, || drop(netfilter));
        assert!(sent > 100, "{sent}: no fire");
        assert!(!hears(&udp, "leak"));
    }
}

#[test]
fn a_raw_frame_does_not_leave_whatever_it_calls_itself() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    for (claimed, text) in [("0800", "ip"), ("0806", "arp")] {
        send_frame(&world, "eth0", claimed, text);
        assert!(hears(&udp, text), "{text}: not even without rules");
    }
    let mut netfilter = installed();
    for (claimed, text) in [("0800", "ip"), ("0806", "arp")] {
        send_frame(&world, "eth0", claimed, text);
        assert!(!hears(&udp, text), "{text}");
    }
    assert_eq!(netfilter.refused().unwrap()[&RefusalClass::Unmarked].packets, 2);
    // Real ARP passes, or nothing at all would.
    netfilter.set_opening(Opening::Indefinitely).unwrap();
    assert!(Command::new("ip").args(["neigh", "flush", "all"]).status().unwrap().success());
    assert!(send("marked") && hears(&udp, "marked"));
}

#[test]
fn a_new_interface_is_fenced_when_it_appears() {
    let world = World::new();
    world.enter_agent();
    let udp = world.udp(EVIL, 4433);
    let mut netfilter = installed();
    world.add_interface("eth1");
    let said = netfilter.watch();
    assert_eq!(said, ["fenced the new interface eth1"]);
    send_frame(&world, "eth1", "0800", "fenced");
    assert!(!hears(&udp, "fenced"));
    assert!(netfilter.refused().unwrap()[&RefusalClass::Unmarked].packets >= 1);
    assert!(world.nft(&["delete", "table", "netdev", "clawker-guard"]).status.success());
    send_frame(&world, "eth1", "0800", "control");
    assert!(hears(&udp, "control"), "the frame would not have arrived anyway");
}
