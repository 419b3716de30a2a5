use clawker_protocol::enforcement::{Direct, PortRange, PortRoute, Published, Service};

use super::*;
use crate::grants::{Grants, Moment};
use crate::nft::batch::Batch;

const ALL: Features = Features::ALL;

fn enforcement() -> Enforcement {
    let text = r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,"open_dns_port":5300}"#;
    Enforcement {
        services: vec![Service { address: [198, 18, 0, 5].into(), port: 22, listener: 10001, expires: None }],
        port_routes: vec![PortRoute { ports: PortRange::single(443), listener: 10443 }],
        direct: vec![Direct { net: "198.51.100.7/24".parse().unwrap(), ports: PortRange::single(7000) }],
        published: vec![Published { transport: Transport::Tcp, port: 8080 }],
        ..serde_json::from_str(text).unwrap()
    }
}

fn eth0() -> Vec<Interface> {
    vec![Interface { index: 2, name: "eth0".to_owned() }]
}

/// One chain of a listing.
fn chain_of<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("\tchain {name} {{");
    text.lines()
        .skip_while(|line| *line != start)
        .skip(1)
        .take_while(|line| *line != "\t}")
        .map(str::trim)
        .collect()
}

#[test]
fn the_order_in_which_a_closed_fence_judges() {
    let text = compile(&enforcement().into(), &Running::default(), Opening::Closed, &eth0(), ALL).render();
    assert_eq!(
        chain_of(&text, "nat_output"),
        [
            "type nat hook output priority -110; policy accept;",
            "meta nfproto @open goto nat_open",
            "meta nfproto ipv4 oif != \"lo\" meta l4proto 17 th dport 53 dnat ip to 172.20.0.3:5301",
            "meta nfproto ipv4 oif != \"lo\" meta l4proto 6 th dport 53 dnat ip to 172.20.0.3:5301",
            "meta nfproto ipv4 meta l4proto 6 dnat ip to 172.20.0.2 : ip daddr . th dport map @grants",
            "meta nfproto ipv4 meta l4proto 6 dnat ip to 172.20.0.2 : ip daddr . th dport map @services",
            "oif \"lo\" return",
            "meta nfproto ipv4 meta l4proto 6 ip daddr . th dport @direct4 return",
            "meta nfproto ipv6 meta l4proto 6 ip6 daddr . th dport @direct6 return",
            "meta nfproto ipv4 meta l4proto 6 dnat ip to 172.20.0.2 : th dport map @port_routes",
        ]
    );
    // The first chain of that name is the judging table's.
    assert_eq!(
        chain_of(&text, "output").iter().take(19).copied().collect::<Vec<_>>(),
        [
            "type filter hook output priority 0; policy drop;",
            "meta nfproto @open goto opened",
            "meta nfproto ipv4 ip daddr 127.0.0.11 goto refuse_docker_dns",
            "oif \"lo\" accept",
            "ct direction reply ct state established goto accepted",
            "meta nfproto ipv4 ip daddr 172.20.0.3 meta l4proto 17 th dport 5301 ct status dnat goto accepted",
            "meta nfproto ipv4 ip daddr 172.20.0.3 meta l4proto 6 th dport 5301 ct status dnat goto accepted",
            "meta nfproto ipv4 meta l4proto 6 ip daddr . th dport @listeners ct status dnat goto accepted",
            "meta nfproto ipv4 meta l4proto 6 ip daddr . th dport @granted ct status dnat goto accepted",
            "meta nfproto ipv4 meta l4proto 6 ip daddr . th dport @direct4 goto accepted",
            "meta nfproto ipv6 meta l4proto 6 ip6 daddr . th dport @direct6 goto accepted",
            "meta l4proto 6 goto refuse_tcp",
            "meta l4proto 17 goto refuse_udp",
            "meta l4proto 1 goto refuse_icmp",
            "meta l4proto 58 goto refuse_icmp",
            "goto refuse_other",
        ]
    );
    assert_eq!(
        chain_of(&text, "input"),
        [
            "type filter hook input priority 0; policy drop;",
            "iif \"lo\" accept",
            "ct direction reply ct state established accept",
            "ct state related accept",
            "meta l4proto . th dport @published accept",
            "goto refuse_inbound",
        ]
    );
    assert_eq!(
        chain_of(&text, "egress-2"),
        [
            "type filter hook egress device \"eth0\" priority 2147483647; policy drop;",
            "meta protocol arp @ll,96,16 0x0806 accept",
            "meta mark 0x636c6177 accept",
            "counter name \"unmarked\"",
        ]
    );
    assert!(text.contains("198.51.100.0/24 . 7000"), "{text}");
}

