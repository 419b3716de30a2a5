//! `clawker prove`: the attack catalogue, run against a twin of an agent's container on an internet of its own. The
//! user's own stack is never touched: the twin has a stack, a network and names that nobody else has.

mod agreed;
mod batch;
mod helpless;
mod host;
mod moments;
mod needs;
mod place;
pub mod report;
mod sink;
mod told;
mod twin;
pub mod verdict;

use std::collections::BTreeMap;
use std::time::Duration;

use clawker_protocol::control::{Op, StateName};
use clawker_prove::catalogue::needs::When;
use clawker_prove::catalogue::{self, Arrival, Attack, Control, Family, Who};
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
/// How often at most an attack is shown to work where nothing is in its way.
const SHOWINGS: usize = 3;
/// How often an interrupt is looked for.
const TICK: Duration = Duration::from_millis(50);

/// The attack that the guard stops by itself and counts.
const FRAME: &str = "told-unmarked";
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
    let mut missing = vec![twin.missing(When::Closed).await?];
    twin.remember().await?;
    let (moments, others): (Vec<&Attack>, Vec<&Attack>) =
        attacks.iter().copied().partition(|attack| attack.family == Family::Time);

    ctx.output.step("Showing that the attacks work where nothing is in their way");
    twin.turn(Op::Disable, StateName::Disabled)?;
    let mut controls = BTreeMap::new();
    let shown_by =
        |control| others.iter().copied().filter(|attack| attack.control == control).collect::<Vec<_>>();
    missing.push(twin.missing(When::Open).await?);
    let (mut open, mut beside) = (shown_by(Control::Open), shown_by(Control::Beside));
    // A host that is busy may lose a packet. With the firewall on nothing is tried twice.
    for _ in 0..SHOWINGS {
        twin.by_who(&open, &mut controls).await?;
        if !beside.is_empty() {
            twin.beside(&beside, &mut controls).await?;
        }
        open = worth_another(&open, &controls);
        beside = worth_another(&beside, &controls);
    }
    twin.turn(Op::Enable, StateName::Enforcing)?;
    for attack in others.iter().filter(|attack| attack.control == Control::Host) {
        controls.insert(attack.id, twin.by_host());
    }
    let frames = shown_by(Control::Frame);
    if !frames.is_empty() {
        let framed = twin.frame().await?;
        controls.extend(frames.iter().map(|attack| (attack.id, framed.clone())));
    }

    ctx.output.step(&format!("Trying {} attacks", others.len()));
    missing.push(twin.missing(When::Closed).await?);
    let mut tried = BTreeMap::new();
    twin.by_who(&others, &mut tried).await?;
    let still = control::status(&twin.paths, &twin.record)?.state == StateName::Enforcing;
    missing.push(twin.missing(When::Closed).await?);

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
    missing.push(twin.missing(When::Closed).await?);
    if let Some(what) = missing.into_iter().flatten().next() {
        let why = format!("what has to work did not: {what}");
        for (_, verdict) in &mut verdicts {
            *verdict = std::mem::replace(verdict, Verdict::not_proven("")).doubted(&why);
        }
    }
    Ok(verdicts)
}

/// Those whose control did not come to anything, and might.
fn worth_another(
    attacks: &[&'static Attack],
    controls: &BTreeMap<&'static str, Seen>,
) -> Vec<&'static Attack> {
    let again = |attack: &&&Attack| controls.get(attack.id).is_none_or(Seen::is_worth_another);
    attacks.iter().filter(again).copied().collect()
}

/// Whether init's counts and log judge it.
fn is_unseen(attack: &&'static Attack) -> bool {
    matches!(attack.arrival, Arrival::Untold | Arrival::Unmarked)
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

    /// Runs attacks in the twin, each as whom it is for.
    async fn by_who(
        &self,
        attacks: &[&'static Attack],
        seen: &mut BTreeMap<&'static str, Seen>,
    ) -> Result<(), Failure> {
        let (unseen, attacks): (Vec<_>, Vec<_>) = attacks.iter().copied().partition(is_unseen);
        for who in [Who::Agent, Who::Other, Who::Root, Who::Neighbour, Who::Network] {
            self.unseen(who, &unseen, false, seen).await?;
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
        let (unseen, attacks): (Vec<_>, Vec<_>) = attacks.iter().copied().partition(is_unseen);
        for who in [Who::Neighbour, Who::Network] {
            self.unseen(who, &unseen, true, seen).await?;
        }
        let (batch, canaries) = self.batch(&attacks)?;
        let outcomes = batch::run_beside(self, &batch).await?;
        tokio::time::sleep(SETTLE).await;
        self.collect(&attacks, &canaries, outcomes, seen);
        Ok(())
    }

    /// Whether the guard counts a frame that was made by hand on its network.
    async fn frame(&self) -> Result<Seen, Failure> {
        let mut seen = BTreeMap::new();
        let frame: Vec<_> = catalogue::all().filter(|attack| attack.id == FRAME).collect();
        self.unseen(Who::Network, &frame, false, &mut seen).await?;
        let counted = seen.get(FRAME).is_some_and(|seen| !seen.succeeded());
        Ok(Seen::of(counted, false, true, "a frame made by hand, which the guard counts"))
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
