//! The ways that are compared: the product's own, from an agent, beside a bare part and beside none, taken in turns so
//! that what else the machine does falls on all alike.

use std::collections::BTreeMap;

use super::load::{Kind, Outcome, Task};
use super::peers::{self, Peers};
use crate::world::{World, WorldError};

/// How long one measurement takes.
const MILLIS: u64 = 600;
/// How often all are taken.
const ROUNDS: usize = 3;
/// Bytes of a large body.
const LARGE: u64 = 4 << 20;

/// A way that something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// From a client that nothing guards, straight to the server.
    Direct,
    /// From the same through a bare part.
    Bare,
    /// From an agent through the product.
    Ours,
}

/// What is compared on each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// DNS.
    Question,
    /// TLS that is passed on: setting a connection up.
    SetUp,
    /// TLS that is passed on: a large body.
    Body,
    /// HTTP whose path is judged.
    Request,
}

impl What {
    /// For a table.
    pub fn text(self) -> &'static str {
        match self {
            Self::Question => "DNS question",
            Self::SetUp => "TLS set-up, passed on",
            Self::Body => "4 MiB body, passed on",
            Self::Request => "HTTP/1.1 request, paths judged",
        }
    }
}

/// One thing on one way, with so many at once: the medians of all rounds.
pub type Results = BTreeMap<(What, usize, Way), Outcome>;

/// Takes all measurements.
///
/// # Errors
/// When one fails, or an answer was wrong: such figures would mean nothing.
pub fn measure(world: &World, peers: &Peers) -> Result<Results, WorldError> {
    let resolver = world.sh("dev", "sed -n 's/^nameserver //p' /etc/resolv.conf")?.out;
    let mut rounds: BTreeMap<(What, usize, Way), Vec<Outcome>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (key, task) in tasks(peers, &resolver) {
            let outcome = if key.2 == Way::Ours { from_agent(world, &task)? } else { peers.ask(&task)? };
            if outcome.errors > 0 || outcome.count < 3 {
                let said = format!("{key:?} of {task:?}: {outcome:?}");
                return Err(WorldError::Clawker("load".to_owned(), said));
            }
            rounds.entry(key).or_default().push(outcome);
        }
    }
    Ok(rounds.into_iter().filter_map(|(key, outcomes)| Some((key, middle(outcomes)?))).collect())
}

fn from_agent(world: &World, task: &Task) -> Result<Outcome, WorldError> {
    let bench = world.project().join("bench").display().to_string();
    let task = serde_json::to_string(task).map_err(std::io::Error::from)?;
    let said = world.must(&["exec", "--agent", "dev", "--", &bench, "load", &task])?;
    Ok(serde_json::from_str(&said).map_err(std::io::Error::from)?)
}

fn tasks(peers: &Peers, resolver: &str) -> Vec<((What, usize, Way), Task)> {
    let (passed, judged) = (peers::PASSED, peers::JUDGED);
    let direct = format!("{}:443", peers::UPSTREAM);
    let bare = |port: u16| format!("{}:{port}", peers.envoy);
    let large = format!("{}{LARGE}", super::upstream::BYTES);
    let ours = |name: &str| format!("{name}:443");
    let mut tasks = Vec::new();
    for lanes in [1, 8] {
        let mut add = |what: What, way: Way, kind: Kind, place: String, name: &str, path: &str| {
            let task =
                Task { kind, place, name: name.to_owned(), path: path.to_owned(), lanes, millis: MILLIS };
            tasks.push(((what, lanes, way), task));
        };
        add(What::Question, Way::Bare, Kind::Dns, format!("{}:{}", peers.coredns, peers::DNS), passed, "");
        add(What::Question, Way::Ours, Kind::Dns, format!("{resolver}:53"), passed, "");
        for (what, kind, path) in [(What::SetUp, Kind::Hello, ""), (What::Body, Kind::Bulk, large.as_str())] {
            if lanes > 1 && what == What::Body {
                continue;
            }
            add(what, Way::Direct, kind, direct.clone(), passed, path);
            add(what, Way::Bare, kind, bare(peers::PASS), passed, path);
            add(what, Way::Ours, kind, ours(passed), passed, path);
        }
        add(What::Request, Way::Direct, Kind::Http, direct.clone(), passed, peers::PATH);
        add(What::Request, Way::Bare, Kind::Http, bare(peers::OPEN), passed, peers::PATH);
        add(What::Request, Way::Ours, Kind::Http, ours(judged), judged, peers::PATH);
    }
    tasks
}

/// The medians of each figure.
fn middle(outcomes: Vec<Outcome>) -> Option<Outcome> {
    let at = outcomes.len() / 2;
    let sorted = |of: fn(&Outcome) -> u64| {
        let mut all: Vec<u64> = outcomes.iter().map(of).collect();
        all.sort_unstable();
        all.get(at).copied()
    };
    let mut rates: Vec<f64> = outcomes.iter().map(|one| one.rate).collect();
    rates.sort_by(f64::total_cmp);
    Some(Outcome {
        count: outcomes.iter().map(|one| one.count).sum(),
        errors: 0,
        rate: rates.get(at).copied()?,
        median_us: sorted(|one| one.median_us)?,
        p95_us: sorted(|one| one.p95_us)?,
    })
}

/// Why figures can't be right, where they can't: a gateway that is far faster than none was not in the way.
pub fn doubt(results: &Results) -> Option<String> {
    let mut doubts = results.iter().filter_map(|((what, lanes, way), outcome)| {
        if outcome.median_us == 0 {
            return Some(format!("{} takes no time at all", what.text()));
        }
        let before = if *what == What::Question { Way::Bare } else { Way::Direct };
        let less = results.get(&(*what, *lanes, before))?;
        let is_odd = *way != before && outcome.rate > less.rate * 1.5;
        is_odd.then(|| format!("{} is faster with a gateway than without, {lanes} at once", what.text()))
    });
    doubts.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(rate: f64, median_us: u64) -> Outcome {
        Outcome { count: 10, errors: 0, rate, median_us, p95_us: median_us }
    }

    #[test]
    fn figures_that_can_not_be_are_doubted() {
        let pair = |direct: Outcome, ours: Outcome| {
            Results::from([((What::SetUp, 1, Way::Direct), direct), ((What::SetUp, 1, Way::Ours), ours)])
        };
        assert_eq!(doubt(&pair(outcome(10.0, 9), outcome(8.0, 12))), None);
        assert!(doubt(&pair(outcome(10.0, 9), outcome(20.0, 12))).is_some());
        assert!(doubt(&pair(outcome(10.0, 0), outcome(8.0, 12))).is_some());
    }

    #[test]
    fn the_middle_is_of_each_figure() {
        let found = middle(vec![outcome(1.0, 30), outcome(9.0, 10), outcome(2.0, 20)]).unwrap();
        assert_eq!((found.median_us, found.count), (20, 30));
        assert!((found.rate - 2.0).abs() < 1e-9);
        assert_eq!(middle(Vec::new()), None);
    }
}
