//! The three states and what moves between them. Knows a fence and a resolver file, not what they are made of.

use std::net::Ipv4Addr;
use std::time::Duration;

use clawker_protocol::boot::BootState;
use clawker_protocol::control::{ErrorCode, StateName};
use clawker_protocol::enforcement::Service;

use crate::fence::{Fence, FenceError, Opening, Policy};

/// How soon a close that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Who points the agent at its name servers.
pub trait Resolver {
    /// Writes the name servers for an opening and reads them back.
    ///
    /// # Errors
    /// One sentence.
    fn point(&self, opening: Opening, coredns: Ipv4Addr) -> Result<(), String>;
}

/// Envoy has resolvers of its own, and its policy names no CoreDNS.
impl<R: Resolver> Resolver for Option<R> {
    fn point(&self, opening: Opening, coredns: Ipv4Addr) -> Result<(), String> {
        self.as_ref().map_or(Ok(()), |resolver| resolver.point(opening, coredns))
    }
}

impl Resolver for crate::resolv::ResolvConf {
    fn point(&self, opening: Opening, coredns: Ipv4Addr) -> Result<(), String> {
        Self::point(self, &crate::resolv::nameservers(opening, coredns)).map_err(|error| error.to_string())
    }
}

/// Why a change did not happen.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl From<FenceError> for Refused {
    fn from(error: FenceError) -> Self {
        Self { code: ErrorCode::Failed, message: format!("nothing was changed: {error}") }
    }
}

/// A change that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The state now.
    pub state: StateName,
    /// What made it so.
    pub cause: &'static str,
    /// A bypass's length.
    pub seconds: Option<u64>,
}

/// The state of one container's firewall. Times are readings of CLOCK_BOOTTIME.
#[derive(Debug)]
pub struct Machine<F, R> {
    fence: F,
    resolver: R,
    policy: Policy,
    state: StateName,
    bypass_max: u64,
    /// When a bypass ends, or when a failed close is tried again.
    deadline: Option<Duration>,
    /// When the end of a service is tried again.
    end_retry: Option<Duration>,
}

impl<F: Fence, R: Resolver> Machine<F, R> {
    /// Takes over a fence that is already installed for `state`.
    pub fn new(fence: F, resolver: R, policy: Policy, state: BootState, bypass_max: u64) -> Self {
        let state = match state {
            BootState::Enforcing => StateName::Enforcing,
            BootState::Disabled => StateName::Disabled,
        };
        Self { fence, resolver, policy, state, bypass_max, deadline: None, end_retry: None }
    }

    /// The state.
    pub fn state(&self) -> StateName {
        self.state
    }

    /// When the machine wants to hear from [`Self::tick`].
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// When the machine wants to hear from [`Self::end_services`].
    pub fn next_end(&self) -> Option<Duration> {
        let end = self.fence.next_end()?;
        Some(self.end_retry.map_or(end, |retry| end.max(retry)))
    }

    /// What is enforced while closed.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The fence, for what is no change of state: counters, refusals, the watcher.
    pub fn fence(&mut self) -> &mut F {
        &mut self.fence
    }

    /// The fence, to look at.
    pub fn fence_ref(&self) -> &F {
        &self.fence
    }

    /// Turns the firewall on, from any state.
    ///
    /// # Errors
    /// [`Refused`] when the kernel refused; it is tried again every second until it obeys.
    pub fn enable(&mut self, now: Duration, cause: &'static str) -> Result<Change, Refused> {
        if let Err(error) = self.fence.set_opening(Opening::Closed) {
            self.deadline = Some(now + RETRY);
            return Err(error.into());
        }
        self.state = StateName::Enforcing;
        self.deadline = None;
        self.point(Opening::Closed)?;
        Ok(Change { state: self.state, cause, seconds: None })
    }

