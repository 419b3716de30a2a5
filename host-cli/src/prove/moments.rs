//! Attacks on a moment: a sender in the twin that never pauses, and the host that makes the moment. What the sender says
//! stands in a file, so that what it said before is told from what it says after.

use std::time::{Duration, Instant};

use clawker_protocol::control::{Op, StateName};
use clawker_prove::catalogue::Attack;

use super::batch::canary;
use super::twin::Twin;
use super::verdict::Verdict;
use crate::context::Context;
use crate::control;
use crate::docker::DockerError;
use crate::exit::Failure;
use crate::output::Progress;
use crate::stack;

/// How long the sender goes on after a moment.
const AFTER: Duration = Duration::from_millis(700);
/// How long the sink may take to see what is sent openly.
const ARRIVAL: Duration = Duration::from_secs(5);
/// The shortest bypass.
const SHORTEST: u64 = 1;
/// One that is ended by hand.
const MINUTE: Op = Op::Bypass { seconds: 60 };

/// Tries them, one after another.
pub async fn run(
    ctx: &Context,
    twin: &mut Twin<'_>,
    attacks: &[&'static Attack],
) -> Result<Vec<(&'static Attack, Verdict)>, Failure> {
    let mut verdicts = Vec::new();
    if !attacks.is_empty() {
        ctx.output.step(&format!("Trying {} attacks on moments of change", attacks.len()));
    }
    twin.say("")?;
    for attack in attacks {
        let verdict = twin.moment(attack.id).await?;
        twin.say("")?;
        verdicts.push((*attack, verdict));
    }
    Ok(verdicts)
}

impl Twin<'_> {
    /// What the sender sends from now on.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        Ok(crate::store::write_atomically(&self.payload, text.as_bytes(), 0o644)?)
    }

    async fn moment(&self, id: &str) -> Result<Verdict, Failure> {
        match id {
            "time-start" => {
                let first = self.first.clone();
                let shown = self.shown("udp", Op::Disable).await?;
                self.turn(Op::Enable, StateName::Enforcing)?;
                Ok(self.judged(shown, &first))
            }
            "time-restart" => {
                let shown = self.shown("udp", Op::Disable).await?;
                self.turn(Op::Enable, StateName::Enforcing)?;
                let canary = canary()?;
                self.say(&format!("udp {canary}"))?;
                self.engine
                    .api
                    .restart_container(&self.record.container, None)
                    .await
                    .map_err(DockerError::from)?;
                self.wait().await?;
                tokio::time::sleep(AFTER).await;
                self.sink.lead(&self.engine, self.place, &self.record.container).await?;
                Ok(self.judged(shown, &canary))
            }
            "time-bypass-stop" => self.after("udp", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-tcp" => self.after("tcp", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-connected" => self.after("connected", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-udp6" | "time-bypass-tcp6" if !self.six => {
                Ok(Verdict::not_applicable("this container has no IPv6"))
            }
            "time-bypass-udp6" => self.after("udp6", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-tcp6" => self.after("tcp6", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-ping" => self.after("ping", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-remembered" => self.after("remembered", MINUTE, Some(Op::BypassStop)).await,
            "time-bypass-tcp-deadline" => self.after("tcp", Op::Bypass { seconds: SHORTEST + 1 }, None).await,
            "time-reload" => self.policy_changes().await,
            "time-bypass-deadline" => self.after("udp", Op::Bypass { seconds: SHORTEST + 1 }, None).await,
            "time-enable" => self.after("udp", Op::Disable, Some(Op::Enable)).await,
            "time-bypass-twice" => self.two_bypasses().await,
            "time-bypass-init-stopped" => self.bypass_ends_without_init().await,
            "time-grant-init-stopped" => self.grant_ends_without_init().await,
            "time-init-killed" => self.init_is_killed().await,
            "time-envoy-gone" => self.without("udp", &self.paths.envoy_container()).await,
            "time-coredns-gone" => self.without("dns", &self.paths.coredns_container()).await,
            "time-pause" => {
                let shown = self.shown("udp", Op::Disable).await?;
                self.turn(Op::Enable, StateName::Enforcing)?;
                let canary = canary()?;
                self.say(&format!("udp {canary}"))?;
                let name = &self.record.container;
                self.engine.api.pause_container(name).await.map_err(DockerError::from)?;
                tokio::time::sleep(AFTER).await;
                self.engine.api.unpause_container(name).await.map_err(DockerError::from)?;
                tokio::time::sleep(AFTER).await;
                Ok(self.judged(shown, &canary))
            }
            _ => Ok(Verdict::not_proven("this clawker does not know it")),
        }
    }

    /// What was open is shut; the same socket goes on.
    async fn after(&self, kind: &str, open: Op, shut: Option<Op>) -> Result<Verdict, Failure> {
        let shown = self.shown(kind, open).await?;
        if let Some(shut) = shut {
            self.turn(shut, StateName::Enforcing)?;
        } else {
            self.wait().await?;
        }
        let canary = canary()?;
        self.say(&format!("{kind} {canary}"))?;
        tokio::time::sleep(AFTER).await;
        Ok(self.judged(shown, &canary))
    }

    /// A part of the gateway is killed and comes back.
    async fn without(&self, kind: &str, container: &str) -> Result<Verdict, Failure> {
        let shown = self.shown(kind, Op::Disable).await?;
        self.turn(Op::Enable, StateName::Enforcing)?;
        let canary = canary()?;
        self.say(&format!("{kind} {canary}"))?;
        let kill = None::<bollard::query_parameters::KillContainerOptions>;
        self.engine.api.kill_container(container, kill).await.map_err(DockerError::from)?;
        tokio::time::sleep(AFTER).await;
        self.engine.api.start_container(container, None).await.map_err(DockerError::from)?;
        self.sink.lead(&self.engine, self.place, container).await?;
        let end = Instant::now() + ARRIVAL * 3;
        if let Some(info) = stack::find(&self.engine.api, &self.paths).await? {
            while !stack::is_up(&self.paths, &info) && Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(self.judged(shown, &canary))
    }

    /// Opens the firewall and tells whether the sender's words arrive then.
    pub async fn shown(&self, kind: &str, open: Op) -> Result<bool, Failure> {
        let canary = canary()?;
        self.say(&format!("{kind} {canary}"))?;
        control::change(&self.paths, &self.record, open)?;
        Ok(self.arrives(&canary).await)
    }

    /// Whether the sender's words arrive.
    pub async fn arrives(&self, canary: &str) -> bool {
        let end = Instant::now() + ARRIVAL;
        while self.sink.saw(canary).is_empty() {
            if Instant::now() >= end {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        true
    }

    /// Whether anything of it arrived.
    pub fn judged(&self, shown: bool, canary: &str) -> Verdict {
        match (self.sink.saw(canary).first(), shown) {
            (Some(record), _) => Verdict::leaked(format!("seen by the sink at {}", record.destination)),
            (None, true) => Verdict::held("nothing arrived"),
            (None, false) => {
                Verdict::not_proven("its control did not succeed: nothing arrived with the firewall off")
            }
        }
    }
}
