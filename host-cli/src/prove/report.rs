//! What `clawker prove` prints: what did not hold first, then the families with their counts. Made of values alone.

use std::time::Duration;

use clawker_prove::catalogue::{Attack, Family};
use serde::Serialize;

use super::verdict::{Verdict, Word};
use crate::exit::{FAILED, NOT_PROVEN, OK};
use crate::output::{escape, table};

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// All together.
    pub counts: Counts,
    /// Each attack, by family.
    pub attacks: Vec<Line>,
}

/// An attack and what it came to.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The attack.
    #[serde(flatten)]
    pub attack: Attack,
    /// What it came to.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// How often each word fell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Attacks that held.
    pub held: usize,
    /// Attacks that leaked.
    pub leaked: usize,
    /// Attacks that were not shown to work.
    pub not_proven: usize,
    /// Attacks that there is nothing of here.
    pub not_applicable: usize,
}

impl Counts {
    fn of<'a>(lines: impl Iterator<Item = &'a Line>) -> Self {
        let mut counts = Self::default();
        for line in lines {
            match line.verdict.verdict {
                Word::Held => counts.held += 1,
                Word::Leaked => counts.leaked += 1,
                Word::NotProven => counts.not_proven += 1,
                Word::NotApplicable => counts.not_applicable += 1,
            }
        }
        counts
    }

    fn row(self, name: &str) -> Vec<String> {
        let numbers = [self.held, self.leaked, self.not_proven, self.not_applicable];
        std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())).collect()
    }
}

impl Report {
    /// Of a run's verdicts.
    pub fn new(verdicts: Vec<(&'static Attack, Verdict)>, took: Duration) -> Self {
        let mut attacks: Vec<Line> =
            verdicts.into_iter().map(|(attack, verdict)| Line { attack: *attack, verdict }).collect();
        attacks.sort_by_key(|line| line.attack.family);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { millis, counts: Counts::of(attacks.iter()), attacks }
    }

    /// The exit code. A run of no attack proves nothing.
    pub fn code(&self) -> u8 {
        match self.counts {
            Counts { leaked: 1.., .. } => FAILED,
            Counts { not_proven: 1.., .. } | Counts { held: 0, .. } => NOT_PROVEN,
            _ => OK,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for word in [Word::Leaked, Word::NotProven, Word::NotApplicable] {
            for line in self.attacks.iter().filter(|line| line.verdict.verdict == word) {
                let (word, detail) = (word.as_str().to_uppercase(), escape(&line.verdict.detail));
                text.push_str(&format!("{word} {}: {}: {detail}\n", line.attack.id, line.attack.title));
            }
        }
        if !text.is_empty() {
            text.push('\n');
        }
        let heading =
            ["FAMILY", "HELD", "LEAKED", "NOT PROVEN", "NOT APPLICABLE"].map(str::to_owned).to_vec();
        let mut rows = vec![heading];
        for family in Family::ALL {
            let own = || self.attacks.iter().filter(|line| line.attack.family == family);
            if own().next().is_some() {
                rows.push(Counts::of(own()).row(family.as_str()));
            }
        }
        rows.push(self.counts.row("all"));
        text.push_str(&table(&rows));
        text.push_str(&format!("\n{} attacks in {} s\n", self.attacks.len(), self.millis / 1000));
        text
    }
}

#[cfg(test)]
mod tests {
    use clawker_prove::catalogue::all;

    use super::*;

    fn report(verdicts: Vec<Verdict>) -> Report {
        Report::new(all().zip(verdicts).collect(), Duration::from_secs(61))
    }

    #[test]
    fn the_code_tells_the_worst() {
        let (held, leaked, unproven) = (Verdict::held("x"), Verdict::leaked("x"), Verdict::not_proven("x"));
        for (verdicts, code) in [
            (vec![held.clone(), held.clone()], OK),
            (vec![held.clone(), unproven.clone()], NOT_PROVEN),
            (vec![unproven, leaked, held], FAILED),
            (vec![], NOT_PROVEN),
        ] {
            assert_eq!(report(verdicts.clone()).code(), code, "{verdicts:?}");
        }
    }

    #[test]
    fn a_leak_is_told_first_and_can_not_steer_the_terminal() {
        let text =
            report(vec![Verdict::held(""), Verdict::not_proven("b"), Verdict::leaked("a\u{1b}[2J")]).text();
        assert!(text.starts_with("LEAKED ") && text.contains("a\\u{1b}[2J"), "{text}");
        assert!(text.find("LEAKED ").unwrap() < text.find("NOT PROVEN ").unwrap(), "{text}");
        assert!(text.ends_with("3 attacks in 61 s\n"), "{text}");
    }
}
