//! What ends by itself gets listeners of its own, to which nothing leads but its virtual addresses, each with its end.
//! In a listener that is shared, or that a port leads to, its name would be let through after its end to whoever
//! dials another address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use clawker_protocol::enforcement::Service;

use super::door::{self, Dial, Door};
use super::{Judged, Plan, Stream};
use crate::alloc::{Alloc, AllocError};
use crate::policy::{Action, Decision, Dst, Policy, Rule};

/// A grant's port with its listener.
#[derive(Debug, Clone, Copy)]
pub struct Granted<'a> {
    rule: &'a Rule,
    port: u16,
    listener: u16,
}

/// All grants of a policy, the closest first; of several alike the one that lasts longest.
///
/// # Errors
/// [`AllocError::Ports`].
pub fn of<'a>(policy: &'a Policy, id: &str, alloc: &mut Alloc) -> Result<Vec<Granted<'a>>, AllocError> {
    let mut granted = Vec::new();
    let mut taken = BTreeSet::new();
    for rule in policy.grants() {
        for port in rule.each_port() {
            // No name holds a space.
            let listener = alloc.listener(id, rule.proto, Some(&format!("grant {}", rule.dst)), port)?;
            if taken.insert(listener) {
                granted.push(Granted { rule, port, listener });
            }
        }
    }
    Ok(granted)
}

