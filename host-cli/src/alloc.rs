//! Virtual addresses and ports, handed out once and never again for anything else: a process that remembers one can
//! at worst be refused, never led elsewhere.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use clawker_protocol::names::Name;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::lock::StateLock;
use crate::paths::Paths;
use crate::policy::{Dst, Proto};
use crate::store::{self, StoreError};

/// The first virtual address that is handed out, and the last (RFC 2544's range for benchmarks, 198.18.0.0/15).
const VIRTUAL: (u32, u32) = (0xc612_0001, 0xc613_fffe);
/// The first port in Envoy's and CoreDNS's containers.
const FIRST_PORT: u16 = 10_000;

/// Why nothing could be handed out.
#[derive(Debug, thiserror::Error)]
pub enum AllocError {
    /// 131,070 names were.
    #[error("All virtual addresses were handed out; stop all agents and remove {0} to begin anew")]
    Addresses(std::path::PathBuf),
    /// 55,536 listeners were.
    #[error("All ports were handed out; stop all agents and remove {0} to begin anew")]
    Ports(std::path::PathBuf),
    /// 63 private spaces were.
    #[error("63 different lists of private addresses are in use; write fewer (one list for many names)")]
    Private,
    /// The file can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All that was ever handed out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alloc {
    /// By name or `.name`.
    addresses: BTreeMap<String, Ipv4Addr>,
    /// Envoy's, by `policy proto name:port` (the name only where a listener is a name's own).
    listeners: BTreeMap<String, u16>,
    /// CoreDNS's, by policy, or by upstream for an open forwarder.
    dns: BTreeMap<String, u16>,
    /// Types of service that connections into private space carry, by that space.
    #[serde(default)]
    private: BTreeMap<String, u8>,
    /// The last number of a policy's generations, by policy.
    #[serde(default)]
    generations: BTreeMap<String, u64>,
    /// Where the file is, for errors.
    #[serde(skip)]
    path: std::path::PathBuf,
}

impl Alloc {
    /// What was handed out so far.
    ///
    /// # Errors
    /// [`AllocError`].
    pub fn load(paths: &Paths, _lock: &StateLock) -> Result<Self, AllocError> {
        let path = paths.allocations();
        let loaded: Option<Self> = store::load(&path)?;
        Ok(Self { path, ..loaded.unwrap_or_default() })
    }

    /// Puts it back. Must be done before anything that was handed out is used.
    ///
    /// # Errors
    /// [`AllocError`].
    pub fn save(&self, _lock: &StateLock) -> Result<(), AllocError> {
        Ok(store::save(&self.path, self)?)
    }

    /// The virtual address of a name or wildcard.
    ///
    /// # Errors
    /// [`AllocError::Addresses`].
    pub fn address(&mut self, dst: &Dst) -> Result<Ipv4Addr, AllocError> {
        let key = dst.to_string();
        if let Some(address) = self.addresses.get(&key) {
            return Ok(*address);
        }
        // As many as there are entries were handed out: none is ever taken back.
        let next = u32::try_from(self.addresses.len()).ok().and_then(|count| VIRTUAL.0.checked_add(count));
        let next = next.filter(|next| *next <= VIRTUAL.1);
        let address = next.map(Ipv4Addr::from).ok_or_else(|| AllocError::Addresses(self.path.clone()))?;
        self.addresses.insert(key, address);
        Ok(address)
    }

    /// The port of a policy's listener for all names of a protocol's port, or (with a name) for that name's alone.
    ///
    /// # Errors
    /// [`AllocError::Ports`].
    pub fn listener(
        &mut self,
        policy: &str,
        proto: Proto,
        name: Option<&str>,
        port: u16,
    ) -> Result<u16, AllocError> {
        let key = format!("{policy} {} {}:{port}", proto.as_str(), name.unwrap_or_default());
        hand_out(&mut self.listeners, key).ok_or_else(|| AllocError::Ports(self.path.clone()))
    }

