//! When the agent is asked to stop, killed, and given up on. The decisions are a value that knows no clock and
//! sends nothing; the sending is below.

use std::time::Duration;

mod rest;
pub use rest::{Rest, ignores, ignores_term};

/// From the first TERM or INT to KILL where nobody said otherwise; below Docker's 10 s.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(8);
/// What the agent left behind has this long to end after TERM.
pub const DRAIN: Duration = Duration::from_secs(2);

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Hand the signal to the agent's group and see that it is acted on.
    Ask,
    /// Kill the agent's group.
    Kill,
    /// Leave; what still lives is killed.
    Leave,
    /// Nothing.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Asked { until: Duration },
    Killed,
    Draining { until: Duration },
}

/// How far the end has come. Times are readings of one monotonic clock.
#[derive(Debug)]
pub struct Shutdown {
    grace: Duration,
    phase: Phase,
    asked: bool,
}

impl Shutdown {
    /// Nobody has asked yet.
    pub fn new(grace: Duration) -> Self {
        Self { grace, phase: Phase::Running, asked: false }
    }

    /// A TERM or INT came.
    pub fn stop(&mut self, now: Duration) -> Act {
        let again = std::mem::replace(&mut self.asked, true);
        match self.phase {
            Phase::Running => {
                self.phase = Phase::Asked { until: now + self.grace };
                Act::Ask
            }
            Phase::Asked { .. } => {
                self.phase = Phase::Killed;
                Act::Kill
            }
            // Again, for what came into the group since.
            Phase::Killed => Act::Kill,
            // What is left has been asked already; the second one is impatience.
            Phase::Draining { .. } if again => Act::Leave,
            Phase::Draining { .. } => Act::Nothing,
        }
    }

    /// The agent has ended.
    pub fn ended(&mut self, now: Duration) {
        self.phase = Phase::Draining { until: now + DRAIN };
    }

    /// Whether the agent has ended.
    pub fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// When [`Self::due`] wants to be asked.
    pub fn deadline(&self) -> Option<Duration> {
        match self.phase {
            Phase::Asked { until } | Phase::Draining { until } => Some(until),
            Phase::Running | Phase::Killed => None,
        }
    }

    /// What the passing of time brings.
    pub fn due(&mut self, now: Duration) -> Act {
        match self.phase {
            Phase::Asked { until } if now >= until => {
                self.phase = Phase::Killed;
                Act::Kill
            }
            Phase::Draining { until } if now >= until => Act::Leave,
            _ => Act::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_second_stop_kills_at_once() {
        let mut shutdown = Shutdown::new(at(8));
        assert_eq!(shutdown.deadline(), None);
        assert_eq!(shutdown.stop(at(100)), Act::Ask);
        assert_eq!(shutdown.deadline(), Some(at(108)));
        assert_eq!(shutdown.stop(at(101)), Act::Kill);
        assert_eq!(shutdown.deadline(), None);
        assert_eq!(shutdown.stop(at(102)), Act::Kill);
    }

    #[test]
    fn the_end_of_the_grace_kills_once() {
        let mut shutdown = Shutdown::new(at(8));
        assert_eq!(shutdown.due(at(1_000)), Act::Nothing);
        shutdown.stop(at(100));
        assert_eq!(shutdown.due(at(107)), Act::Nothing);
        assert_eq!(shutdown.due(at(108)), Act::Kill);
        assert_eq!(shutdown.due(at(109)), Act::Nothing);
    }

    #[test]
    fn what_is_left_has_two_seconds_even_when_the_stop_comes_late() {
        let mut shutdown = Shutdown::new(at(8));
        shutdown.ended(at(50));
        assert!(shutdown.is_draining());
        assert_eq!(shutdown.stop(at(51)), Act::Nothing);
        assert_eq!(shutdown.due(at(51)), Act::Nothing);
        assert_eq!(shutdown.due(at(52)), Act::Leave);
        assert_eq!(shutdown.stop(at(51)), Act::Leave);
    }
}