/// Where a destination leads for a while, at ports to which it does not lead for good.
pub fn services(
    granted: &[Granted<'_>],
    policy: &Policy,
    dst: &Dst,
    lasting: &BTreeMap<u16, u16>,
) -> BTreeMap<u16, (u16, Option<u64>)> {
    let mut services = BTreeMap::new();
    for one in granted.iter().filter(|one| !lasting.contains_key(&one.port)) {
        if policy.granted(dst, one.rule.proto, one.port) == Some(one.rule) {
            services.entry(one.port).or_insert((one.listener, one.rule.expires));
        }
    }
    services
}

/// As init is told of them.
pub fn timed(
    address: Ipv4Addr,
    services: BTreeMap<u16, (u16, Option<u64>)>,
) -> impl Iterator<Item = Service> {
    services.into_iter().map(move |(port, (listener, expires))| Service { address, port, listener, expires })
}

impl Plan {
    /// Adds the listeners of the grants: no port leads to one of them.
    pub(super) fn grant_listeners(
        &mut self,
        granted: &[Granted<'_>],
        policy: &Policy,
        alloc: &mut Alloc,
    ) -> Result<(), AllocError> {
        for Granted { rule, port, listener } in granted.iter().copied() {
            let proto = rule.proto;
            // By itself: it is no one's decision but its own.
            let own = Decision::of(0, rule);
            if !proto.carries_its_name() {
                let dial = Dial { private: door::private(&own.private, alloc)?, name: None };
                self.streams.push(Stream { proto, name: rule.dst.to_string(), port, listener, dial });
                continue;
            }
            let mut judged = Judged { proto, port, listener, exact: BTreeMap::new(), below: Vec::new() };
            let mut put = |text: &str, door: Door| match text.strip_prefix('.') {
                None => drop(judged.exact.insert(text.to_owned(), door)),
                Some(name) => judged.below.push((name.to_owned(), door)),
            };
            // What lasting rules name below a wildcard is theirs, be it open or denied.
            for text in policy.below(rule, port) {
                put(&text, Door { action: Action::Deny, inspect: false, paths: None, dial: Dial::default() });
            }
            let text = rule.dst.to_string();
            put(&text, Door::of(&own, text.strip_prefix('.'), alloc)?);
            judged.below.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
            self.judged.push(judged);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::RawRule;
    use crate::plan::Owner;
    use crate::policy::{Layer, Proto};

    /// Rules as `allow|deny|grant DST PROTO [PORT]`; a grant ends at 9.
    fn plan(rules: &[&str]) -> Plan {
        let rules = rules.iter().map(|text| {
            let mut words = text.split(' ').map(str::to_owned);
            let (action, dst, proto) = (words.next().unwrap(), words.next().unwrap(), words.next());
            let port = words.next().map(|port| port.parse().unwrap());
            let expires = (action == "grant").then_some(9);
            let layer = if expires.is_some() { Layer::Cli } else { Layer::Project };
            let action = Some(action.replace("grant", "allow"));
            let raw = RawRule { dst, proto, port, action, ..RawRule::default() };
            Rule { expires, ..Rule::parse(&raw, layer, *text).unwrap() }
        });
        let policy = Policy::new(rules).unwrap();
        let owner = Owner { id: "0a1b2c3d", project_dir: "/p".as_ref(), upstream_dns: &[], extra_ca_pem: "" };
        Plan::new(owner, &policy, &mut Alloc::default()).unwrap()
    }

    fn leads(plan: &Plan, name: &str, port: u16) -> Option<(u16, Option<u64>)> {
        let address = plan.zone.iter().find(|answer| answer.name == name)?.address?;
        let found = plan.services.iter().find(|one| one.address == address && one.port == port)?;
        Some((found.listener, found.expires))
    }

    const RULES: [&str; 9] = [
        "allow lasting.test tls",
        "allow .lent.test tls",
        "allow api.wide.test http",
        "deny evil.wide.test tls",
        "grant once.test tls",
        "grant a.lent.test tls 8443",
        "grant db.test tcp 5432",
        "grant web.test http",
        "grant .wide.test tls",
    ];

    #[test]
    fn nothing_but_a_timed_service_leads_to_what_ends_by_itself() {
        let plan = plan(&RULES);
        let timed: BTreeSet<u16> =
            plan.services.iter().filter(|one| one.expires.is_some()).map(|one| one.listener).collect();
        assert_eq!(timed.len(), 5);
        assert!(
            plan.port_routes.iter().all(|route| !timed.contains(&route.listener)),
            "{:?}",
            plan.port_routes
        );
        assert!(plan.services.iter().all(|one| one.expires.is_some() == timed.contains(&one.listener)));
        let granted = ["once.test", "a.lent.test", "db.test", "web.test", "wide.test"];
        for judged in plan.judged.iter().filter(|one| !timed.contains(&one.listener)) {
            let names = judged.exact.keys().chain(judged.below.iter().map(|(name, _)| name));
            assert!(names.clone().all(|name| !granted.contains(&name.as_str())), "{judged:?}");
        }
        assert!(plan.port_routes.iter().all(|route| !route.ports.contains(8443)));
        let text = format!(
            r#"{{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":1,"open_dns_port":2,
                "services":{},"port_routes":{}}}"#,
            serde_json::to_string(&plan.services).unwrap(),
            serde_json::to_string(&plan.port_routes).unwrap()
        );
        let enforcement: clawker_protocol::enforcement::Enforcement = serde_json::from_str(&text).unwrap();
        assert_eq!(enforcement.mistake(), None, "init would refuse it");
    }

    #[test]
    fn what_is_granted_lets_through_its_own_name_and_keeps_what_is_denied_below_it() {
        let plan = plan(&RULES);
        let judge = |name: &str, port: u16| {
            let (listener, expires) = leads(&plan, name, port).unwrap();
            assert_eq!(expires, Some(9), "{name}");
            plan.judged.iter().find(|one| one.listener == listener)
        };
        let lets = |judged: &Judged| {
            let exact = judged.exact.iter().map(|(name, door)| (name.clone(), door.action));
            let below = judged.below.iter().map(|(name, door)| (format!(".{name}"), door.action));
            exact.chain(below).map(|(name, action)| format!("{} {name}", action.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(lets(judge("once.test", 443).unwrap()), ["allow once.test"]);
        assert_eq!(judge("web.test", 80).unwrap().proto, Proto::Http);
        assert!(judge("db.test", 5432).is_none());
        assert!(plan.streams.iter().any(|stream| stream.name == "db.test"));
        let wide = judge("*.wide.test", 443).unwrap();
        assert_eq!(lets(wide), ["deny evil.wide.test", "allow .wide.test"]);
        assert_eq!(judge("api.wide.test", 443), Some(wide), "a wildcard lends its time, too");
        assert_eq!(leads(&plan, "evil.wide.test", 443), None);
        // What lasts at another port of the same name goes on lasting.
        assert_eq!(leads(&plan, "a.lent.test", 443).unwrap().1, None);
        assert_eq!(leads(&plan, "a.lent.test", 8443).unwrap().1, Some(9));
    }

    #[test]
    fn what_lasts_is_the_same_with_grants_and_without() {
        let (with, without) = (plan(&RULES), plan(RULES.get(..4).unwrap()));
        let lasting = |plan: &Plan| {
            let lasting: Vec<(u16, u16)> = plan
                .services
                .iter()
                .filter(|one| one.expires.is_none())
                .map(|one| (one.port, one.listener))
                .collect();
            let shared: Vec<Judged> = plan
                .judged
                .iter()
                .filter(|one| lasting.iter().any(|(_, at)| *at == one.listener))
                .cloned()
                .collect();
            (shared, plan.port_routes.clone())
        };
        assert_eq!(lasting(&with), lasting(&without));
    }
}
