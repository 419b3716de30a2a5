//! Rule sets with one fault, made on purpose: what `clawker prove` must find. Only in builds with the feature `mutants`,
//! which no product has.
//!
//! A fault is named by whose rules, table, chain, rule's number and kind: `agent/clawker/output/3/drop`. A chain for
//! each interface counts as one chain, named without its number.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use super::expr::Step;
use super::rules::{Chain, Features, Interface, Ruleset, compile};
use super::uapi::NFPROTO_NETDEV;
use crate::boot::{self, BootError};
use crate::fence::{Opening, Policy};
use crate::grants::Running;

/// Names the fault of this process. A container's environment comes from its image, too.
pub const VARIABLE: &str = "CLAWKER_MUTANT";

/// What is done to a rule or, with `Falls`, to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The rule is not there.
    Drop,
    /// The rule is there without this step of its: it fits more than it should.
    Without(usize),
    /// The rule accepts what it refuses, and the other way round.
    Swap,
    /// The chain's policy is the other one.
    Falls,
}

/// One fault and what it is done to, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its name.
    pub id: String,
    /// The rule as nft writes it, or the chain's policy.
    pub text: String,
}

/// `clawker-init mutants CONFIG`: a line for each fault of the rules that a boot config leads to, its name first.
///
/// # Errors
/// When the file is no boot config, of an agent or of the gateway.
pub fn list(config: &Path) -> Result<String, BootError> {
    let policy = match boot::read_gateway_config(config) {
        Ok(config) => config.gateway.into(),
        Err(_) => boot::read_config(config)?.enforcement.into(),
    };
    let interface = Interface { index: 2, name: "eth0".to_owned() };
    let ruleset = compile(&policy, &Running::default(), Opening::Closed, &[interface], Features::ALL);
    let lines = all(&policy, &ruleset);
    Ok(lines.into_iter().map(|mutant| format!("{}\t{}\n", mutant.id, mutant.text)).collect())
}

/// All faults that a rule set of a policy can have.
pub fn all(policy: &Policy, ruleset: &Ruleset) -> Vec<Mutant> {
    let mut seen = BTreeSet::new();
    let mut mutants = Vec::new();
    for table in &ruleset.tables {
        for chain in &table.chains {
            let place = format!("{}/{}", whose(policy), place(table.family, table.name, chain));
            if !seen.insert(place.clone()) {
                continue;
            }
            for (number, rule) in chain.rules.iter().enumerate() {
                let text = rule.iter().map(Step::to_string).collect::<Vec<_>>().join(" ");
                let named = |how: &str| Mutant { id: format!("{place}/{number}/{how}"), text: text.clone() };
                mutants.push(named("drop"));
                if swapped(rule).is_some() {
                    mutants.push(named("swap"));
                }
                // What is left of a match must still be a rule of its own.
                let steps = rule.iter().enumerate().filter(|(at, step)| widens(rule, *at, step));
                mutants.extend(steps.map(|(at, _)| named(&format!("without-{at}"))));
            }
            if let Some(base) = chain.base.as_ref().filter(|base| base.drops) {
                let text = format!("priority {}; policy drop", base.priority);
                mutants.push(Mutant { id: format!("{place}/policy/falls"), text });
            }
        }
    }
    mutants
}

/// Puts the fault of this process into a rule set, if it has one and it is meant for this policy.
pub fn apply(policy: &Policy, ruleset: &mut Ruleset) {
    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var(VARIABLE).ok().filter(|name| !name.is_empty()));
    if let Some(wanted) = wanted {
        put(policy, ruleset, wanted);
    }
}

fn put(policy: &Policy, ruleset: &mut Ruleset, wanted: &str) {
    let Some((own, number, how)) = parse(wanted) else { panic!("no mutant is named {wanted}") };
    for table in &mut ruleset.tables {
        for chain in &mut table.chains {
            let place = format!("{}/{}", whose(policy), place(table.family, table.name, chain));
            if place != own {
                continue;
            }
            match (number.parse::<usize>(), how) {
                (_, Fault::Falls) => {
                    if let Some(base) = &mut chain.base {
                        base.drops = !base.drops;
                    }
                }
                (Ok(number), _) => break_rule(&mut chain.rules, number, how),
                (Err(_), _) => panic!("no mutant is named {wanted}"),
            }
        }
    }
}

