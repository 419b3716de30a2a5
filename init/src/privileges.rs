//! The drop: how a root process becomes the agent's user with nothing left that it could come back with. One
//! function in one order, over a trait, so that the order is a test; each step is read back, and any doubt ends
//! the child before exec. Also what PID 1 itself gives up.
//!
//! Runs between fork and exec: no allocation, no locks, no logging. That is also why the capability calls are
//! our own (`sys::capset`): the `caps` crate builds hash sets.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::fchown;

use nix::sys::stat::{SFlag, fstat};

use crate::sys::{self, Capabilities};

mod kernel;
pub mod seccomp;
pub use kernel::Kernel;

/// `linux/capability.h`: signals to processes of other users.
pub const CAP_KILL: u32 = 5;
/// `linux/capability.h`: rules, connections, routes.
pub const CAP_NET_ADMIN: u32 = 12;
/// All that PID 1 of an agent's container needs once the agent runs: NET_ADMIN changes the state and cuts flows,
/// KILL reaches the agent's user. SETUID, SETGID and SETPCAP serve the fork alone; CHOWN and DAC_OVERRIDE the
/// control socket and the standard streams, before it.
pub const PID1_KEEPS: [u32; 2] = [CAP_KILL, CAP_NET_ADMIN];

/// One more than the highest capability that a kernel could have.
pub const CAPABILITIES: u32 = 64;

/// `linux/securebits.h`: uid 0 gives no capabilities, here or after exec of anything; none can be kept over a
/// change of uid or become ambient; a change of uid goes on clearing them. All locked.
pub const SECUREBITS: u32 = NOROOT | NOROOT_LOCKED | NO_SETUID_FIXUP_LOCKED | KEEP_CAPS_LOCKED | AMBIENT;
const NOROOT: u32 = 1 << 0;
const NOROOT_LOCKED: u32 = 1 << 1;
const NO_SETUID_FIXUP_LOCKED: u32 = 1 << 3;
const KEEP_CAPS_LOCKED: u32 = 1 << 5;
/// `SECBIT_NO_CAP_AMBIENT_RAISE` and its lock.
const AMBIENT: u32 = 1 << 6 | 1 << 7;

/// Who a process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its supplementary groups: these and no others.
    pub groups: Vec<u32>,
    /// What it may ask of the kernel.
    pub filter: seccomp::Program,
}

/// A step of the drop, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// Nothing that is ever executed can give a capability.
    Bounding,
    /// No capability survives exec by itself.
    Ambient,
    /// Neither of these can be undone.
    Securebits,
    /// No group of root's is left. Before the uid, which takes the right to do it.
    Groups,
    /// The same for the gid.
    Gid,
    /// The uid, in all three places.
    Uid,
    /// No capability in any set.
    Capabilities,
    /// Set-uid files give nothing.
    NoNewPrivs,
    /// No system call that the filter refuses.
    Filter,
    /// All of it is true.
    ReadBack,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Bounding,
        Self::Ambient,
        Self::Securebits,
        Self::Groups,
        Self::Gid,
        Self::Uid,
        Self::Capabilities,
        Self::NoNewPrivs,
        Self::Filter,
        Self::ReadBack,
    ];

    /// What a person is told where it failed.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Bounding => "empty the capability bounding set (the container needs CAP_SETPCAP)",
            Self::Ambient => "empty the ambient capabilities",
            Self::Securebits => "lock the securebits (the container needs CAP_SETPCAP)",
            Self::Groups => "set the agent's groups (the container needs CAP_SETGID)",
            Self::Gid => "set the agent's gid (the container needs CAP_SETGID)",
            Self::Uid => "set the agent's uid (the container needs CAP_SETUID)",
            Self::Capabilities => "drop the capabilities",
            Self::NoNewPrivs => "set no_new_privs",
            Self::Filter => "set the system call filter (the kernel needs CONFIG_SECCOMP_FILTER)",
            Self::ReadBack => "verify that all privileges are gone",
        }
    }
}

/// The step that failed, and why.
#[derive(Debug, thiserror::Error)]
#[error("Can't {}: {source}", step.describe())]
pub struct DropError {
    /// Which.
    pub step: Step,
    /// Why.
    pub source: io::Error,
}

/// The system calls of the drop.
pub trait Syscalls {
    /// Whether a capability is in the bounding set; `EINVAL` past the last one that the kernel has.
    ///
    /// # Errors
    /// As said.
    fn bounding(&self, capability: u32) -> io::Result<bool>;
    /// Takes one out of it.
    ///
    /// # Errors
    /// `EPERM`.
    fn drop_bounding(&mut self, capability: u32) -> io::Result<()>;
    /// Empties the ambient set.
    ///
    /// # Errors
    /// `EINVAL` on kernels without one.
    fn clear_ambient(&mut self) -> io::Result<()>;
    /// Sets the securebits.
    ///
    /// # Errors
    /// `EPERM`.
    fn set_securebits(&mut self, bits: u32) -> io::Result<()>;
    /// Sets the supplementary groups.
    ///
    /// # Errors
    /// `EPERM`.
    fn set_groups(&mut self, groups: &[u32]) -> io::Result<()>;
    /// Sets all three gids.
    ///
    /// # Errors
    /// `EPERM`.
    fn set_gid(&mut self, gid: u32) -> io::Result<()>;
    /// Sets all three uids.
    ///
    /// # Errors
    /// `EPERM`.
    fn set_uid(&mut self, uid: u32) -> io::Result<()>;
    /// Sets the capability sets.
    ///
    /// # Errors
    /// `EPERM`.
    fn set_capabilities(&mut self, sets: Capabilities) -> io::Result<()>;
    /// Sets no_new_privs.
    ///
    /// # Errors
    /// None that is known.
    fn set_no_new_privs(&mut self) -> io::Result<()>;
    /// Sets the system call filter.
    ///
    /// # Errors
    /// `EINVAL` on kernels without it.
    fn set_filter(&mut self, program: &[seccomp::Instruction]) -> io::Result<()>;
    /// Reads everything back and compares; the bounding set is compared by the caller.
    ///
    /// # Errors
    /// When it can't be read.
    fn is_dropped(&self, identity: &Identity) -> io::Result<bool>;
}

