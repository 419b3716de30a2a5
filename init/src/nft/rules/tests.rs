use clawker_protocol::enforcement::{Direct, PortRange, PortRoute, Published, Service};

use super::*;

const ALL: Features = Features::ALL;

fn enforcement() -> Enforcement {
    let text = r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,"open_dns_port":5300}"#;
    Enforcement {
        services: vec![Service { address: [198, 18, 0, 5].into(), port: 22, listener: 10001 }],
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
    let text = compile(&enforcement(), Opening::Closed, &eth0(), ALL).render();
    assert_eq!(
        chain_of(&text, "nat_output"),
        [
            "type nat hook output priority -110; policy accept;",
            "meta nfproto @open goto nat_open",
            "meta nfproto ipv4 oif != \"lo\" meta l4proto 17 th dport 53 dnat ip to 172.20.0.3:5301",
            "meta nfproto ipv4 oif != \"lo\" meta l4proto 6 th dport 53 dnat ip to 172.20.0.3:5301",
            "meta nfproto ipv4 meta l4proto 6 dnat ip to 172.20.0.2 : ip daddr . th dport map @services",
            "oif \"lo\" return",
            "meta nfproto ipv4 meta l4proto 6 ip daddr . th dport @direct4 return",
            "meta nfproto ipv6 meta l4proto 6 ip6 daddr . th dport @direct6 return",
            "meta nfproto ipv4 meta l4proto 6 dnat ip to 172.20.0.2 : th dport map @port_routes",
        ]
    );
    // The first chain of that name is the judging table's.
    assert_eq!(
        chain_of(&text, "output").iter().take(18).copied().collect::<Vec<_>>(),
        [
            "type filter hook output priority 0; policy drop;",
            "meta nfproto @open goto opened",
            "meta nfproto ipv4 ip daddr 127.0.0.11 goto refuse_docker_dns",
            "oif \"lo\" accept",
            "ct direction reply ct state established goto accepted",
            "meta nfproto ipv4 ip daddr 172.20.0.3 meta l4proto 17 th dport 5301 ct status dnat goto accepted",
            "meta nfproto ipv4 ip daddr 172.20.0.3 meta l4proto 6 th dport 5301 ct status dnat goto accepted",
            "meta nfproto ipv4 meta l4proto 6 ip daddr . th dport @listeners ct status dnat goto accepted",
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
    let closed = compile(&enforcement(), Opening::Closed, &eth0(), ALL).render();
    let open = compile(&enforcement(), Opening::Indefinitely, &eth0(), ALL).render();
    let timed =
        compile(&enforcement(), Opening::For(std::time::Duration::from_millis(1500)), &eth0(), ALL).render();
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
    let Ruleset { tables } = compile(&empty, Opening::Closed, &eth0(), ALL);
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
    let Ruleset { tables } = compile(&enforcement(), Opening::Closed, &eth0(), ALL);
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
    let tables = compile(&enforcement(), Opening::Closed, &eth0(), egress).tables;
    assert_eq!(tables.len(), 2);
    assert_eq!(tables[0].chains, compile(&enforcement(), Opening::Closed, &eth0(), ALL).tables[0].chains);
}
