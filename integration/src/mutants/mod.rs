//! The mutation test of the rules: init is built so that its rules can have one fault, and `clawker prove` must find
//! every such fault. A list has what found it, which makes the next run quick, and a reason for each fault that nothing
//! can find.

pub mod known;
pub mod place;

use std::collections::BTreeSet;

use serde_json::Value;

use known::Known;

/// A fault and the rule that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its name, as init has it.
    pub id: String,
    /// The rule.
    pub text: String,
}

/// Reads what `clawker-init mutants` prints.
pub fn parse(list: &str) -> Vec<Mutant> {
    let lines = list.lines().filter_map(|line| line.split_once('\t'));
    lines.map(|(id, text)| Mutant { id: id.to_owned(), text: text.to_owned() }).collect()
}

/// What a run of `clawker prove` said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// All held.
    Held,
    /// These leaked, or could not be proven while nothing leaked.
    Found(BTreeSet<String>),
    /// There was no twin to attack: the fault lets no container start.
    NoTwin(String),
}

impl Said {
    /// Of the exit code, and what was written to stdout and stderr.
    pub fn of(code: Option<i32>, stdout: &[u8], stderr: &str) -> Self {
        let Ok(report) = serde_json::from_slice::<Value>(stdout) else {
            return Self::NoTwin(stderr.lines().last().unwrap_or_default().to_owned());
        };
        if code == Some(0) {
            return Self::Held;
        }
        let attacks = report["attacks"].as_array().cloned().unwrap_or_default();
        let with = |word: &str| {
            attacks.iter().filter(move |one| one["verdict"] == word).cloned().collect::<Vec<_>>()
        };
        let name = |one: &Value| one["id"].as_str().unwrap_or_default().to_owned();
        let leaked: BTreeSet<String> = with("leaked").iter().map(name).collect();
        if !leaked.is_empty() {
            return Self::Found(leaked);
        }
        Self::Found(with("not_proven").iter().map(|one| need(one).unwrap_or_else(|| name(one))).collect())
    }

    /// In one line.
    pub fn words(&self) -> String {
        match self {
            Self::Held => "all held".to_owned(),
            Self::Found(by) => by.iter().cloned().collect::<Vec<_>>().join(","),
            Self::NoTwin(why) => format!("no twin: {why}"),
        }
    }
}

/// What has to work and did not, where that is why an attack is not proven.
fn need(attack: &Value) -> Option<String> {
    let detail = attack["detail"].as_str()?.strip_prefix("what has to work did not: ")?;
    Some(detail.split(':').next()?.to_owned())
}

/// What is wrong with what a run said of a fault; `None` where all is as the list has it.
pub fn wrong(said: &Said, known: Option<&Known>) -> Option<String> {
    match (said, known) {
        (Said::Held, Some(Known::Reason(_))) | (Said::NoTwin(_), Some(Known::NoTwin)) => None,
        (Said::Found(_) | Said::NoTwin(_), None) | (Said::Found(_), Some(Known::By(_))) => None,
        (Said::Held, _) => Some("nothing found it, and no reason is listed".to_owned()),
        (said, Some(Known::Reason(_))) => {
            Some(format!("a reason is listed, and it was found: {}", said.words()))
        }
        (said, _) => Some(format!("the list has something else: {}", said.words())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: i32, attacks: &str) -> Said {
        Said::of(Some(code), format!(r#"{{"attacks":[{attacks}]}}"#).as_bytes(), "")
    }

    #[test]
    fn a_leak_says_more_than_what_is_not_proven() {
        let unproven = r#"{"id":"dns-udp","verdict":"not_proven","detail":"what has to work did not: need-tls: TLS: why"}"#;
        let leaked = r#"{"id":"ip-udp","verdict":"leaked","detail":""}"#;
        let of = |names: &[&str]| Said::Found(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(said(3, unproven), of(&["need-tls"]));
        assert_eq!(said(1, &format!("{unproven},{leaked}")), of(&["ip-udp"]));
        assert_eq!(said(0, ""), Said::Held);
        assert_eq!(Said::of(Some(3), b"", "a\nb"), Said::NoTwin("b".to_owned()));
    }

    #[test]
    fn a_reason_and_a_find_exclude_each_other() {
        let (by, reason) = (Known::By("ip-udp".into()), Known::Reason("why".into()));
        let found = Said::Found(["ip-udp".to_owned()].into());
        for (said, known, fine) in [
            (&Said::Held, Some(&reason), true),
            (&Said::Held, Some(&by), false),
            (&Said::Held, None, false),
            (&found, Some(&by), true),
            (&found, Some(&reason), false),
            (&found, None, true),
        ] {
            assert_eq!(wrong(said, known).is_none(), fine, "{said:?} {known:?}");
        }
    }
}
