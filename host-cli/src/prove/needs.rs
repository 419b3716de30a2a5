//! What has to work before the attacks and after them, tried in the twin and beside it.

use clawker_protocol::event::EventKind;
use clawker_prove::catalogue::Who;
use clawker_prove::catalogue::needs::{self, By, Need, Shown, When};
use clawker_prove::record::Record;
use clawker_prove::task::{Batch, End, Outcome, Task};

use super::twin::Twin;
use super::{SETTLE, batch};
use crate::exit::Failure;

/// The task that tells the addresses which listed names have.
const REMEMBER: &str = "remember";

impl Twin<'_> {
    /// The first thing of a state that does not work and has to, at its second try, too; `None` where all does.
    ///
    /// # Errors
    /// Docker's.
    pub async fn missing(&self, when: When) -> Result<Option<String>, Failure> {
        match self.missing_once(when).await? {
            None => Ok(None),
            // A host that is busy may lose a packet.
            Some(_) => self.missing_once(when).await,
        }
    }

    async fn missing_once(&self, when: When) -> Result<Option<String>, Failure> {
        let logged = self.log_length();
        for by in [By::Agent, By::Neighbour] {
            let all: Vec<&Need> = needs::of(when, by).collect();
            if all.is_empty() {
                continue;
            }
            let canaries = all.iter().map(|_| batch::canary()).collect::<Result<Vec<_>, _>>()?;
            let tasks = all.iter().zip(&canaries);
            let tasks = tasks.map(|(need, canary)| Task { id: need.id.to_owned(), canary: canary.clone() });
            let batch = Batch { tasks: tasks.collect(), places: self.places.clone() };
            let outcomes = match by {
                By::Agent => batch::run(self, Who::Agent, &batch).await?,
                By::Neighbour => batch::run(self, Who::Neighbour, &batch).await?,
            };
            if all.iter().any(|need| need.shown != Shown::Done) {
                tokio::time::sleep(SETTLE).await;
            }
            let (records, told) = (self.sink.records(), self.opened_since(logged));
            for (need, canary) in all.into_iter().zip(&canaries) {
                let outcome = outcomes.iter().find(|outcome| outcome.id == need.id);
                if !shown(need, outcome, &clawker_prove::records::with(&records, canary), told) {
                    let said = outcome.map_or("the probe did not report", |outcome| &outcome.said);
                    return Ok(Some(format!("{}: {}: {said}", need.id, need.title)));
                }
            }
        }
        Ok(None)
    }

    /// Asks for the addresses that listed names have while the firewall is on.
    ///
    /// # Errors
    /// Docker's.
    pub async fn remember(&mut self) -> Result<(), Failure> {
        let task = Task { id: REMEMBER.to_owned(), canary: batch::canary()? };
        let batch = Batch { tasks: vec![task], places: self.places.clone() };
        let outcomes = batch::run(self, Who::Agent, &batch).await?;
        let said = outcomes.first().map_or("", |outcome| &outcome.said);
        self.places.remembered = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        Ok(())
    }

    fn opened_since(&self, length: u64) -> bool {
        self.log_since(length).iter().any(|event| matches!(event.kind, EventKind::Opened { .. }))
    }
}

fn shown(need: &Need, outcome: Option<&Outcome>, arrived: &[Record], told: bool) -> bool {
    match need.shown {
        Shown::Name(name) => arrived.iter().any(|record| record.sni == name || record.name == name),
        Shown::At(address) => arrived.iter().any(|record| record.destination == address),
        Shown::Done => outcome.is_some_and(|outcome| outcome.end == End::Done),
        Shown::Told => told,
    }
}
