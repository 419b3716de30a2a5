//! What Envoy may dial, as the table that judges: public addresses, its resolvers, and what single rules list. A name
//! that resolves to anything else leads nowhere, whoever answered for it and whenever. Nothing here touches the kernel.

use clawker_protocol::gateway::Gateway;
use clawker_protocol::ranges::{NOT_PUBLIC, Opens};
use ipnet::IpNet;

use super::expr::{CT_ESTABLISHED, CT_RELATED, End, Ip, L4, Step};
use super::rules::{Chain, DNS, DOCKER_DNS, Table, chain, filter, judging, neighbours, refuse_by_class};
use super::uapi::*;

/// The table for a gateway.
pub fn judge(gateway: &Gateway) -> Table {
    let chains: Vec<Chain> = vec![
        filter("output", NF_INET_LOCAL_OUT, output(gateway)),
        filter("input", NF_INET_LOCAL_IN, input(gateway)),
        chain("dialled", dialled(gateway)),
        chain("refused", refuse_by_class().to_vec()),
    ];
    judging(Vec::new(), chains)
}

fn output(gateway: &Gateway) -> Vec<Vec<Step>> {
    use Step::{Accept, CtReply, CtState, Daddr, Dport, Family, Goto, L4 as Transport, ToLoopback};
    let accepted = Goto("accepted");
    let mut rules = vec![
        vec![Family(Ip::V4), Daddr(DOCKER_DNS), Goto("refuse_docker_dns")],
        // The resets that we refuse with, on their way back to the socket.
        vec![ToLoopback(true), CtReply, CtState(CT_RELATED), Accept],
        // Its own addresses, too: what it dials by loopback, it dials for a name that answers with them.
        vec![ToLoopback(true), Goto("refused")],
        // An agent began it, so input let it in.
        vec![CtReply, CtState(CT_ESTABLISHED), accepted.clone()],
    ];
    for resolver in &gateway.resolvers {
        rules.extend(
            [L4::Udp, L4::Tcp].map(|l4| {
                vec![Family(Ip::V4), Daddr(*resolver), Transport(l4), Dport(DNS), accepted.clone()]
            }),
        );
    }
    rules.push(vec![Transport(L4::Tcp), Goto("dialled")]);
    rules.extend(neighbours(&accepted));
    rules.push(vec![Goto("refused")]);
    rules
}

/// Where a connection may go: what nothing opens comes first, then what rules list, and what is left is public.
fn dialled(gateway: &Gateway) -> Vec<Vec<Step>> {
    let to = |net: IpNet| [Step::Family(family(net)), Step::Net(End::Destination, net)];
    let refuse = |net| [&to(net)[..], &[Step::Goto("refused")]].concat();
    let ranges = |wanted| NOT_PUBLIC.into_iter().filter(move |(_, opens)| *opens == wanted);
    let mut rules: Vec<Vec<Step>> = ranges(Opens::Never).map(|(net, _)| refuse(net)).collect();
    rules.push(refuse(gateway.subnet.into()));
    for private in &gateway.private {
        rules.extend(private.nets.iter().map(|net| {
            let [of_family, to_net] = to(net.trunc());
            vec![of_family, Step::Dscp(family(*net), private.tos), to_net, Step::Goto("accepted")]
        }));
    }
    rules.extend(ranges(Opens::Listed).map(|(net, _)| refuse(net)));
    rules.push(vec![Step::Goto("accepted")]);
    rules
}

fn input(gateway: &Gateway) -> Vec<Vec<Step>> {
    use Step::{Accept, CtReply, CtState, Family, Goto, Net};
    let mut rules = vec![
        vec![CtReply, CtState(CT_ESTABLISHED), Accept],
        vec![CtState(CT_RELATED), Accept],
        vec![Family(Ip::V4), Net(End::Source, gateway.subnet.into()), Step::L4(L4::Tcp), Accept],
    ];
    rules.extend(neighbours(&Accept));
    rules.push(vec![Goto("refuse_inbound")]);
    rules
}

fn family(net: IpNet) -> Ip {
    if matches!(net, IpNet::V4(_)) { Ip::V4 } else { Ip::V6 }
}

#[cfg(test)]
mod tests;