    /// Turns the firewall off until told otherwise.
    ///
    /// # Errors
    /// [`Refused`]; the firewall is on then.
    pub fn disable(&mut self, now: Duration) -> Result<Change, Refused> {
        self.open(now, Opening::Indefinitely)?;
        self.state = StateName::Disabled;
        self.deadline = None;
        Ok(Change { state: self.state, cause: "disable", seconds: None })
    }

    /// Opens a window; a second one replaces the first.
    ///
    /// # Errors
    /// [`Refused`] for a length out of bounds (nothing changed), or when the kernel refused (the firewall is
    /// on then).
    pub fn bypass(&mut self, now: Duration, seconds: u64) -> Result<Change, Refused> {
        if seconds == 0 || seconds > self.bypass_max {
            let message = format!("a bypass lasts 1 to {} seconds, not {seconds}", self.bypass_max);
            return Err(Refused { code: ErrorCode::OutOfRange, message });
        }
        let length = Duration::from_secs(seconds);
        self.open(now, Opening::For(length))?;
        self.state = StateName::Bypass;
        self.deadline = Some(now + length);
        Ok(Change { state: self.state, cause: "bypass", seconds: Some(seconds) })
    }

    /// Ends a bypass.
    ///
    /// # Errors
    /// [`Refused`] when no bypass is running, or as [`Self::enable`].
    pub fn bypass_stop(&mut self, now: Duration) -> Result<Change, Refused> {
        if self.state != StateName::Bypass {
            let message = format!("no bypass is running: the firewall is {}", self.state);
            return Err(Refused { code: ErrorCode::NotInBypass, message });
        }
        self.enable(now, "bypass_stop")
    }

    /// To be called when [`Self::deadline`] has passed.
    ///
    /// # Errors
    /// As [`Self::enable`].
    pub fn tick(&mut self, now: Duration) -> Result<Option<Change>, Refused> {
        match self.deadline {
            Some(deadline) if now >= deadline => self.enable(now, "deadline").map(Some),
            _ => Ok(None),
        }
    }

    /// To be called when [`Self::next_end`] has passed; answers with the services that ended.
    ///
    /// # Errors
    /// [`Refused`]; it is tried again every second.
    pub fn end_services(&mut self, now: Duration) -> Result<Vec<Service>, Refused> {
        if self.next_end().is_none_or(|end| now < end) {
            return Ok(Vec::new());
        }
        let ended = self.fence.end_due();
        self.end_retry = ended.is_err().then_some(now + RETRY);
        Ok(ended?)
    }

    /// Swaps what is enforced while closed. The host makes its changes one after the other, so the last one holds.
    ///
    /// # Errors
    /// [`Refused`]; the old policy is in force then.
    pub fn swap(&mut self, policy: Policy) -> Result<(), Refused> {
        self.fence.swap(&policy)?;
        self.policy = policy;
        Ok(())
    }

    /// Opens the fence, then points the resolver. Any doubt closes it again.
    fn open(&mut self, now: Duration, opening: Opening) -> Result<(), Refused> {
        if let Err(error) = self.fence.set_opening(opening) {
            return Err(self.shut_after(now, &error.0));
        }
        if let Err(why) = self.point_resolver(opening) {
            return Err(self.shut_after(now, &why));
        }
        Ok(())
    }

    fn shut_after(&mut self, now: Duration, why: &str) -> Refused {
        let message = match self.enable(now, "deadline") {
            Ok(_) => format!("the firewall stays on: {why}"),
            Err(error) => format!("{why}; and closing again failed: {error}"),
        };
        Refused { code: ErrorCode::Failed, message }
    }

    fn point(&self, opening: Opening) -> Result<(), Refused> {
        self.point_resolver(opening).map_err(|why| Refused {
            code: ErrorCode::Failed,
            message: format!("the firewall is on, but {why}"),
        })
    }

    fn point_resolver(&self, opening: Opening) -> Result<(), String> {
        match &self.policy {
            Policy::Agent(enforcement) => self.resolver.point(opening, enforcement.coredns),
            Policy::Gateway(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
