//! What Envoy may dial, put where the init that it runs under reads it at its start, and told to that init while it
//! runs. Nothing here reaches Envoy itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use clawker_protocol::boot::Run;
use clawker_protocol::control::{Op, Response};
use clawker_protocol::gateway::{Gateway, GatewayConfig, Private, VERSION};
use clawker_protocol::secret;
use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::GatewayError;
use crate::paths::Paths;
use crate::plan::Plan;
use crate::{agent, control, envoy, store};

/// What all policies together need: their resolvers, and the private space of single rules by the byte that their
/// connections carry.
pub fn dials(plans: &[Plan], subnet: Ipv4Net) -> Gateway {
    let resolvers = plans.iter().flat_map(|plan| plan.upstream_dns.iter().copied());
    let private = plans.iter().flat_map(Plan::dials).filter_map(|dial| dial.private.as_ref());
    let nets = private.flat_map(|private| private.nets.iter().map(|net| (private.tos, *net)));
    gateway(subnet, resolvers, nets)
}

/// What either of two lets through: for the time in which Envoy goes from one to the other.
fn either(one: &Gateway, other: &Gateway) -> Gateway {
    let both = [one, other];
    let resolvers = both.into_iter().flat_map(|gateway| gateway.resolvers.iter().copied());
    let private = both.into_iter().flat_map(|gateway| &gateway.private);
    let nets = private.flat_map(|private| private.nets.iter().map(|net| (private.tos, *net)));
    gateway(other.subnet, resolvers, nets)
}

/// In order and each once, so that the same comes out of the same.
fn gateway(
    subnet: Ipv4Net,
    resolvers: impl Iterator<Item = Ipv4Addr>,
    nets: impl Iterator<Item = (u8, IpNet)>,
) -> Gateway {
    let mut private: BTreeMap<u8, BTreeSet<IpNet>> = BTreeMap::new();
    for (tos, net) in nets {
        private.entry(tos).or_default().insert(net.trunc());
    }
    let private = private.into_iter().map(|(tos, nets)| Private { tos, nets: nets.into_iter().collect() });
    let resolvers: BTreeSet<Ipv4Addr> = resolvers.collect();
    Gateway { subnet, resolvers: resolvers.into_iter().collect(), private: private.collect() }
}

/// What the host keeps of it. Never mounted anywhere.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// The control secret.
    secret: String,
}

/// The secret of the init around Envoy, made where there is none.
fn secret_of(paths: &Paths) -> Result<String, GatewayError> {
    let file = paths.gateway_record();
    if let Some(Record { secret }) = store::load(&file)? {
        return Ok(secret);
    }
    let secret = agent::new_secret().map_err(Box::new)?;
    store::save(&file, &Record { secret: secret.clone() })?;
    Ok(secret)
}

/// Writes what init reads at Envoy's next start, after reading it as init will.
///
/// # Errors
/// [`GatewayError`].
pub fn write(paths: &Paths, gateway: &Gateway) -> Result<(), GatewayError> {
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let config = GatewayConfig {
        v: VERSION,
        gateway: gateway.clone(),
        secret_sha256: secret::hash(&secret_of(paths)?),
        run: Run {
            uid,
            gid,
            command: envoy::command(),
            env: BTreeMap::new(),
            tty: false,
            session: false,
            userns: false,
            idmapped: None,
            groups: Vec::new(),
        },
    };
    let refused = |reason: String| GatewayError::Fence(reason);
    let bytes = serde_json::to_vec(&config).map_err(|error| refused(error.to_string()))?;
    GatewayConfig::parse(&bytes).map_err(|error| refused(error.to_string()))?;
    let file = paths.gateway_config();
    if std::fs::read(&file).ok().as_deref() != Some(bytes.as_slice()) {
        store::write_atomically(&file, &bytes, 0o600)?;
    }
    Ok(())
}

/// What was written last.
fn written(paths: &Paths) -> Option<Gateway> {
    let bytes = std::fs::read(paths.gateway_config()).ok()?;
    GatewayConfig::parse(&bytes).ok().map(|config| config.gateway)
}

