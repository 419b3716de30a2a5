//! The drop's system calls, for real.

use std::io;

use super::seccomp::Instruction;
use super::{CAPABILITIES, Identity, SECUREBITS, Syscalls};
use crate::sys::{self, Capabilities};

/// `SECCOMP_MODE_FILTER` of linux/seccomp.h.
const FILTERED: i32 = 2;

/// The running kernel.
#[derive(Debug, Clone, Copy, Default)]
pub struct Kernel;

/// More supplementary groups than this can't be read back, and are refused.
const MAX_GROUPS: usize = 128;

fn number(value: i32) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn securebits() -> io::Result<u32> {
    sys::prctl(libc::PR_GET_SECUREBITS, 0, 0).map(|bits| u32::try_from(bits).unwrap_or(0))
}

impl Syscalls for Kernel {
    fn bounding(&self, capability: u32) -> io::Result<bool> {
        sys::prctl(libc::PR_CAPBSET_READ, capability.into(), 0).map(|held| held == 1)
    }

    fn drop_bounding(&mut self, capability: u32) -> io::Result<()> {
        sys::prctl(libc::PR_CAPBSET_DROP, capability.into(), 0).map(drop)
    }

    fn clear_ambient(&mut self) -> io::Result<()> {
        sys::prctl(libc::PR_CAP_AMBIENT, number(libc::PR_CAP_AMBIENT_CLEAR_ALL), 0).map(drop)
    }

    fn set_securebits(&mut self, bits: u32) -> io::Result<()> {
        // Setting what is set already would need a capability.
        if securebits()? == bits {
            return Ok(());
        }
        sys::prctl(libc::PR_SET_SECUREBITS, bits.into(), 0).map(drop)
    }

    fn set_groups(&mut self, groups: &[u32]) -> io::Result<()> {
        sys::setgroups(groups)
    }

    fn set_gid(&mut self, gid: u32) -> io::Result<()> {
        sys::setresgid(gid)
    }

    fn set_uid(&mut self, uid: u32) -> io::Result<()> {
        sys::setresuid(uid)
    }

    fn set_capabilities(&mut self, sets: Capabilities) -> io::Result<()> {
        sys::capset(sets)
    }

    fn set_no_new_privs(&mut self) -> io::Result<()> {
        sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
    }

    fn set_filter(&mut self, program: &[Instruction]) -> io::Result<()> {
        sys::set_seccomp_filter(program)
    }

    fn is_dropped(&self, identity: &Identity) -> io::Result<bool> {
        let mut room = [0u32; MAX_GROUPS];
        let count = sys::getgroups(&mut room)?;
        let groups = room.get(..count).unwrap_or_default();
        let uids = nix::unistd::getresuid()?;
        let gids = nix::unistd::getresgid()?;
        let is_set = |capability: u32| {
            let is_set = number(libc::PR_CAP_AMBIENT_IS_SET);
            matches!(sys::prctl(libc::PR_CAP_AMBIENT, is_set, capability.into()), Ok(1))
        };
        Ok([uids.real, uids.effective, uids.saved].iter().all(|uid| uid.as_raw() == identity.uid)
            && [gids.real, gids.effective, gids.saved].iter().all(|gid| gid.as_raw() == identity.gid)
            && count == identity.groups.len()
            && groups.iter().all(|group| identity.groups.contains(group))
            && sys::capget()? == Capabilities::default()
            && !(0..CAPABILITIES).any(is_set)
            && securebits()? == SECUREBITS
            && sys::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0)? == 1
            && sys::prctl(libc::PR_GET_SECCOMP, 0, 0)? == FILTERED)
    }
}
