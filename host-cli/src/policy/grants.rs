//! Rules that end by themselves. They stand beside the lasting ones and never among them: what only lasts for a while is
//! in no table that a lasting listener is made of.

use std::collections::BTreeSet;

use super::{Action, Dst, Policy, Proto, Rule, is_final};

/// How closely a destination names: larger is closer.
fn closeness(dst: &Dst) -> usize {
    match dst {
        Dst::Name(_) => usize::MAX,
        Dst::Below(name) => name.len(),
        Dst::Net(_) => 0,
    }
}

impl Policy {
    /// The grants: the closest first, of those alike the one that lasts longest.
    pub fn grants(&self) -> Vec<&Rule> {
        let mut grants: Vec<&Rule> = self.rules.iter().filter(|rule| rule.expires.is_some()).collect();
        grants
            .sort_by_cached_key(|rule| (std::cmp::Reverse((closeness(&rule.dst), rule.expires)), rule.key()));
        grants
    }

    /// The grant that lets a destination through where no lasting rule does: the closest one that covers it, unless a
    /// lasting rule as close or closer denies, or a user's does.
    pub fn granted(&self, dst: &Dst, proto: Proto, port: u16) -> Option<&Rule> {
        let text = dst.to_string();
        let here = |rule: &&Rule| rule.proto == proto && rule.ports.contains(port) && rule.dst.covers(&text);
        let grant = self.grants().into_iter().find(here)?;
        if self.final_denies(proto, port).any(|rule| rule.dst.covers(&text)) {
            return None;
        }
        let lasting = self.decide_dst(dst, proto, port).and_then(|decision| self.rule_of(decision));
        match lasting {
            Some(rule) if rule.action == Action::Allow || closeness(&rule.dst) >= closeness(&grant.dst) => {
                None
            }
            _ => Some(grant),
        }
    }

    /// A lasting rule that makes a grant pointless or forbids it: one that lets something at the same port through, in
    /// any protocol, or one that denies exactly that. Or another grant, over another protocol.
    pub fn stands_against(&self, grant: &Rule) -> Option<&Rule> {
        let text = grant.dst.to_string();
        let protos = [Proto::Tls, Proto::Http, Proto::Ssh, Proto::Tcp];
        let lasting = grant.each_port().find_map(|port| {
            self.final_denies(grant.proto, port).find(|rule| rule.dst.covers(&text)).or_else(|| {
                protos
                    .into_iter()
                    .filter_map(|proto| self.rule_of(self.decide_dst(&grant.dst, proto, port)?))
                    .find(|rule| match rule.action {
                        Action::Allow => true,
                        Action::Deny => rule.proto == grant.proto && rule.dst == grant.dst,
                    })
            })
        });
        let overlaps = |other: &&Rule| {
            other.dst == grant.dst
                && other.proto != grant.proto
                && other.each_port().any(|port| grant.ports.contains(port))
        };
        lasting.or_else(|| self.grants().into_iter().find(overlaps))
    }

    /// The names and wildcards below a grant's wildcard that lasting rules are about: each has an address of its own, or
    /// none.
    pub fn below(&self, grant: &Rule, port: u16) -> BTreeSet<String> {
        let own = grant.dst.to_string();
        let lasting = self.names(grant.proto, port).into_keys().map(str::to_owned);
        let denied = self.final_denies(grant.proto, port).map(|rule| rule.dst.to_string());
        lasting.chain(denied).filter(|text| *text != own && grant.dst.covers(text)).collect()
    }