/// Becomes `identity` for good.
///
/// # Errors
/// [`DropError`]: the process is half-way then and must end.
pub fn drop_to(identity: &Identity, calls: &mut impl Syscalls) -> Result<(), DropError> {
    let at = |step| move |source| DropError { step, source };
    // The bounding set and the securebits need CAP_SETPCAP, so they come while it is still there.
    empty_bounding(calls, &[]).map_err(at(Step::Bounding))?;
    calls.clear_ambient().map_err(at(Step::Ambient))?;
    calls.set_securebits(SECUREBITS).map_err(at(Step::Securebits))?;
    calls.set_groups(&identity.groups).map_err(at(Step::Groups))?;
    calls.set_gid(identity.gid).map_err(at(Step::Gid))?;
    calls.set_uid(identity.uid).map_err(at(Step::Uid))?;
    // The change of uid has cleared permitted and effective; this also clears inheritable, and holds for uid 0.
    calls.set_capabilities(Capabilities::default()).map_err(at(Step::Capabilities))?;
    calls.set_no_new_privs().map_err(at(Step::NoNewPrivs))?;
    // no_new_privs lets it be set without a capability, and nothing that it forbids comes after.
    calls.set_filter(&identity.filter).map_err(at(Step::Filter))?;
    match calls.is_dropped(identity) {
        Ok(true) => {}
        Ok(false) => return Err(at(Step::ReadBack)(io::ErrorKind::PermissionDenied.into())),
        Err(error) => return Err(at(Step::ReadBack)(error)),
    }
    match bounding_holds_only(calls, &[]) {
        true => Ok(()),
        false => Err(at(Step::ReadBack)(io::ErrorKind::PermissionDenied.into())),
    }
}

/// Empties the bounding set but for `keep`. What is not in it needs no right to be taken out.
fn empty_bounding(calls: &mut impl Syscalls, keep: &[u32]) -> io::Result<()> {
    for capability in (0..CAPABILITIES).filter(|capability| !keep.contains(capability)) {
        match calls.bounding(capability) {
            Ok(true) => calls.drop_bounding(capability)?,
            Ok(false) => {}
            // Past the last one that the kernel has.
            Err(_) => break,
        }
    }
    Ok(())
}

fn bounding_holds_only(calls: &impl Syscalls, keep: &[u32]) -> bool {
    !(0..CAPABILITIES)
        .any(|capability| !keep.contains(&capability) && matches!(calls.bounding(capability), Ok(true)))
}

/// Why PID 1 did not give up what it must.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// A call failed.
    #[error("Can't drop the capabilities of PID 1 (the container needs CAP_SETPCAP): {0}")]
    Call(#[from] io::Error),
    /// They are still there.
    #[error("PID 1 still holds capabilities that it dropped")]
    ReadBack,
}

/// PID 1 keeps at most `keep`, in every set. To be called after the fork, which needs more.
///
/// # Errors
/// [`ShrinkError`]: the agent must not go on then.
pub fn shrink_pid1(keep: &[u32]) -> Result<(), ShrinkError> {
    let mut kernel = Kernel;
    // The bounding set first: it needs CAP_SETPCAP.
    empty_bounding(&mut kernel, keep)?;
    kernel.clear_ambient()?;
    let wanted = keep.iter().fold(0, |mask, capability| mask | 1u64 << capability);
    let held = wanted & sys::capget()?.permitted;
    let sets = Capabilities { effective: held, permitted: held, inheritable: 0 };
    kernel.set_capabilities(sets)?;
    if sys::capget()? == sets && bounding_holds_only(&kernel, keep) {
        Ok(())
    } else {
        Err(ShrinkError::ReadBack)
    }
}

/// Makes the process one that other users can't look into: no ptrace, no `pidfd_getfd`, no `/proc/1/mem`, no
/// core. To be called early by a PID 1 that holds sockets worth having.
///
/// # Errors
/// None that is known.
pub fn hide() -> io::Result<()> {
    nix::sys::prctl::set_dumpable(false).map_err(io::Error::from)
}

/// Gives standard input, output and error to the agent's user, where they are pipes or terminals: else it can't
/// open `/dev/stdout`. Files and devices (`/dev/null`!) belong to others and are left alone. Allocates nothing.
///
/// # Errors
/// The first failure; the rest is tried all the same.
pub fn give_streams(uid: u32) -> io::Result<()> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut result = Ok(());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        if is_ours_to_give(stream) {
            result = result.and(fchown(stream, Some(uid), None));
        }
    }
    result
}

fn is_ours_to_give(stream: BorrowedFd<'_>) -> bool {
    let Ok(stat) = fstat(stream) else { return false };
    let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
    kind == SFlag::S_IFIFO || (kind == SFlag::S_IFCHR && nix::unistd::isatty(stream).unwrap_or(false))
}

#[cfg(test)]
mod tests;
