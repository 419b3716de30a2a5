//! The container's place on the network, as the kernel tells it, and whether the boot config fits it. A config that
//! names an Envoy or CoreDNS anywhere but beside us would send the agent's connections to a stranger.

use std::net::Ipv4Addr;

use clawker_protocol::control::Network;
use clawker_protocol::enforcement::Enforcement;
use ipnet::Ipv4Net;

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

/// Finds the interface on which Envoy is a neighbour, with our address on it and the gateway.
///
/// # Errors
/// [`NetworkError`].
pub fn find(enforcement: &Enforcement) -> Result<Network, NetworkError> {
    let names = route::interfaces()?;
    let gateway = route::default_gateway()?;
    let networks = route::networks()?;
    let of_interfaces = networks.into_iter().filter_map(|(index, network)| {
        let name = names.iter().find(|interface| interface.index == index)?;
        Some((name.name.clone(), network))
    });
    choose(&of_interfaces.collect::<Vec<_>>(), gateway, enforcement)
}

fn choose(
    networks: &[(String, Ipv4Net)],
    gateway: Option<Ipv4Addr>,
    enforcement: &Enforcement,
) -> Result<Network, NetworkError> {
    let beside = networks.iter().find(|(_, network)| network.contains(&enforcement.envoy));
    let (interface, network) = beside.or(networks.first()).ok_or(NetworkError::None)?;
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
    Ok(Network { interface: interface.clone(), address: network.to_string(), gateway })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enforcement(envoy: &str, coredns: &str) -> Enforcement {
        Enforcement {
            generation: 1,
            envoy: envoy.parse().unwrap(),
            coredns: coredns.parse().unwrap(),
            dns_port: 1,
            open_dns_port: 2,
            services: vec![],
            port_routes: vec![],
            direct: vec![],
            published: vec![],
        }
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
}