#[test]
fn only_the_elements_of_one_set_tell_open_from_closed() {
    let closed = compile(&enforcement().into(), &Running::default(), Opening::Closed, &eth0(), ALL).render();
    let open =
        compile(&enforcement().into(), &Running::default(), Opening::Indefinitely, &eth0(), ALL).render();
    let timed = compile(
        &enforcement().into(),
        &Running::default(),
        Opening::For(std::time::Duration::from_millis(1500)),
        &eth0(),
        ALL,
    )
    .render();
    let gone = |text: &str, line: &str| {
        assert!(text.contains(line), "{text}");
        text.replace(line, "")
    };
    assert_eq!(gone(&open, "\t\telements = { ipv4, ipv6 }\n"), closed);
    assert_eq!(gone(&timed, "\t\telements = { ipv4 timeout 1500ms, ipv6 timeout 1500ms }\n"), closed);
}

#[test]
fn an_empty_enforcement_lets_nothing_through_but_loopback_dns_and_answers() {
    let empty = Enforcement {
        services: vec![],
        port_routes: vec![],
        direct: vec![],
        published: vec![],
        ..enforcement()
    };
    let Ruleset { tables } = compile(&empty.into(), &Running::default(), Opening::Closed, &eth0(), ALL);
    assert!(tables.iter().flat_map(|table| &table.sets).all(|set| set.raw().is_empty()));
    let accepting =
        tables[0].chains.iter().filter(|chain| chain.name == "output").flat_map(|chain| &chain.rules);
    let unguarded = accepting.filter(|rule| {
        let accepts = matches!(rule.last(), Some(Step::Accept | Step::Goto("accepted")));
        let bound = rule.iter().any(|step| {
            matches!(step, Step::ToLoopback(true) | Step::CtReply | Step::CtDnat | Step::DaddrDportIn(..))
        });
        accepts && !bound
    });
    assert_eq!(unguarded.count(), 0);
}

#[test]
fn every_chain_that_decides_drops_what_it_does_not_know() {
    let Ruleset { tables } =
        compile(&enforcement().into(), &Running::default(), Opening::Closed, &eth0(), ALL);
    for base in tables.iter().flat_map(|table| &table.chains).filter_map(|chain| chain.base.as_ref()) {
        assert_eq!(base.drops, base.kind == "filter", "{base:?}");
    }
    let text = tables.iter().map(ToString::to_string).collect::<String>();
    for uid_match in ["skuid", "skgid", "172.20.0.0"] {
        assert!(!text.contains(uid_match));
    }
}

#[test]
fn an_older_kernel_loses_a_feature_and_never_a_rule() {
    let unknown = std::io::Error::from_raw_os_error(libc::EOPNOTSUPP);
    let owner = ALL.without("table inet clawker", &unknown).unwrap();
    assert_eq!(owner, Features { owner: false, egress: true });
    let egress = owner.without("chain egress-2 in table netdev clawker-guard", &unknown).unwrap();
    assert_eq!(egress, Features { owner: false, egress: false });
    assert_eq!(egress.without("table inet clawker", &unknown), None);
    assert_eq!(ALL.without("chain output in table inet clawker", &unknown), None);
    assert_eq!(ALL.without("table inet clawker", &std::io::Error::from_raw_os_error(libc::EPERM)), None);
    let tables = compile(&enforcement().into(), &Running::default(), Opening::Closed, &eth0(), egress).tables;
    assert_eq!(tables.len(), 2);
    assert_eq!(
        tables[0].chains,
        compile(&enforcement().into(), &Running::default(), Opening::Closed, &eth0(), ALL).tables[0].chains
    );
}

