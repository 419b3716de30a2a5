//! Whether init counts and logs what it refuses, and whether anything came as far as the guards.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use clawker_protocol::event::{Event, EventKind, RefusalClass};
use clawker_prove::catalogue::{Arrival, Attack, Who, told};
use clawker_prove::task::{End, Outcome};

use super::batch;
use super::twin::Twin;
use super::verdict::Seen;
use crate::control;
use crate::exit::Failure;

/// How long init may take to log.
const LOGGED: Duration = Duration::from_millis(500);

/// What init knows at a moment.
struct Known {
    counts: BTreeMap<RefusalClass, u64>,
    log: u64,
}

impl Twin<'_> {
    /// Runs the attacks that must not go unseen, as somebody.
    ///
    /// # Errors
    /// Docker's.
    pub async fn unseen(
        &self,
        who: Who,
        attacks: &[&'static Attack],
        beside: bool,
        seen: &mut BTreeMap<&'static str, Seen>,
    ) -> Result<(), Failure> {
        // What came as far as the guard is told apart from what is to come there.
        let kinds = [Arrival::Unmarked, Arrival::Untold];
        for kind in kinds {
            let own: Vec<_> = attacks
                .iter()
                .copied()
                .filter(|attack| attack.who == who && attack.arrival == kind)
                .collect();
            if own.is_empty() {
                continue;
            }
            let before = self.known()?;
            let (batch, _) = self.batch(&own)?;
            let outcomes = match beside {
                true => batch::run_beside(self, &batch).await?,
                false => batch::run(self, who, &batch).await?,
            };
            tokio::time::sleep(LOGGED).await;
            let after = self.known()?;
            let logged = self.log_since(before.log);
            for attack in own {
                let outcome = outcomes.iter().find(|outcome| outcome.id == attack.id);
                let class = RefusalClass::from_name(told::class(attack.id));
                let counted = class.is_some_and(|class| after.count(class) > before.count(class));
                let log = |event: &Event| match &event.kind {
                    EventKind::Denied { class: of, flow } => {
                        Some(*of) == class && flow.destination.contains(':') == told::is_six(attack.id)
                    }
                    _ => false,
                };
                // The guards count and do not log.
                let logged = class == Some(RefusalClass::Unmarked) || logged.iter().any(log);
                seen.insert(attack.id, judged(attack, outcome, counted, logged));
            }
        }
        Ok(())
    }

    fn known(&self) -> Result<Known, Failure> {
        let status = control::status(&self.paths, &self.record)?;
        let counts = status.refused.into_iter().map(|(class, count)| (class, count.packets)).collect();
        Ok(Known { counts, log: self.log_length() })
    }

    /// How long init's log is.
    pub fn log_length(&self) -> u64 {
        std::fs::metadata(self.log()).map(|metadata| metadata.len()).unwrap_or_default()
    }

    /// What init logged since its log was that long.
    pub fn log_since(&self, length: u64) -> Vec<Event> {
        let mut bytes = Vec::new();
        let read = File::open(self.log()).and_then(|mut file| {
            file.seek(SeekFrom::Start(length))?;
            file.read_to_end(&mut bytes)
        });
        if read.is_err() {
            return Vec::new();
        }
        bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }

    fn log(&self) -> std::path::PathBuf {
        self.paths.agent_dir(&self.record.id).join("events.jsonl")
    }
}

impl Known {
    fn count(&self, class: RefusalClass) -> u64 {
        self.counts.get(&class).copied().unwrap_or_default()
    }
}

fn judged(attack: &Attack, outcome: Option<&Outcome>, counted: bool, logged: bool) -> Seen {
    let impossible = outcome.is_some_and(|outcome| outcome.end == End::Impossible);
    let succeeded = match attack.arrival {
        Arrival::Unmarked => counted,
        // What could not be sent is nothing to be told of.
        _ => outcome.is_some() && !impossible && !(counted && logged),
    };
    let said = match (counted, logged) {
        (true, true) => "counted and logged",
        (true, false) => "counted and not logged",
        (false, true) => "logged and not counted",
        (false, false) => "neither counted nor logged",
    };
    Seen::of(succeeded, impossible, outcome.is_some(), said)
}