/// A policy that is swapped for a longer one may not have the rule yet.
fn break_rule(rules: &mut Vec<Vec<Step>>, number: usize, how: Fault) {
    if number >= rules.len() {
        return;
    }
    match how {
        Fault::Drop => drop(rules.remove(number)),
        Fault::Without(step) if step < rules[number].len() => drop(rules[number].remove(step)),
        Fault::Swap => {
            if let Some(other) = swapped(&rules[number]) {
                rules[number] = other;
            }
        }
        Fault::Without(_) | Fault::Falls => {}
    }
}

fn parse(name: &str) -> Option<(&str, &str, Fault)> {
    let (rest, how) = name.rsplit_once('/')?;
    let (place, number) = rest.rsplit_once('/')?;
    let how = match how.split_once('-') {
        None if how == "drop" => Fault::Drop,
        None if how == "swap" => Fault::Swap,
        None if how == "falls" => Fault::Falls,
        Some(("without", step)) => Fault::Without(step.parse().ok()?),
        _ => return None,
    };
    Some((place, number, how))
}

fn whose(policy: &Policy) -> &'static str {
    match policy {
        Policy::Agent(_) => "agent",
        Policy::Gateway(_) => "gateway",
    }
}

fn place(family: u8, table: &str, chain: &Chain) -> String {
    let chain = chain.name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('-');
    let family = if family == NFPROTO_NETDEV { "netdev-" } else { "" };
    format!("{family}{table}/{chain}")
}

/// Whether a step is a match that can be left out of a rule which accepts.
fn widens(rule: &[Step], at: usize, step: &Step) -> bool {
    let accepts = rule.last().is_some_and(|last| *last == Step::Accept || *last == Step::Goto("accepted"));
    // A family and a protocol say how later steps read the packet: without them the kernel refuses the rule or reads
    // the same bytes of any packet.
    let reads = rule.len() > at + 2 && matches!(step, Step::Family(_) | Step::L4(_));
    accepts && at + 1 < rule.len() && !reads && !matches!(step, Step::SetMark(_))
}

/// The rule with the other verdict; only for verdicts that end the matter.
fn swapped(rule: &[Step]) -> Option<Vec<Step>> {
    let (last, matches) = rule.split_last()?;
    let other = match last {
        Step::Accept => Step::Drop,
        Step::Drop | Step::RejectWithReset => Step::Accept,
        Step::Goto("accepted") => Step::Drop,
        Step::Goto(refusal) if refusal.starts_with("refuse") => Step::Accept,
        _ => return None,
    };
    let mark = matches!(last, Step::Goto(_)) && other == Step::Accept;
    let mark = mark.then_some(Step::SetMark(super::rules::MARK));
    Some(matches.iter().cloned().chain(mark).chain([other]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> (Policy, Ruleset) {
        let enforcement = serde_json::from_value(serde_json::json!({
            "generation": 1, "envoy": "172.30.0.2", "coredns": "172.30.0.3", "dns_port": 5300,
            "open_dns_port": 5301,
        }));
        let policy = Policy::Agent(enforcement.unwrap());
        let lan = |index| Interface { index, name: format!("eth{index}") };
        let ruleset =
            compile(&policy, &Running::default(), Opening::Closed, &[lan(2), lan(3)], Features::ALL);
        (policy, ruleset)
    }

    #[test]
    fn every_fault_changes_the_rules_and_no_two_do_it_alike() {
        let (policy, whole) = rules();
        let mutants = all(&policy, &whole);
        let mut seen = vec![whole.render()];
        for mutant in &mutants {
            let mut broken = whole.clone();
            put(&policy, &mut broken, &mutant.id);
            let text = broken.render();
            assert!(!seen.contains(&text), "{}", mutant.id);
            seen.push(text);
        }
        let rules: BTreeSet<_> = mutants.iter().filter_map(|one| one.id.strip_suffix("/drop")).collect();
        assert!(rules.contains("agent/netdev-clawker-guard/egress/1"), "{rules:?}");
        assert!(mutants.len() > rules.len() * 3 / 2, "{}", mutants.len());
    }

    #[test]
    fn a_fault_is_nobody_else_s() {
        let (policy, whole) = rules();
        let mut broken = whole.clone();
        put(&policy, &mut broken, "gateway/clawker/output/0/drop");
        assert_eq!(broken, whole);
    }
}
