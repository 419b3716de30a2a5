//! What the states ask of whatever enforces them. Policy, state and control know only this trait, so that
//! enforcement from outside the container can stand beside netfilter one day.

use std::collections::BTreeMap;
use std::time::Duration;

use clawker_protocol::enforcement::{Enforcement, Service};
use clawker_protocol::event::{Count, RefusalClass};
use clawker_protocol::gateway::Gateway;

/// What is enforced while the fence is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// Around an agent.
    Agent(Enforcement),
    /// Around Envoy.
    Gateway(Gateway),
}

impl From<Enforcement> for Policy {
    fn from(enforcement: Enforcement) -> Self {
        Self::Agent(enforcement)
    }
}

impl From<Gateway> for Policy {
    fn from(gateway: Gateway) -> Self {
        Self::Gateway(gateway)
    }
}

/// How far the fence is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// Only what the policy lists passes.
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
    /// Opens or closes. Closing also destroys the flows that the policy does not allow; every change
    /// forgets the conntrack entries of port 53.
    ///
    /// # Errors
    /// [`FenceError`] when the kernel refused, or when what was read back is not what was asked for; always around
    /// Envoy, where there is nothing to open.
    fn set_opening(&mut self, opening: Opening) -> Result<(), FenceError>;

    /// Swaps what is enforced while closed for another policy of the same kind, without touching the opening. Flows
    /// of what is no longer listed are destroyed.
    ///
    /// # Errors
    /// [`FenceError`] as above.
    fn swap(&mut self, policy: &Policy) -> Result<(), FenceError>;

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
