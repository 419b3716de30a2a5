//! From what was seen to a verdict. Pure: the sink's records decide, never what the attacker believes.

use clawker_prove::catalogue::{Arrival, Attack};
use clawker_prove::record::Record;
use clawker_prove::task::{End, Outcome};
use serde::Serialize;

/// The address of the host that is allowed and passed on unopened, and of the plain one: `fakenet`'s zone.
const ALLOWED: [&str; 3] = ["198.51.100.131", "198.51.100.132", "198.51.100.134"];

/// What became of one attack in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    succeeded: bool,
    impossible: bool,
    reported: bool,
    said: String,
}

impl Seen {
    /// From the attacker's report and what the sink recorded.
    pub fn new(attack: &Attack, outcome: Option<Outcome>, arrived: &[Record]) -> Self {
        let counted: Vec<&Record> = match attack.arrival {
            Arrival::Effect | Arrival::Untold | Arrival::Unmarked => Vec::new(),
            Arrival::Anywhere => arrived.iter().collect(),
            Arrival::Elsewhere => arrived.iter().filter(|record| !is_allowed(record)).collect(),
        };
        let effect = attack.arrival == Arrival::Effect;
        let done = outcome.as_ref().is_some_and(|outcome| outcome.end == End::Done);
        let said = match (counted.first(), &outcome) {
            (Some(record), _) => place(record),
            (None, Some(outcome)) => outcome.said.clone(),
            (None, None) => "the probe did not report".to_owned(),
        };
        Self {
            succeeded: if effect { done } else { !counted.is_empty() },
            impossible: outcome.as_ref().is_some_and(|outcome| outcome.end == End::Impossible),
            reported: outcome.is_some(),
            said,
        }
    }

    /// Of what somebody else has judged.
    pub fn of(succeeded: bool, impossible: bool, reported: bool, said: &str) -> Self {
        Self { succeeded, impossible, reported, said: said.to_owned() }
    }

    /// Whether it did not come to what it was for, and might.
    pub fn is_worth_another(&self) -> bool {
        !self.succeeded && !self.impossible
    }

    /// Whether it came to what it was for.
    pub fn succeeded(&self) -> bool {
        self.succeeded
    }

    /// Of what the host did itself.
    pub fn by_host(done: bool) -> Self {
        Self { succeeded: done, impossible: false, reported: true, said: "by the host".to_owned() }
    }
}

fn is_allowed(record: &Record) -> bool {
    let address = record.destination.rsplit_once(':').map_or(record.destination.as_str(), |(host, _)| host);
    ALLOWED.contains(&address)
}

/// Where a record came in, in words.
fn place(record: &Record) -> String {
    let kind = format!("{:?}", record.kind).to_lowercase();
    let parts = [&record.destination, &record.name, &record.what];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    format!("seen by the sink: {kind} {}", parts.join(" "))
}

/// What an attack comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The word.
    pub verdict: Word,
    /// Why, or what was seen.
    pub detail: String,
}

/// The four words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It succeeded against the twin.
    Leaked,
    /// It was not shown to work anywhere, so that its failure says nothing.
    NotProven,
    /// There is nothing of the kind here.
    NotApplicable,
    /// It works elsewhere, and not against the twin.
    Held,
}

impl Word {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leaked => "leaked",
            Self::NotProven => "not proven",
            Self::NotApplicable => "not applicable",
            Self::Held => "held",
        }
    }
}

impl Verdict {
    /// It leaked.
    pub fn leaked(detail: impl Into<String>) -> Self {
        Self { verdict: Word::Leaked, detail: detail.into() }
    }

    /// Nothing is proven.
    pub fn not_proven(detail: impl Into<String>) -> Self {
        Self { verdict: Word::NotProven, detail: detail.into() }
    }

    /// There is nothing of the kind here.
    pub fn not_applicable(detail: impl Into<String>) -> Self {
        Self { verdict: Word::NotApplicable, detail: detail.into() }
    }

    /// It held.
    pub fn held(detail: impl Into<String>) -> Self {
        Self { verdict: Word::Held, detail: detail.into() }
    }

