//! Moments at which init can do nothing: it is stopped or killed while something ends. What holds then holds by the
//! kernel alone.

use std::time::Duration;

use bollard::query_parameters::KillContainerOptions;
use clawker_protocol::control::{Op, StateName};
use clawker_prove::catalogue::names;

use super::batch::canary;
use super::twin::{Twin, parsed};
use super::verdict::Verdict;
use crate::docker::DockerError;
use crate::exit::Failure;
use crate::lock::StateLock;
use crate::project::{CliRule, Project};
use crate::{control, grant, step};

/// How long the sender goes on after a moment.
const AFTER: Duration = Duration::from_millis(1_500);
/// How long a bypass and a grant last that end by themselves: enough to see the sender's words arrive before.
const SHORT: Duration = Duration::from_secs(4);

impl Twin<'_> {
    /// A bypass ends by time while init is stopped.
    pub async fn bypass_ends_without_init(&self) -> Result<Verdict, Failure> {
        let shown = self.shown("udp", Op::Bypass { seconds: SHORT.as_secs() }).await?;
        let canary = self.ends_without_init("udp").await?;
        let verdict = self.judged(shown, &canary);
        self.wait().await?;
        Ok(verdict)
    }

    /// What a name was listed for ends while init is stopped, and the connection goes on.
    pub async fn grant_ends_without_init(&self) -> Result<Verdict, Failure> {
        let first = canary()?;
        self.grant().await?;
        self.say(&format!("grant {first}"))?;
        let shown = self.arrives(&first).await;
        let canary = self.ends_without_init("grant").await?;
        Ok(self.judged(shown, &canary))
    }

    /// A name is listed while the sender goes on: the tables are made anew.
    pub async fn policy_changes(&self) -> Result<Verdict, Failure> {
        let shown = self.shown("fast", Op::Disable).await?;
        self.turn(Op::Enable, StateName::Enforcing)?;
        let canary = canary()?;
        self.say(&format!("fast {canary}"))?;
        self.grant().await?;
        tokio::time::sleep(AFTER).await;
        Ok(self.judged(shown, &canary))
    }

    /// PID 1 is killed, and with it goes the table that it owns, before the sender does.
    pub async fn init_is_killed(&self) -> Result<Verdict, Failure> {
        let shown = self.shown("fast", Op::Disable).await?;
        self.turn(Op::Enable, StateName::Enforcing)?;
        let canary = canary()?;
        self.say(&format!("fast {canary}"))?;
        tokio::time::sleep(AFTER).await;
        self.signal("KILL").await?;
        tokio::time::sleep(AFTER).await;
        let verdict = self.judged(shown, &canary);
        self.say("")?;
        let name = &self.record.container;
        self.engine.api.start_container(name, None).await.map_err(DockerError::from)?;
        self.wait().await?;
        self.sink.lead(&self.engine, self.place, name).await?;
        Ok(verdict)
    }

    /// Two bypasses are begun at once, and one stop ends both.
    pub async fn two_bypasses(&self) -> Result<Verdict, Failure> {
        let shown = self.shown("udp", Op::Bypass { seconds: 60 }).await?;
        let begin = |seconds| control::change(&self.paths, &self.record, Op::Bypass { seconds });
        std::thread::scope(|scope| {
            let both = [60, 30].map(|seconds| scope.spawn(move || begin(seconds)));
            // One of them may be refused: what counts is what is open after the stop.
            both.into_iter().for_each(|one| drop(one.join()));
        });
        self.turn(Op::BypassStop, StateName::Enforcing)?;
        let canary = canary()?;
        self.say(&format!("udp {canary}"))?;
        tokio::time::sleep(AFTER).await;
        Ok(self.judged(shown, &canary))
    }

    /// Stops init, lets what is short end, and goes on sending; then init may go on, too.
    async fn ends_without_init(&self, kind: &str) -> Result<String, Failure> {
        self.signal("STOP").await?;
        tokio::time::sleep(SHORT).await;
        let canary = canary()?;
        self.say(&format!("{kind} {canary}"))?;
        tokio::time::sleep(AFTER).await;
        self.say("")?;
        self.signal("CONT").await?;
        Ok(canary)
    }

    async fn signal(&self, signal: &str) -> Result<(), Failure> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        let name = &self.record.container;
        Ok(self.engine.api.kill_container(name, Some(options)).await.map_err(DockerError::from)?)
    }

    /// Lists a name for a short while, as `clawker firewall add --for` does.
    async fn grant(&self) -> Result<(), Failure> {
        let rule = parsed(&[format!("{{ dst: {} }}", names::BRIEF)])?.into_iter().next();
        let rule = rule.ok_or_else(|| Failure::new("The twin has no rule for a while"))?;
        let lock = StateLock::acquire(&self.paths)?;
        let before = Project::load(&self.paths, &self.place.project())?;
        let mut after = before.clone();
        let expires = Some(grant::end(SHORT, grant::now())?);
        after.cli.push(CliRule { rule: rule.value, agent: None, expires });
        step::make(&self.engine.api, &self.paths, &lock, &self.settings, (&before, &after)).await?;
        Ok(())
    }
}
