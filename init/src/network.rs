//! The container's place on the network, as the kernel tells it, and whether the boot config fits it. A config that
//! names an Envoy or CoreDNS anywhere but beside us would send the agent's connections to a stranger; a gateway's that
//! names another subnet than its own would dial its neighbours.

use std::net::Ipv4Addr;

use clawker_protocol::control::Network;
use ipnet::Ipv4Net;

use crate::fence::Policy;
use crate::route;

/// Why the boot config does not fit.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel did not answer.
    #[error("Can't read the network over netlink: {0}")]
    Netlink(#[from] std::io::Error),
    /// No network at all.
    #[error("This container is on no network")]
    None,
    /// A gateway that is elsewhere.
    #[error("This container is not on {0}: clawker firewall up mends it")]
    Subnet(Ipv4Net),
    /// An address of the config's that is not beside us.
    #[error("{role}'s address {address} is not a neighbour on {network}: clawker firewall up mends it")]
    Elsewhere {
        /// `Envoy` or `CoreDNS`.
        role: &'static str,
        /// Its address.
        address: Ipv4Addr,
        /// Our network.
        network: Ipv4Net,
    },
}

/// Finds the interface on which Envoy is a neighbour, or that is Envoy's own, with our address on it and the gateway.
///
/// # Errors
/// [`NetworkError`].
pub fn find(policy: &Policy) -> Result<Network, NetworkError> {
    let names = route::interfaces()?;
    let gateway = route::default_gateway()?;
    let networks = route::networks()?;
    let of_interfaces = networks.into_iter().filter_map(|(index, network)| {
        let name = names.iter().find(|interface| interface.index == index)?;
        Some((name.name.clone(), network))
    });
    choose(&of_interfaces.collect::<Vec<_>>(), gateway, policy)
}

fn choose(
    networks: &[(String, Ipv4Net)],
    gateway: Option<Ipv4Addr>,
    policy: &Policy,
) -> Result<Network, NetworkError> {
    let place = |(interface, network): &(String, Ipv4Net)| Network {
        interface: interface.clone(),
        address: network.to_string(),
        gateway,
    };
    let enforcement = match policy {
        Policy::Agent(enforcement) => enforcement,
        Policy::Gateway(own) => {
            let found = networks.iter().find(|(_, network)| network.trunc() == own.subnet);
            return found.map(place).ok_or(NetworkError::Subnet(own.subnet));
        }
    };
    let beside = networks.iter().find(|(_, network)| network.contains(&enforcement.envoy));
    let found = beside.or(networks.first()).ok_or(NetworkError::None)?;
    let network = &found.1;
    for (role, address) in [("Envoy", enforcement.envoy), ("CoreDNS", enforcement.coredns)] {
        let neighbour = network.contains(&address)
            && address != network.addr()
            && address != network.network()
            && address != network.broadcast()
            && Some(address) != gateway;
        if !neighbour {
            return Err(NetworkError::Elsewhere { role, address, network: network.trunc() });
        }
    }
    Ok(place(found))
}

#[cfg(test)]
mod tests {
    use clawker_protocol::enforcement::Enforcement;
    use clawker_protocol::gateway::Gateway;

    use super::*;

    fn enforcement(envoy: &str, coredns: &str) -> Policy {
        Policy::Agent(Enforcement {
            generation: 1,
            envoy: envoy.parse().unwrap(),
            coredns: coredns.parse().unwrap(),
            dns_port: 1,
            open_dns_port: 2,
            services: vec![],
            port_routes: vec![],
            direct: vec![],
            published: vec![],
        })
    }

    #[test]
    fn only_neighbours_that_are_nobody_else_are_taken() {
        let networks = [
            ("eth1".to_owned(), "10.0.0.5/24".parse().unwrap()),
            ("eth0".to_owned(), "172.20.0.16/16".parse().unwrap()),
        ];
        let gateway = Some(Ipv4Addr::new(172, 20, 0, 1));
        let found = choose(&networks, gateway, &enforcement("172.20.0.2", "172.20.0.3")).unwrap();
        assert_eq!((found.interface.as_str(), found.address.as_str()), ("eth0", "172.20.0.16/16"));
        for (envoy, coredns) in [
            ("172.21.0.2", "172.20.0.3"),
            ("172.20.0.2", "8.8.8.8"),
            ("172.20.0.1", "172.20.0.3"),
            ("172.20.0.16", "172.20.0.3"),
            ("172.20.0.0", "172.20.0.3"),
            ("172.20.0.2", "172.20.255.255"),
            ("172.20.0.2", "10.0.0.9"),
        ] {
            assert!(choose(&networks, gateway, &enforcement(envoy, coredns)).is_err(), "{envoy} {coredns}");
        }
        assert!(choose(&[], gateway, &enforcement("172.20.0.2", "172.20.0.3")).is_err());
    }

    #[test]
    fn a_gateway_knows_its_own_subnet_by_its_address() {
        let networks = [("eth0".to_owned(), "172.20.0.2/16".parse().unwrap())];
        let on = |subnet: &str| {
            let subnet = subnet.parse().unwrap();
            choose(&networks, None, &Gateway { subnet, resolvers: vec![], private: vec![] }.into())
        };
        assert_eq!(on("172.20.0.0/16").unwrap().interface, "eth0");
        for other in ["172.21.0.0/16", "172.20.0.0/17", "172.0.0.0/8"] {
            assert!(on(other).is_err(), "{other}");
        }
    }
}
