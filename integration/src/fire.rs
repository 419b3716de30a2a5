//! An agent that sends at full speed, for as long as it lives and again after each start, and who counts what arrives.

use std::time::Duration;

use crate::rig::wait;
use crate::world::{World, WorldError};

const PLACE: &str = "198.51.100.133:9999";
/// Longer than any test lives.
const FOREVER: &str = "7200";
const PATIENCE: Duration = Duration::from_secs(30);
/// What is on its way needs less.
const SETTLING: Duration = Duration::from_millis(300);
/// Refusals that a sender who lives has in [`PATIENCE`] by far.
const SOME: u64 = 100;

/// The sender, and what it sends.
#[derive(Debug)]
pub struct Fire<'a> {
    world: &'a World,
    agent: String,
    canary: String,
}

impl<'a> Fire<'a> {
    /// Runs an agent that does nothing but send.
    ///
    /// # Errors
    /// [`WorldError`].
    pub fn start(world: &'a World, agent: &str, canary: &str) -> Result<Self, WorldError> {
        let client = world.project().join("fakenet").display().to_string();
        let send = [&*client, "probe", "flood", PLACE, canary, FOREVER];
        world.must(&[&["run", "--agent", agent, "--detach", "--yes", "--"], &send[..]].concat())?;
        Ok(Self { world, agent: agent.to_owned(), canary: canary.to_owned() })
    }

    /// How many records there are of what it sent.
    pub fn arrived(&self) -> usize {
        self.world.rig.saw(&self.canary).len()
    }

    /// Whether it sends: refusals are counted, more and more.
    pub fn is_kept_up(&self) -> bool {
        let before = self.refused();
        wait(PATIENCE, || self.refused() > before + SOME)
    }

    /// Packets that init refused since its start.
    fn refused(&self) -> u64 {
        let text = self.world.must(&["ps", "--all", "--json"]).unwrap_or_default();
        let list: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let one = list.as_array().into_iter().flatten().find(|one| one["agent"] == self.agent.as_str());
        one.and_then(|one| one["refused_packets"].as_u64()).unwrap_or_default()
    }

    /// What has arrived once nothing is on its way any more.
    pub fn settled(&self) -> usize {
        let mut last = usize::MAX;
        wait(PATIENCE, || {
            std::thread::sleep(SETTLING);
            let now = self.arrived();
            std::mem::replace(&mut last, now) == now
        });
        last
    }

    /// The positive control, and that the firewall obeys: what is sent in a bypass arrives, and nothing after it.
    ///
    /// # Errors
    /// [`WorldError::Clawker`] says what is not so.
    pub fn passes_in_a_bypass_and_not_after_it(&self) -> Result<(), WorldError> {
        let wrong = |what: &str| Err(WorldError::Clawker("firewall bypass".to_owned(), what.to_owned()));
        let before = self.arrived();
        self.world.must(&["firewall", "bypass", "20s", "--agent", &self.agent, "--detach"])?;
        let passes = wait(Duration::from_secs(15), || self.arrived() > before);
        self.world.must(&["firewall", "bypass", "--stop", "--agent", &self.agent])?;
        if !passes {
            return wrong("nothing arrived in it");
        }
        let before = self.settled();
        if !self.is_kept_up() {
            return wrong("nothing is sent after it");
        }
        if self.settled() == before { Ok(()) } else { wrong("packets left after it") }
    }
}
