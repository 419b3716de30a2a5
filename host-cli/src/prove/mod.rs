//! `clawker prove`: the attack catalogue, run against a twin of an agent's container on an internet of its own. The
//! user's own stack is never touched: the twin has a stack, a network and names that nobody else has.

mod batch;
mod moments;
mod place;
pub mod report;
mod sink;
mod twin;
pub mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use clawker_protocol::control::{Op, StateName};
use clawker_prove::catalogue::{Arrival, Attack, Control, Family, Who, names};
use clawker_prove::task::{Batch, Outcome, Task};

use crate::context::Context;
use crate::control;
use crate::exit::{Failure, NOT_PROVEN};
use crate::launch::{self, Interrupt};
use crate::output::Progress;

pub use report::Report;
pub use twin::Wanted;

use place::Place;
use twin::Twin;
use verdict::{Seen, Verdict};

/// How long what was sent may be on its way.
const SETTLE: Duration = Duration::from_millis(800);
/// How often an interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);
/// The request that has to work before and after; not in the catalogue, as it is no attack.
const ALLOWED: &str = "allowed";

/// The attack that a setting of the user's allows.
const USERNS: &str = "local-userns";

/// Runs these attacks. Whatever becomes of it, nothing is left behind.
///
/// # Errors
/// [`Failure`] with [`NOT_PROVEN`] as its code when there is no twin or no sink.
pub async fn run(ctx: &Context, wanted: &Wanted, attacks: &[&'static Attack]) -> Result<Report, Failure> {
    let begun = std::time::Instant::now();
    let interrupt = Interrupt::watch()?;
    let place = Place::new(ctx)?;
    let ended = tokio::select! {
        ended = attacked(ctx, wanted, &place, attacks) => ended,
        () = interrupted(&interrupt) => Err(launch::interrupted()),
    };
    ctx.output.step("Clearing away");
    place.clear().await;
    let verdicts = ended.map_err(|failure| Failure { code: NOT_PROVEN, ..failure })?;
    Ok(Report::new(verdicts, begun.elapsed()))
}

async fn interrupted(interrupt: &Interrupt) {
    while !interrupt.came() {
        tokio::time::sleep(TICK).await;
    }
}

async fn attacked(
    ctx: &Context,
    wanted: &Wanted,
    place: &Place,
    attacks: &[&'static Attack],
) -> Result<Vec<(&'static Attack, Verdict)>, Failure> {
    let mut twin = Twin::raise(ctx, wanted, place).await?;
    let mut allowed = vec![twin.allowed().await?];
    let (moments, others): (Vec<&Attack>, Vec<&Attack>) =
        attacks.iter().copied().partition(|attack| attack.family == Family::Time);

    ctx.output.step("Showing that the attacks work where nothing is in their way");
    twin.turn(Op::Disable, StateName::Disabled)?;
    let mut controls = BTreeMap::new();
    let shown_by =
        |control| others.iter().copied().filter(|attack| attack.control == control).collect::<Vec<_>>();
    let open = shown_by(Control::Open);
    twin.by_who(&open, &mut controls).await?;
    twin.beside(&shown_by(Control::Beside), &mut controls).await?;
    twin.turn(Op::Enable, StateName::Enforcing)?;
    for attack in others.iter().filter(|attack| attack.control == Control::Host) {
        controls.insert(attack.id, twin.by_host());
    }

    ctx.output.step(&format!("Trying {} attacks", others.len()));
    allowed.push(twin.allowed().await?);
    let mut tried = BTreeMap::new();
    twin.by_who(&others, &mut tried).await?;
    let still = control::status(&twin.paths, &twin.record)?.state == StateName::Enforcing;
    allowed.push(twin.allowed().await?);

    let mut verdicts: Vec<_> = others
        .iter()
        .map(|attack| {
            let verdict = verdict::of(attack, controls.get(attack.id), tried.get(attack.id));
            let verdict = match attack.family {
                Family::Control if !still => Verdict::leaked("the firewall is not on any more"),
                _ if attack.id == USERNS && twin.userns => Verdict::not_applicable("security.userns is on"),
                _ => verdict,
            };
            (*attack, verdict)
        })
        .collect();
    verdicts.extend(moments::run(ctx, &mut twin, &moments).await?);
    allowed.push(twin.allowed().await?);
    if allowed.contains(&false) {
        let when = allowed.iter().position(|worked| !worked).unwrap_or_default();
        let why = format!("the allowed request did not work ({} of {})", when + 1, allowed.len());
        for (_, verdict) in &mut verdicts {
            *verdict = std::mem::replace(verdict, Verdict::not_proven("")).doubted(&why);
        }
    }
    Ok(verdicts)
}

impl Twin<'_> {
    /// Switches the twin's firewall.
    fn turn(&self, op: Op, state: StateName) -> Result<(), Failure> {
        let status = control::change(&self.paths, &self.record, op)?;
        if status.state == state {
            Ok(())
        } else {
            Err(Failure::new("The twin's firewall can't be switched"))
        }
    }

    /// What the host may do with its secret.
    fn by_host(&self) -> Seen {
        let boot = self.paths.agent_dir(&self.record.id).join("boot.json");
        let done = control::status(&self.paths, &self.record).is_ok() && std::fs::read(boot).is_ok();
        Seen::by_host(done)
    }

    /// Whether the allowed request works.
    async fn allowed(&self) -> Result<bool, Failure> {
        let canary = batch::canary()?;
        let task = Task { id: ALLOWED.to_owned(), canary: canary.clone() };
        let batch = Batch { tasks: vec![task], places: self.places.clone() };
        batch::run(self, Who::Agent, &batch).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(self.sink.saw(&canary).iter().any(|record| record.sni == names::GOOD))
    }

    /// Runs attacks in the twin, each as whom it is for.
    async fn by_who(
        &self,
        attacks: &[&'static Attack],
        seen: &mut BTreeMap<&'static str, Seen>,
    ) -> Result<(), Failure> {
        for who in [Who::Agent, Who::Other, Who::Root, Who::Network] {
            let own: Vec<_> = attacks.iter().copied().filter(|attack| attack.who == who).collect();
            let (batch, canaries) = self.batch(&own)?;
            let outcomes = batch::run(self, who, &batch).await?;
            tokio::time::sleep(if own.is_empty() { Duration::ZERO } else { SETTLE }).await;
            self.collect(&own, &canaries, outcomes, seen);
        }
        Ok(())
    }

    /// Runs attacks in the plain container beside it.
    async fn beside(
        &self,
        attacks: &[&'static Attack],
        seen: &mut BTreeMap<&'static str, Seen>,
    ) -> Result<(), Failure> {
        let (batch, canaries) = self.batch(attacks)?;
        let outcomes = batch::run_beside(self, &batch).await?;
        tokio::time::sleep(SETTLE).await;
        self.collect(attacks, &canaries, outcomes, seen);
        Ok(())
    }

    fn batch(&self, attacks: &[&'static Attack]) -> Result<(Batch, Vec<String>), Failure> {
        let canaries = attacks.iter().map(|_| batch::canary()).collect::<Result<Vec<_>, _>>()?;
        let tasks = attacks.iter().zip(&canaries);
        let tasks = tasks.map(|(attack, canary)| Task { id: attack.id.to_owned(), canary: canary.clone() });
        Ok((Batch { tasks: tasks.collect(), places: self.places.clone() }, canaries))
    }

    fn collect(
        &self,
        attacks: &[&'static Attack],
        canaries: &[String],
        mut outcomes: Vec<Outcome>,
        seen: &mut BTreeMap<&'static str, Seen>,
    ) {
        let records = self.sink.records();
        for (attack, canary) in attacks.iter().zip(canaries) {
            let at = outcomes.iter().position(|outcome| outcome.id == attack.id);
            let arrived = match attack.arrival {
                Arrival::Effect => Vec::new(),
                _ => clawker_prove::records::with(&records, canary),
            };
            let outcome = at.map(|at| outcomes.swap_remove(at));
            seen.insert(attack.id, Seen::new(attack, outcome, &arrived));
        }
    }
}
