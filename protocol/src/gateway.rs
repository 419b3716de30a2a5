//! What the gateway may dial: the boot config of the init that Envoy runs under, and the part of it that changes while
//! Envoy runs. Public addresses are always open to it and stand nowhere here; see [`crate::ranges`].

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use crate::boot::{InvalidBoot, Run, is_secret_hash, versioned};
use crate::ranges;

/// The version of the gateway config's form. Init refuses any other.
pub const VERSION: u32 = 1;

/// `/run/clawker/host/gateway.json`. An unknown field is an error: it could have narrowed something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// [`VERSION`].
    pub v: u32,
    /// What may be dialled besides public addresses.
    pub gateway: Gateway,
    /// SHA-256 of the control secret, in hex.
    pub secret_sha256: String,
    /// Envoy, and as whom it runs: the owner of the state, who may be root on the host and has no capability here.
    pub run: Run,
}

/// What the gateway may dial besides public addresses, and on which network it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// clawker-net: TCP comes in from it, and nothing of it is ever dialled.
    pub subnet: Ipv4Net,
    /// Resolvers of listed names, also private ones: port 53 of exactly these.
    #[serde(default)]
    pub resolvers: Vec<Ipv4Addr>,
    /// What single rules open.
    #[serde(default)]
    pub private: Vec<Private>,
}

/// Addresses that are not public and that one rule's connections may go to by TCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Private {
    /// The TOS byte of the rule's connections: its six bits of DSCP, with those of ECN 0.
    pub tos: u8,
    /// Where they may go. What [`ranges`] never opens stays shut, as does clawker-net.
    pub nets: Vec<IpNet>,
}

impl Private {
    /// Whether `tos` can tell a rule's connections from all others: 4, 8, up to 252.
    pub fn is_tos(tos: u8) -> bool {
        tos != 0 && tos.is_multiple_of(4)
    }
}

impl Gateway {
    /// What in it must never be put into force; `None` when it is sound. Asked at the start and at every change.
    pub fn mistake(&self) -> Option<&'static str> {
        let nobody = |address: &Ipv4Addr| {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
        };
        if self.subnet.prefix_len() == 0 || self.subnet != self.subnet.trunc() {
            Some("the subnet is none")
        } else if self.resolvers.iter().any(nobody) {
            Some("a resolver's address is not one of a host")
        } else if self.private.iter().any(|private| !Private::is_tos(private.tos)) {
            Some("a TOS byte is not one of 4, 8, up to 252")
        } else {
            None
        }
    }

    /// Whether connections with this TOS byte may go to an address that is not public.
    pub fn opens(&self, tos: u8, address: IpAddr) -> bool {
        let own = matches!(address, IpAddr::V4(address) if self.subnet.contains(&address));
        !own && !ranges::is_never_open(address)
            && self
                .private
                .iter()
                .any(|private| private.tos == tos && private.nets.iter().any(|net| net.contains(&address)))
    }
}

impl GatewayConfig {
    /// Reads a gateway config and checks every value that could weaken the fence.
    ///
    /// # Errors
    /// [`InvalidBoot`]: Envoy must not be started then.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidBoot> {
        let config: Self = versioned(bytes, VERSION)?;
        let mistake = config.run.mistake().or_else(|| config.gateway.mistake());
        let secret = "secret_sha256 is not 64 hex digits";
        match mistake.or((!is_secret_hash(&config.secret_sha256)).then_some(secret)) {
            Some(what) => Err(InvalidBoot::Value(what)),
            None => Ok(config),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(changes: &[(&str, &str)]) -> String {
        let mut text = format!(
            r#"{{"v":1,"gateway":{{"subnet":"172.20.0.0/16","resolvers":["1.1.1.2"],
            "private":[{{"tos":4,"nets":["10.0.0.0/8","fd00::/8"]}}]}},"secret_sha256":"{}",
            "run":{{"uid":0,"gid":0,"command":["envoy"]}}}}"#,
            "0".repeat(64)
        );
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        text
    }

    #[test]
    fn the_owner_of_the_state_may_be_root() {
        let config = GatewayConfig::parse(text(&[]).as_bytes()).unwrap();
        assert_eq!((config.run.uid, config.gateway.private[0].tos), (0, 4));
    }

    #[test]
    fn what_would_weaken_the_fence_is_refused() {
        for change in [
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\":1,\"unknown\":true"),
            ("\"tos\":4", "\"tos\":0"),
            ("\"tos\":4", "\"tos\":5"),
            ("\"tos\":4", "\"tos\":256"),
            ("\"tos\":4", "\"tos\":4,\"ports\":[]"),
            ("10.0.0.0/8", "10.0.0.0/33"),
            ("172.20.0.0/16", "172.20.0.1/16"),
            ("172.20.0.0/16", "0.0.0.0/0"),
            ("1.1.1.2", "127.0.0.53"),
            ("1.1.1.2", "0.0.0.0"),
            ("\"000", "\"xyz"),
            ("[\"envoy\"]", "[]"),
        ] {
            assert!(GatewayConfig::parse(text(&[change]).as_bytes()).is_err(), "{change:?}");
        }
    }

    #[test]
    fn a_rule_opens_its_nets_for_its_own_connections_and_never_what_nothing_opens() {
        let everything = [("10.0.0.0/8", "0.0.0.0/0"), ("fd00::/8", "::/0")];
        let Gateway { subnet, resolvers, private } =
            GatewayConfig::parse(text(&everything).as_bytes()).unwrap().gateway;
        let gateway = Gateway { subnet, resolvers, private };
        for (tos, address, opens) in [
            (4, "10.1.2.3", true),
            (8, "10.1.2.3", false),
            (4, "172.16.0.1", true),
            (4, "172.20.0.1", false),
            (4, "127.0.0.1", false),
            (4, "169.254.169.254", false),
            (4, "224.0.0.1", false),
            (4, "fd00::1", true),
            (4, "::1", false),
            (4, "::ffff:10.1.2.3", false),
            (4, "fe80::1", false),
        ] {
            assert_eq!(gateway.opens(tos, address.parse().unwrap()), opens, "{tos} {address}");
        }
    }
}
