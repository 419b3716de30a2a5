//! The one loop of PID 1: signals, exits, and whatever else asked to be waited for.

use std::os::fd::RawFd;
use std::time::Duration;

/// A descriptor that an [`Attendant`] wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest {
    /// The descriptor.
    pub fd: RawFd,
    /// Wait for it to become readable.
    pub read: bool,
    /// Wait for it to become writable.
    pub write: bool,
}

/// Everything in the loop that is not signals and children: control socket, refusals, deadlines. None of its
/// calls may block.
pub trait Attendant {
    /// Adds what it waits for.
    fn interests(&self, into: &mut Vec<Interest>);
    /// How long the loop may sleep at most; `None` for as long as nothing happens.
    fn timeout(&self) -> Option<Duration>;
    /// Called after every wake-up with the descriptors that are ready (also errors and hang-ups).
    fn attend(&mut self, ready: &[RawFd]);
    /// The agent was started.
    fn agent_started(&mut self, pid: i32);
    /// The agent ended with this exit code; what it left behind is cleaned up next.
    fn agent_exited(&mut self, code: i32);
}

/// Nothing besides signals and children: `clawker-init supervise`.
#[derive(Debug, Default)]
pub struct Alone;

impl Attendant for Alone {
    fn interests(&self, _into: &mut Vec<Interest>) {}
    fn timeout(&self) -> Option<Duration> {
        None
    }
    fn attend(&mut self, _ready: &[RawFd]) {}
    fn agent_started(&mut self, _pid: i32) {}
    fn agent_exited(&mut self, _code: i32) {}
}