    /// The type of service by which Envoy's connections into this space are told apart: a DSCP, whose two lower bits the
    /// kernel keeps for congestion (RFC 2474). 0 is everybody's.
    ///
    /// # Errors
    /// [`AllocError::Private`].
    pub fn private(&mut self, nets: &[IpNet]) -> Result<u8, AllocError> {
        let key = nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        if let Some(tos) = self.private.get(&key) {
            return Ok(*tos);
        }
        let next = u8::try_from(self.private.len() + 1).ok().filter(|number| *number < 64);
        let tos = next.ok_or(AllocError::Private)? << 2;
        self.private.insert(key, tos);
        Ok(tos)
    }

    /// CoreDNS's port for a policy.
    ///
    /// # Errors
    /// [`AllocError::Ports`].
    pub fn dns(&mut self, policy: &str) -> Result<u16, AllocError> {
        hand_out(&mut self.dns, policy.to_owned()).ok_or_else(|| AllocError::Ports(self.path.clone()))
    }

    /// A policy's next generation, above `last`. CoreDNS takes no zone whose serial it has already, so that a number
    /// that a change used is spent, also where the change was taken back.
    pub fn generation(&mut self, policy: &str, last: u64) -> u64 {
        let spent = self.generations.entry(policy.to_owned()).or_default();
        *spent = last.max(*spent) + 1;
        *spent
    }

    /// CoreDNS's port for an open forwarder to these resolvers.
    ///
    /// # Errors
    /// [`AllocError::Ports`].
    pub fn open_dns(&mut self, upstream: &[Ipv4Addr]) -> Result<u16, AllocError> {
        let upstream: Vec<String> = upstream.iter().map(Ipv4Addr::to_string).collect();
        self.dns(&format!("open {}", upstream.join(" ")))
    }
}

fn hand_out(ports: &mut BTreeMap<String, u16>, key: String) -> Option<u16> {
    if let Some(port) = ports.get(&key) {
        return Some(*port);
    }
    let port = u16::try_from(ports.len()).ok().and_then(|count| FIRST_PORT.checked_add(count))?;
    ports.insert(key, port);
    Some(port)
}

/// A policy's id: 8 hex digits of the project's folder, or of folder and agent for one with rules of its own.
pub fn policy_id(project_id: &str, dir: &std::path::Path, agent: Option<&Name>) -> String {
    match agent {
        None => project_id.to_owned(),
        Some(agent) => clawker_protocol::names::agent_id(dir.as_os_str().as_encoded_bytes(), agent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_handed_out_twice() {
        let mut alloc = Alloc::default();
        let (exact, below) = (Dst::parse("a.test").unwrap(), Dst::parse(".a.test").unwrap());
        let first = alloc.address(&exact).unwrap();
        assert_eq!(first, Ipv4Addr::new(198, 18, 0, 1));
        assert_ne!(alloc.address(&below).unwrap(), first);
        assert_eq!(alloc.address(&exact).unwrap(), first);
        let tls = alloc.listener("p", Proto::Tls, None, 443).unwrap();
        assert_ne!(alloc.listener("p", Proto::Tls, None, 8443).unwrap(), tls);
        assert_ne!(alloc.listener("q", Proto::Tls, None, 443).unwrap(), tls);
        assert_eq!(alloc.listener("p", Proto::Tls, None, 443).unwrap(), tls);
        assert_eq!([alloc.generation("p", 0), alloc.generation("p", 0)], [1, 2]);
        assert_eq!([alloc.generation("p", 7), alloc.generation("q", 2)], [8, 3]);
        let read: Alloc = serde_json::from_str(&serde_json::to_string(&alloc).unwrap()).unwrap();
        assert_eq!(read, alloc);
    }

    #[test]
    fn the_end_of_the_range_is_an_error_and_no_address() {
        let mut alloc = Alloc::default();
        for number in 0..131_070 {
            alloc.addresses.insert(number.to_string(), Ipv4Addr::UNSPECIFIED);
        }
        assert!(matches!(alloc.address(&Dst::parse("a.test").unwrap()), Err(AllocError::Addresses(_))));
        for number in 0..55_536 {
            alloc.dns.insert(number.to_string(), 0);
        }
        assert!(matches!(alloc.dns("p"), Err(AllocError::Ports(_))));
    }
}
