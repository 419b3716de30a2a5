//! The one bridge. Docker chooses its subnet; fixed addresses need an explicit one, so it is created, read, and created
//! again with exactly that. Addresses that Docker hands out itself lie in the lower part, ours in the upper: no stranger
//! can come up on the address of a container that is down.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::Docker;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use ipnet::Ipv4Net;

use super::{StackError, StackInfo};
use crate::docker::DockerError;
use crate::output::Progress;
use crate::paths::Paths;

/// The longest prefix with room for the stack and some agents.
const MAX_PREFIX: u8 = 26;
/// How often another subnet is asked for.
const TRIES: usize = 5;
/// Addresses of the upper part that are kept for the stack.
const OWN: u32 = 16;

/// Which address of a subnet is whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What Docker hands out by itself.
    pub lower: Ipv4Net,
    upper: Ipv4Net,
}

impl Layout {
    /// Of a subnet; `None` for one that is too small.
    pub fn of(subnet: Ipv4Net) -> Option<Self> {
        if subnet.prefix_len() > MAX_PREFIX {
            return None;
        }
        let mut halves = subnet.subnets(subnet.prefix_len() + 1).ok()?;
        Some(Self { lower: halves.next()?, upper: halves.next()? })
    }

    fn nth(self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.upper.network()).saturating_add(number))
    }

    /// Envoy's.
    pub fn envoy(self) -> Ipv4Addr {
        self.nth(2)
    }

    /// CoreDNS's.
    pub fn coredns(self) -> Ipv4Addr {
        self.nth(3)
    }

    /// Those for agents.
    pub fn agents(self) -> impl Iterator<Item = Ipv4Addr> {
        let (first, last) = (u32::from(self.nth(OWN)), u32::from(self.upper.broadcast()));
        (first..last).map(Ipv4Addr::from)
    }
}

/// Finds the network; one that is somebody else's is an error.
pub async fn find(docker: &Docker, paths: &Paths) -> Result<Option<StackInfo>, StackError> {
    let name = paths.network();
    let found = match docker.inspect_network(&name, None).await.map_err(DockerError::from) {
        Ok(found) => found,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let labels = found.labels.clone().unwrap_or_default();
    if labels.get("clawker.role").map(String::as_str) != Some("network") {
        return Err(StackError::NotOurs(name));
    }
    let me = nix::unistd::geteuid().to_string();
    let owner = labels.get("clawker.owner").cloned().unwrap_or_default();
    if owner != me {
        return Err(StackError::Owner { network: name, owner });
    }
    let (subnet, gateway) = subnet(&found).ok_or_else(|| StackError::Subnet(name.clone()))?;
    let layout = Layout::of(subnet).ok_or_else(|| StackError::Subnet(name.clone()))?;
    Ok(Some(StackInfo {
        network: name,
        subnet,
        gateway,
        envoy: layout.envoy(),
        coredns: layout.coredns(),
        docker: docker.clone(),
    }))
}

fn subnet(network: &NetworkInspect) -> Option<(Ipv4Net, Ipv4Addr)> {
    let configs = network.ipam.as_ref()?.config.as_ref()?;
    configs.iter().find_map(|config| {
        let subnet: Ipv4Net = config.subnet.as_ref()?.parse().ok()?;
        let gateway = config.gateway.as_ref().and_then(|text| text.split('/').next()?.parse().ok());
        Some((subnet, gateway.or_else(|| subnet.hosts().next())?))
    })
}

/// Makes it.
pub async fn make(docker: &Docker, paths: &Paths, progress: &dyn Progress) -> Result<StackInfo, StackError> {
    let name = paths.network();
    for tried in 1..=TRIES {
        create(docker, paths, None).await?;
        let chosen = docker.inspect_network(&name, None).await.map_err(DockerError::from);
        docker.remove_network(&name).await.map_err(DockerError::from)?;
        let (subnet, gateway) = subnet(&chosen?).ok_or_else(|| StackError::Subnet(name.clone()))?;
        let layout = Layout::of(subnet).ok_or_else(|| StackError::Subnet(name.clone()))?;
        let config = IpamConfig {
            subnet: Some(subnet.to_string()),
            gateway: Some(gateway.to_string()),
            ip_range: Some(layout.lower.to_string()),
            ..IpamConfig::default()
        };
        match create(docker, paths, Some(config)).await {
            Ok(()) => return find(docker, paths).await?.ok_or(StackError::Subnet(name)),
            // Somebody may have taken it in between, which each release of the engine says in other words.
            Err(error) if tried < TRIES => {
                progress.step(&format!("Subnet {subnet} can't be had ({error}); choosing another"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StackError::Subnet(name))
}

async fn create(docker: &Docker, paths: &Paths, config: Option<IpamConfig>) -> Result<(), DockerError> {
    let labels = HashMap::from([
        ("clawker.role".to_owned(), "network".to_owned()),
        ("clawker.instance".to_owned(), paths.instance_label()),
        ("clawker.owner".to_owned(), nix::unistd::geteuid().to_string()),
        ("clawker.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let ipam = config.map(|config| Ipam { config: Some(vec![config]), ..Ipam::default() });
    let request = NetworkCreateRequest {
        name: paths.network(),
        driver: Some("bridge".to_owned()),
        labels: Some(labels),
        ipam,
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await?;
    Ok(())
}

/// Removes it; false where something is still on it.
pub async fn remove(docker: &Docker, paths: &Paths) -> Result<bool, StackError> {
    if find(docker, paths).await?.is_none() {
        return Ok(true);
    }
    match docker.remove_network(&paths.network()).await.map_err(DockerError::from) {
        Ok(()) => Ok(true),
        Err(error) if error.status() == Some(403) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_fixed_address_is_one_that_docker_hands_out() {
        for text in ["172.20.0.0/16", "192.168.16.0/20", "10.1.2.0/24", "10.1.2.64/26"] {
            let subnet: Ipv4Net = text.parse().unwrap();
            let layout = Layout::of(subnet).unwrap();
            let mut fixed = vec![layout.envoy(), layout.coredns()];
            fixed.extend(layout.agents());
            assert!(
                fixed.iter().all(|address| subnet.contains(address) && !layout.lower.contains(address)),
                "{text}"
            );
            assert!(fixed.iter().all(|address| *address != subnet.broadcast()), "{text}");
            let count = fixed.len();
            fixed.sort_unstable();
            fixed.dedup();
            assert_eq!(fixed.len(), count, "{text}");
        }
        assert_eq!(Layout::of("10.0.0.0/27".parse().unwrap()), None);
    }
}
