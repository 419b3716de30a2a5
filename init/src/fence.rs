//! What the states ask of whatever enforces them. Policy, state and control know only this trait, so that
//! enforcement from outside the container can stand beside netfilter one day.

use std::collections::BTreeMap;
use std::time::Duration;

use clawker_protocol::enforcement::{Enforcement, Service};
use clawker_protocol::event::{Count, RefusalClass};

/// How far the fence is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Only what the enforcement lists passes.
    Closed,
    /// All egress passes for this long; the kernel itself shuts it, whoever lives.
    For(Duration),
    /// All egress passes.
    Indefinitely,
}

/// Why a change did not happen. What was in force before still is.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct FenceError(pub String);

/// Something that enforces. Each call is one transaction: it has happened and was read back, or it has not
/// happened at all.
pub trait Fence {
    /// Opens or closes. Closing also destroys the flows that the enforcement does not allow; every change
    /// forgets the conntrack entries of port 53.
    ///
    /// # Errors
    /// [`FenceError`] when the kernel refused, or when what was read back is not what was asked for.
    fn set_opening(&mut self, opening: Opening) -> Result<(), FenceError>;

    /// Swaps what is enforced while closed, without touching the opening. Flows of what is no longer listed
    /// are destroyed.
    ///
    /// # Errors
    /// [`FenceError`] as above.
    fn swap(&mut self, enforcement: &Enforcement) -> Result<(), FenceError>;

    /// When the next service with an end is up, on CLOCK_BOOTTIME.
    fn next_end(&self) -> Option<Duration>;

    /// Ends the services whose time is up, and their flows unless it is open. The kernel has stopped their packets by
    /// then, whoever lives. Answers with each once.
    ///
    /// # Errors
    /// [`FenceError`]; to be tried again.
    fn end_due(&mut self) -> Result<Vec<Service>, FenceError>;

    /// What was refused so far.
    ///
    /// # Errors
    /// [`FenceError`] when the kernel did not answer.
    fn refused(&mut self) -> Result<BTreeMap<RefusalClass, Count>, FenceError>;
}