/// Has the running init enforce it. The same again changes nothing and is confirmed all the same: a command that was
/// killed half-way may have left another one in force.
///
/// # Errors
/// [`GatewayError::NoFence`], or [`GatewayError::Fence`] with init's own words.
pub fn tell(paths: &Paths, gateway: &Gateway) -> Result<(), GatewayError> {
    let op = Op::Gateway { gateway: Box::new(gateway.clone()) };
    let answer = control::ask(&paths.gateway_dir(), &secret_of(paths)?, op).map_err(GatewayError::NoFence)?;
    match answer {
        Response { ok: true, .. } => Ok(()),
        Response { error, .. } => {
            let why = error.map(|error| error.message).unwrap_or_default();
            Err(GatewayError::Fence(crate::output::escape(&why)))
        }
    }
}

/// A change of what Envoy may dial, around the one of its files: first what either needs, so that nothing that is
/// allowed before and after is cut, then what is needed from now on.
#[derive(Debug)]
pub struct Change {
    before: Gateway,
    wanted: Gateway,
}

impl Change {
    /// Lets through what the new plans need, beside what the old ones do.
    ///
    /// # Errors
    /// [`GatewayError`]; as it was before, as far as init obeys.
    pub fn begin(paths: &Paths, plans: &[Plan], subnet: Ipv4Net) -> Result<Self, GatewayError> {
        let wanted = dials(plans, subnet);
        let before = written(paths).filter(|before| before.subnet == subnet);
        let change = Self { before: before.unwrap_or_else(|| wanted.clone()), wanted };
        match put(paths, &either(&change.before, &change.wanted)) {
            Ok(()) => Ok(change),
            Err(error) => {
                change.undo(paths);
                Err(error)
            }
        }
    }

    /// Takes away what only the old plans needed.
    ///
    /// # Errors
    /// [`GatewayError`]; [`Self::undo`] is the caller's.
    pub fn finish(&self, paths: &Paths) -> Result<(), GatewayError> {
        if either(&self.before, &self.wanted) == self.wanted { Ok(()) } else { put(paths, &self.wanted) }
    }

    /// Goes back to what was. Best effort: what is in the way of it is being reported already.
    pub fn undo(&self, paths: &Paths) {
        let _ = put(paths, &self.before);
    }
}

/// For now, and for the next start.
fn put(paths: &Paths, gateway: &Gateway) -> Result<(), GatewayError> {
    write(paths, gateway)?;
    tell(paths, gateway)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    fn subnet() -> Ipv4Net {
        "172.20.0.0/16".parse().unwrap()
    }

    #[test]
    fn what_plans_need_is_their_resolvers_and_nothing_else() {
        let one = plan(&["allow web.test tls", "allow git.test ssh"]);
        let mut other = plan(&["allow plain.test http"]);
        other.upstream_dns.push([10, 0, 0, 53].into());
        let gateway = dials(&[other.clone(), one.clone()], subnet());
        assert_eq!(gateway, dials(&[one, other.clone()], subnet()), "the order of plans is none of rules");
        assert_eq!(gateway.resolvers.iter().filter(|one| **one == Ipv4Addr::new(10, 0, 0, 53)).count(), 1);
        assert!(other.upstream_dns.iter().all(|one| gateway.resolvers.contains(one)));
        assert_eq!((gateway.private, gateway.subnet), (vec![], subnet()));
        assert!(dials(&[], subnet()).resolvers.is_empty());
    }

    #[test]
    fn in_between_neither_loses_anything() {
        let of = |resolver: u8, nets: &[(u8, &str)]| {
            let nets = nets.iter().map(|(tos, net)| (*tos, net.parse().unwrap()));
            gateway(subnet(), [Ipv4Addr::new(10, 0, 0, resolver)].into_iter(), nets)
        };
        let (one, other) = (of(1, &[(4, "10.1.0.0/16")]), of(2, &[(4, "10.2.0.0/16"), (8, "10.3.0.1/16")]));
        let both = either(&one, &other);
        assert_eq!(both.resolvers.len(), 2);
        for (tos, address) in [(4, "10.1.0.1"), (4, "10.2.0.1"), (8, "10.3.0.1")] {
            assert!(both.opens(tos, address.parse().unwrap()), "{tos} {address}");
        }
        assert!(!both.opens(8, "10.1.0.1".parse().unwrap()));
        assert_eq!(either(&both, &one), both, "nothing is taken away twice");
        assert_eq!(both.mistake(), None);
    }
}
