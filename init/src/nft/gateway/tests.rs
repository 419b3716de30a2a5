use clawker_protocol::gateway::Private;

use super::*;
use crate::fence::Opening;
use crate::grants::Running;
use crate::nft::rules::{Features, Interface, Ruleset, compile};

fn gateway() -> Gateway {
    Gateway {
        subnet: "172.20.0.0/16".parse().unwrap(),
        resolvers: vec![[10, 0, 0, 53].into()],
        private: vec![
            Private { tos: 4, nets: vec!["10.1.0.0/16".parse().unwrap(), "fd00::1/8".parse().unwrap()] },
            Private { tos: 252, nets: vec!["192.168.7.7/32".parse().unwrap()] },
        ],
    }
}

fn compiled(gateway: Gateway) -> Ruleset {
    let eth0 = [Interface { index: 2, name: "eth0".to_owned() }];
    compile(&gateway.into(), &Running::default(), Opening::Closed, &eth0, Features::ALL)
}

/// One chain of the table that judges.
fn chain_of(ruleset: &Ruleset, name: &str) -> Vec<String> {
    let chain = ruleset.tables[0].chains.iter().find(|chain| chain.name == name).unwrap();
    let line = |rule: &Vec<Step>| rule.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    chain.rules.iter().map(line).collect()
}

#[test]
fn the_order_in_which_the_gateway_is_judged() {
    let ruleset = compiled(gateway());
    assert_eq!(
        chain_of(&ruleset, "output"),
        [
            "meta nfproto ipv4 ip daddr 127.0.0.11 goto refuse_docker_dns",
            "oif \"lo\" ct direction reply ct state related accept",
            "oif \"lo\" goto refused",
            "ct direction reply ct state established goto accepted",
            "meta nfproto ipv4 ip daddr 10.0.0.53 meta l4proto 17 th dport 53 goto accepted",
            "meta nfproto ipv4 ip daddr 10.0.0.53 meta l4proto 6 th dport 53 goto accepted",
            "meta l4proto 6 goto dialled",
            "meta nfproto ipv6 meta l4proto 58 icmpv6 type 135 goto accepted",
            "meta nfproto ipv6 meta l4proto 58 icmpv6 type 136 goto accepted",
            "goto refused",
        ]
    );
    assert_eq!(
        chain_of(&ruleset, "dialled"),
        [
            "meta nfproto ipv4 ip daddr 0.0.0.0/8 goto refused",
            "meta nfproto ipv4 ip daddr 127.0.0.0/8 goto refused",
            "meta nfproto ipv4 ip daddr 169.254.0.0/16 goto refused",
            "meta nfproto ipv4 ip daddr 198.18.0.0/15 goto refused",
            "meta nfproto ipv4 ip daddr 224.0.0.0/3 goto refused",
            "meta nfproto ipv6 ip6 daddr ::/3 goto refused",
            "meta nfproto ipv6 ip6 daddr 2001::/23 goto refused",
            "meta nfproto ipv6 ip6 daddr 2002::/16 goto refused",
            "meta nfproto ipv6 ip6 daddr 4000::/2 goto refused",
            "meta nfproto ipv6 ip6 daddr fe80::/9 goto refused",
            "meta nfproto ipv6 ip6 daddr ff00::/8 goto refused",
            "meta nfproto ipv4 ip daddr 172.20.0.0/16 goto refused",
            "meta nfproto ipv4 ip dscp 1 ip daddr 10.1.0.0/16 goto accepted",
            "meta nfproto ipv6 ip6 dscp 1 ip6 daddr fd00::/8 goto accepted",
            "meta nfproto ipv4 ip dscp 63 ip daddr 192.168.7.7/32 goto accepted",
            "meta nfproto ipv4 ip daddr 10.0.0.0/8 goto refused",
            "meta nfproto ipv4 ip daddr 100.64.0.0/10 goto refused",
            "meta nfproto ipv4 ip daddr 172.16.0.0/12 goto refused",
            "meta nfproto ipv4 ip daddr 192.0.0.0/24 goto refused",
            "meta nfproto ipv4 ip daddr 192.0.2.0/24 goto refused",
            "meta nfproto ipv4 ip daddr 192.88.99.0/24 goto refused",
            "meta nfproto ipv4 ip daddr 192.168.0.0/16 goto refused",
            "meta nfproto ipv4 ip daddr 203.0.113.0/24 goto refused",
            "meta nfproto ipv6 ip6 daddr 2001:db8::/32 goto refused",
            "meta nfproto ipv6 ip6 daddr 3fff::/20 goto refused",
            "meta nfproto ipv6 ip6 daddr 8000::/1 goto refused",
            "goto accepted",
        ]
    );
    assert_eq!(
        chain_of(&ruleset, "input"),
        [
            "ct direction reply ct state established accept",
            "ct state related accept",
            "meta nfproto ipv4 ip saddr 172.20.0.0/16 meta l4proto 6 accept",
            "meta nfproto ipv6 meta l4proto 58 icmpv6 type 135 accept",
            "meta nfproto ipv6 meta l4proto 58 icmpv6 type 136 accept",
            "goto refuse_inbound",
        ]
    );
}

#[test]
fn the_guards_are_those_of_an_agent_and_every_chain_that_decides_drops() {
    let ruleset = compiled(gateway());
    let agents = compile(
        &serde_json::from_str::<clawker_protocol::enforcement::Enforcement>(
            r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":1,"open_dns_port":2}"#,
        )
        .unwrap()
        .into(),
        &Running::default(),
        Opening::Closed,
        &[Interface { index: 2, name: "eth0".to_owned() }],
        Features::ALL,
    );
    assert_eq!(ruleset.tables[1..], agents.tables[1..]);
    assert!(ruleset.tables[0].owned);
    for base in ruleset.tables.iter().flat_map(|table| &table.chains).filter_map(|chain| chain.base.as_ref())
    {
        assert!(base.drops, "{base:?}");
    }
}

#[test]
fn without_resolvers_and_lists_only_public_addresses_are_left() {
    let ruleset = compiled(Gateway { resolvers: vec![], private: vec![], ..gateway() });
    let all = [chain_of(&ruleset, "output"), chain_of(&ruleset, "dialled")].concat();
    assert!(!all.iter().any(|rule| rule.contains("dport 53") || rule.contains("dscp")), "{all:#?}");
}
