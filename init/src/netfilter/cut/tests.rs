use clawker_protocol::enforcement::{Direct, PortRange, PortRoute, Published, Service};
use clawker_protocol::gateway::Private;

use super::*;

fn enforcement() -> Enforcement {
    let text = r#"{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":5301,"open_dns_port":5300}"#;
    Enforcement {
        services: vec![Service { address: [198, 18, 0, 5].into(), port: 22, listener: 10001, expires: None }],
        port_routes: vec![PortRoute { ports: PortRange::single(443), listener: 10443 }],
        direct: vec![Direct { net: "198.51.100.0/24".parse().unwrap(), ports: PortRange::single(7000) }],
        published: vec![Published { transport: Transport::Tcp, port: 8080 }],
        ..serde_json::from_str(text).unwrap()
    }
}

fn flow(to: &str, answered_by: Option<&str>) -> Flow {
    let at = |text: &str| text.parse().unwrap();
    Flow {
        proto: TCP,
        original: Tuple { source: at("172.20.0.9:40000"), destination: at(to) },
        answered_by: answered_by.map(at),
        inbound: false,
    }
}

#[test]
fn only_what_the_policy_lets_through_outlives_a_bypass() {
    let enforcement = enforcement();
    let allowed = Allowed::of(&enforcement);
    let inbound = |to| Flow { inbound: true, ..flow(to, None) };
    for (what, lives, flow) in [
        ("an unlisted host", false, flow("203.0.113.9:9000", None)),
        ("a routed port that went direct", false, flow("203.0.113.9:443", Some("203.0.113.9:443"))),
        ("a routed port through Envoy", true, flow("203.0.113.9:443", Some("172.20.0.2:10443"))),
        ("another project's listener", false, flow("203.0.113.9:443", Some("172.20.0.2:10999"))),
        ("Envoy dialled directly", false, flow("172.20.0.2:10443", Some("172.20.0.2:10443"))),
        ("a name", true, flow("198.18.0.5:22", None)),
        ("a name through Envoy", true, flow("198.18.0.5:22", Some("172.20.0.2:10001"))),
        ("a name through another's listener", false, flow("198.18.0.5:22", Some("172.20.0.2:10443"))),
        ("a virtual address on an unlisted port", false, flow("198.18.0.5:23", None)),
        ("a listed range", true, flow("198.51.100.9:7000", Some("198.51.100.9:7000"))),
        ("a listed range on another port", false, flow("198.51.100.9:7001", None)),
        ("loopback", true, flow("127.0.0.1:53", None)),
        ("its own address", true, flow("172.20.0.9:1", None)),
        ("Docker's resolver", false, flow("127.0.0.11:40001", None)),
        ("a published port from outside", true, inbound("172.20.0.8:8080")),
        ("a port that is not published any more", false, inbound("172.20.0.8:8081")),
        ("a published TCP port by UDP", false, Flow { proto: UDP, ..inbound("172.20.0.8:8080") }),
        ("a listed range by UDP", false, Flow { proto: UDP, ..flow("198.51.100.9:7000", None) }),
        ("that port number on somebody else", false, flow("203.0.113.9:8080", None)),
    ] {
        assert_eq!(allowed.lets(&flow), lives, "{what}");
    }
}

#[test]
fn a_swap_ends_what_was_taken_away_and_what_may_have_been_for_it() {
    let old = enforcement();
    let named = flow("198.18.0.5:22", Some("172.20.0.2:10001"));
    let unnamed = flow("203.0.113.9:443", Some("172.20.0.2:10443"));
    let direct = flow("198.51.100.9:7000", None);
    let bypassed = flow("203.0.113.9:9000", None);
    let ends = |new: &Enforcement| {
        let change = Swap::between(&old, new);
        [named, unnamed, direct, bypassed].map(|flow| change.ends(&flow))
    };
    assert_eq!(ends(&old), [false; 4]);
    let mut new = old.clone();
    new.services.push(Service { address: [198, 18, 0, 6].into(), port: 22, listener: 10002, expires: None });
    assert_eq!(ends(&new), [false; 4], "more is listed");
    new.services.remove(0);
    assert_eq!(ends(&new), [true, true, false, false], "a name is gone");
    let mut new = old.clone();
    new.services[0].listener = 10003;
    assert_eq!(ends(&new), [true, true, false, false], "a name has another listener");
    let mut new = old.clone();
    new.direct.clear();
    assert_eq!(ends(&new), [false, false, true, false], "a range is gone");
}