    /// What holds only because nothing works proves nothing; a leak stays one.
    #[must_use]
    pub fn doubted(self, why: &str) -> Self {
        if self.verdict == Word::Held { Self::not_proven(why) } else { self }
    }
}

/// The verdict on an attack: of what its control and the attack itself came to.
pub fn of(_attack: &Attack, control: Option<&Seen>, tried: Option<&Seen>) -> Verdict {
    match (control, tried) {
        (_, Some(tried)) if tried.succeeded => Verdict::leaked(&tried.said),
        (Some(control), _) if !control.succeeded && control.impossible => {
            Verdict::not_applicable(&control.said)
        }
        (Some(control), Some(tried)) if control.succeeded && tried.reported => Verdict::held(&tried.said),
        (Some(control), Some(tried)) if control.succeeded => Verdict::not_proven(&tried.said),
        (Some(control), _) => Verdict::not_proven(format!("its control did not succeed: {}", control.said)),
        (None, _) => Verdict::not_proven("it had no control"),
    }
}

#[cfg(test)]
mod tests {
    use clawker_prove::catalogue::all;
    use clawker_prove::record::Kind;

    use super::*;

    fn attack(id: &str) -> &'static Attack {
        all().find(|attack| attack.id == id).unwrap()
    }

    fn outcome(end: End) -> Option<Outcome> {
        Some(Outcome { id: "x".into(), end, said: "said".into() })
    }

    fn arrival(to: &str) -> Vec<Record> {
        vec![Record::new(Kind::Udp).between("10.0.0.1:1", to)]
    }

    #[test]
    fn what_works_nowhere_is_never_a_pass() {
        let udp = attack("ip-udp");
        let nothing = Seen::new(udp, outcome(End::Done), &[]);
        let arrived = Seen::new(udp, outcome(End::Done), &arrival("198.51.100.133:9999"));
        let impossible = Seen::new(udp, outcome(End::Impossible), &[]);
        let silent = Seen::new(udp, None, &[]);
        for (control, tried, expected) in [
            (&arrived, &nothing, Word::Held),
            (&arrived, &arrived, Word::Leaked),
            (&nothing, &nothing, Word::NotProven),
            (&nothing, &arrived, Word::Leaked),
            (&impossible, &nothing, Word::NotApplicable),
            (&impossible, &arrived, Word::Leaked),
            (&arrived, &silent, Word::NotProven),
            (&silent, &nothing, Word::NotProven),
        ] {
            assert_eq!(of(udp, Some(control), Some(tried)).verdict, expected, "{control:?} {tried:?}");
        }
        assert_eq!(of(udp, None, Some(&nothing)).verdict, Word::NotProven);
    }

    #[test]
    fn the_sink_decides_and_not_the_attacker() {
        let udp = attack("ip-udp");
        let refused = Seen::new(udp, outcome(End::Refused), &arrival("198.51.100.133:9999"));
        assert!(refused.succeeded && refused.said.contains("198.51.100.133"), "{refused:?}");
    }

    #[test]
    fn who_is_allowed_may_be_told_anything() {
        let fronted = attack("tls-allowed-name-evil-address");
        assert!(!Seen::new(fronted, outcome(End::Done), &arrival("198.51.100.132:443")).succeeded);
        assert!(Seen::new(fronted, outcome(End::Done), &arrival("198.51.100.133:443")).succeeded);
    }

    #[test]
    fn an_effect_is_what_the_probe_did() {
        let setuid = attack("local-setuid");
        assert!(Seen::new(setuid, outcome(End::Done), &[]).succeeded);
        assert!(!Seen::new(setuid, outcome(End::Refused), &arrival("198.51.100.133:1")).succeeded);
    }

    #[test]
    fn doubt_takes_a_pass_away_and_leaves_a_leak() {
        assert_eq!(Verdict::held("").doubted("why").verdict, Word::NotProven);
        assert_eq!(Verdict::leaked("").doubted("why").verdict, Word::Leaked);
    }
}