/// With a service of that end, and what is running of it a second after 1970 and the boot.
fn with_end(expires: u64) -> (Enforcement, Running) {
    let service =
        Service { address: [198, 18, 0, 6].into(), port: 22, listener: 10002, expires: Some(expires) };
    let mut enforcement = enforcement();
    enforcement.services.push(service);
    let now = Moment { wall_millis: 1_000, boot: std::time::Duration::from_secs(1) };
    let running = Grants::of(&enforcement, &Grants::default(), now).running(now.boot);
    (enforcement, running)
}

#[test]
fn what_ends_by_itself_stands_nowhere_without_its_time() {
    let text = |(enforcement, running): (Enforcement, Running)| {
        compile(&enforcement.clone().into(), &running, Opening::Closed, &eth0(), ALL).render()
    };
    let running = text(with_end(3_500));
    let elements: Vec<&str> = running
        .lines()
        .filter(|line| line.contains("elements") && (line.contains("10002") || line.contains("198.18.0.6")))
        .map(str::trim)
        .collect();
    assert_eq!(
        elements,
        [
            "elements = { 198.18.0.6 . 22 timeout 2500ms : 10002 }",
            "elements = { 172.20.0.2 . 10002 timeout 2500ms }",
            // Only refuses.
            "elements = { 172.20.0.2 . 10002 }",
        ]
    );
    assert_eq!(
        chain_of(&running, "input")[2],
        "meta nfproto ipv4 meta l4proto 6 ip saddr . th sport @timed goto granted_replies"
    );
    assert_eq!(
        chain_of(&running, "granted_replies"),
        [
            "meta nfproto @open ct direction reply ct state established accept",
            "meta nfproto ipv4 ip saddr . th sport @granted ct direction reply ct state established accept",
            "goto refuse_inbound",
        ]
    );
    // After its end the rules are the same, and a heal brings no element back.
    let ended = text(with_end(1_000));
    let rest: String = running.lines().filter(|line| !line.contains("timeout 2500ms")).collect();
    assert_eq!(ended.lines().collect::<String>(), rest);
}

#[test]
fn a_swap_replaces_what_counts_down_as_a_whole_and_leaves_the_rest_alone() {
    let table = |(enforcement, running): (Enforcement, Running)| {
        compile(&enforcement.clone().into(), &running, Opening::Closed, &eth0(), ALL).tables.remove(0)
    };
    let changes = |old: &Table, new: &Table| {
        let mut batch = Batch::new();
        batch.update(old, new, OPEN);
        let Some(finished) = batch.finish() else { return vec![] };
        (1..=finished.last()).map(|sequence| finished.label(sequence).to_owned()).collect::<Vec<_>>()
    };
    let (long, short) = (table(with_end(9_000)), table(with_end(3_500)));
    let part = |what: &str, set| format!("{what} {set} in table inet clawker");
    assert_eq!(
        changes(&long, &short),
        [
            // A delete of one element fails once the kernel has taken it out; of all it does not.
            part("old elements of set", GRANTS),
            part("elements of set", GRANTS),
            part("old elements of set", GRANTED),
            part("elements of set", GRANTED),
        ]
    );
    assert_eq!(
        changes(&long, &table(with_end(1_000))),
        [part("old elements of set", GRANTS), part("old elements of set", GRANTED)]
    );
    let none = table((enforcement(), Running::default()));
    assert_eq!(changes(&none, &none), [""; 0], "who has none pays nothing");
}

#[test]
fn only_what_is_due_may_be_missing_when_it_is_read_back() {
    let (enforcement, running) = with_end(3_500);
    let tables = compile(&enforcement.clone().into(), &running, Opening::Closed, &eth0(), ALL).tables;
    let missing = |millis| {
        let now = std::time::Duration::from_millis(millis);
        tables[0].sets.iter().map(|set| set.may_be_gone(now).len()).sum::<usize>()
    };
    assert_eq!((missing(1_000), missing(3_400), missing(3_500)), (0, 0, 2));
}