    /// The user's denies, which no other rule opens.
    fn final_denies(&self, proto: Proto, port: u16) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| {
            is_final(rule) && (rule.everywhere || (rule.proto == proto && rule.ports.contains(port)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawRule;
    use crate::policy::Layer;

    fn rule(text: &str) -> Rule {
        let words: Vec<&str> = text.split(' ').collect();
        let raw = RawRule {
            dst: words[1].to_owned(),
            proto: Some(words[2].to_owned()),
            port: words.get(3).map(|port| port.parse().unwrap()),
            action: Some(words[0].replace("grant", "allow").replace("never", "deny")),
            ..RawRule::default()
        };
        let layer = match words[0] {
            "grant" => Layer::Cli,
            "never" => Layer::User,
            _ => Layer::Project,
        };
        let expires = words.get(4).and_then(|end| end.parse().ok()).or(Some(9));
        Rule { expires: expires.filter(|_| words[0] == "grant"), ..Rule::parse(&raw, layer, text).unwrap() }
    }

    fn policy(rules: &[&str]) -> Policy {
        Policy::new(rules.iter().map(|text| rule(text))).unwrap()
    }

    #[test]
    fn a_grant_decides_only_where_no_lasting_rule_does() {
        let policy = policy(&[
            "allow .good.test tls",
            "deny .test http",
            "deny evil.wide.test tls",
            "deny .deep.wide.test tls",
            "deny shut.test tls",
            "never no.wide.test tls",
            "never nowhere.test tls 8443",
            "grant a.good.test tls",
            "grant .wide.test tls",
            "grant once.test http",
            "grant shut.test tls",
            "grant nowhere.test tls 8443",
            "grant nowhere.test tls 8444",
        ]);
        for (name, proto, expected) in [
            ("a.good.test", Proto::Tls, None),
            ("wide.test", Proto::Tls, Some(".wide.test")),
            ("x.wide.test", Proto::Tls, Some(".wide.test")),
            ("x.wide.test", Proto::Http, None),
            ("evil.wide.test", Proto::Tls, None),
            ("x.deep.wide.test", Proto::Tls, None),
            ("evilwide.test", Proto::Tls, None),
            ("once.test", Proto::Http, Some("once.test")),
            ("shut.test", Proto::Tls, None),
            ("no.wide.test", Proto::Tls, None),
        ] {
            let port = proto.default_port().unwrap();
            let granted = policy.granted(&Dst::parse(name).unwrap(), proto, port);
            assert_eq!(granted.map(|rule| rule.dst.to_string()).as_deref(), expected, "{name}");
            let lasting = policy.decide(name, proto, port).is_some_and(|rule| rule.action == Action::Allow);
            assert_eq!(lasting, name == "a.good.test", "{name}: a grant stands among the lasting rules");
            let request = crate::policy::Request { host: name, proto, port, http: None };
            let opens = policy.judge(&request).action() == Action::Allow;
            assert_eq!(opens, lasting || expected.is_some(), "{name}");
        }
        let nowhere = Dst::parse("nowhere.test").unwrap();
        assert_eq!(policy.granted(&nowhere, Proto::Tls, 8443), None);
        assert!(policy.granted(&nowhere, Proto::Tls, 8444).is_some(), "positive control");
        let wide = policy.granted(&Dst::parse("wide.test").unwrap(), Proto::Tls, 443).unwrap();
        let below = policy.below(wide, 443);
        assert_eq!(below, [".deep.wide.test", "evil.wide.test", "no.wide.test"].map(str::to_owned).into());
    }

    #[test]
    fn what_is_open_for_good_or_denied_by_name_can_not_be_granted() {
        let policy = policy(&[
            "allow .good.test tls",
            "deny shut.test tls",
            "deny .broad.test tls",
            "allow h.test http 443",
            "never .user.test tls",
            "grant g.test http 8000-8010",
        ]);
        for (grant, against) in [
            ("grant a.good.test tls", Some(".good.test")),
            ("grant .a.good.test tls", Some(".good.test")),
            ("grant api.anthropic.com tls", Some("api.anthropic.com")),
            ("grant shut.test tls", Some("shut.test")),
            ("grant h.test tls", Some("h.test")),
            ("grant a.user.test tls", Some(".user.test")),
            ("grant g.test tls 8005", Some("g.test")),
            ("grant g.test http 8005", None),
            ("grant a.good.test http", None),
            ("grant a.broad.test tls", None),
            ("grant new.test tcp 5432", None),
        ] {
            let found = policy.stands_against(&rule(grant)).map(|rule| rule.dst.to_string());
            assert_eq!(found.as_deref(), against, "{grant}");
        }
    }

    #[test]
    fn the_closest_grant_counts_and_of_two_alike_the_longer() {
        let mut twice = vec![rule("grant a.wide.test tls 443 5"), rule("grant .wide.test tls 443 7")];
        twice.push(Rule { layer: Layer::Agent, expires: Some(6), ..twice[0].clone() });
        let policy = Policy::new(twice).unwrap();
        let end = |name: &str| policy.granted(&Dst::parse(name).unwrap(), Proto::Tls, 443).unwrap().expires;
        assert_eq!((end("a.wide.test"), end("b.wide.test")), (Some(6), Some(7)));
    }
}