#[test]
fn conntrack_forgets_port_53_always_and_udp_when_closing() {
    // An entry can only come from the kernel's bytes.
    let entry = |proto: u8, to: [u8; 4], port: u16| {
        let mut writer = crate::netlink::wire::Writer::new();
        writer.raw(&[2, 0, 0, 0]);
        for (kind, source, destination) in [(1, [172, 20, 0, 9], to), (2, to, [172, 20, 0, 9])] {
            writer.nest(kind, |writer| {
                writer.nest(1, |writer| {
                    writer.attribute(1, &source);
                    writer.attribute(2, &destination);
                });
                writer.nest(2, |writer| {
                    writer.attribute(1, &[proto]);
                    writer.attribute(3, &port.to_be_bytes());
                });
            });
        }
        crate::conntrack::entry(writer.bytes()).unwrap()
    };
    let (evil, lo) = ([203, 0, 113, 9], [127, 0, 0, 1]);
    for (entry, on_change, on_close) in [
        (entry(UDP, evil, 53), true, true),
        (entry(UDP, [127, 0, 0, 11], 53), true, true),
        (entry(UDP, evil, 4433), false, true),
        (entry(UDP, lo, 4433), false, false),
        (entry(1, evil, 0), false, true),
        (entry(TCP, evil, 53), true, true),
        (entry(TCP, evil, 443), false, false),
    ] {
        assert_eq!(forgets(&entry, |_| true, &[], false), on_change, "{entry:?}");
        assert_eq!(forgets(&entry, |_| true, &[], true), on_close, "{entry:?}");
    }
    for proto in [TCP, UDP] {
        assert!(forgets(&entry(proto, evil, 443), |_| false, &[], false), "what a swap ends");
    }
}

#[test]
fn what_a_gateway_s_rules_list_no_more_ends_and_what_is_public_goes_on() {
    let gateway = |resolvers: &[&str], private: &[(u8, &str)]| Gateway {
        subnet: "172.20.0.0/16".parse().unwrap(),
        resolvers: resolvers.iter().map(|text| text.parse().unwrap()).collect(),
        private: private
            .iter()
            .map(|(tos, net)| Private { tos: *tos, nets: vec![net.parse().unwrap()] })
            .collect(),
    };
    let old = gateway(&["10.0.0.53", "198.51.100.53"], &[(4, "10.1.0.0/16"), (8, "10.1.2.0/24")]);
    let inbound = Flow { inbound: true, ..flow("172.20.0.2:10443", None) };
    let flows = [
        flow("198.51.100.9:443", None),
        flow("10.1.2.3:443", None),
        flow("10.1.9.9:443", None),
        flow("10.0.0.53:53", None),
        Flow { proto: UDP, ..flow("198.51.100.53:53", None) },
        flow("198.51.100.53:53", None),
        inbound,
    ];
    let ends = |new: &Gateway| flows.map(|flow| Change::Gateway(&old, new).ends(&flow));
    assert_eq!(ends(&old), [false; 7]);
    let more = gateway(&["10.0.0.53", "198.51.100.53", "9.9.9.9"], &[(4, "10.0.0.0/8"), (8, "10.1.2.0/24")]);
    assert_eq!(ends(&more), [false; 7], "more is listed");
    let fewer = gateway(&["10.0.0.53", "198.51.100.53"], &[(4, "10.1.0.0/16")]);
    assert_eq!(ends(&fewer), [false, true, false, false, false, false, false], "one rule of two is gone");
    let none = gateway(&[], &[]);
    assert_eq!(ends(&none), [false, true, true, true, true, false, false], "all that is not public");
}
