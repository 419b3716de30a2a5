//! The only file with `unsafe`: system calls by their numbers, and by the other ways into the kernel. Who asks for one
//! gives numbers, or memory that lives as long as the call.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::libc::{self, c_long};

/// Makes a call by its number. An argument that points somewhere has to point to live memory of the size that the call
/// reads or writes: [`address`] and [`address_mut`] make one.
pub fn call<const N: usize>(number: c_long, arguments: [c_long; N]) -> io::Result<c_long> {
    let at = |place: usize| arguments.get(place).copied().unwrap_or_default();
    // SAFETY: whoever calls this vouches for its pointers, all of which are borrowed for longer than the call takes.
    let result = unsafe { libc::syscall(number, at(0), at(1), at(2), at(3), at(4), at(5)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Where something is, for a call that reads it.
pub fn address<T: ?Sized>(of: &T) -> c_long {
    std::ptr::from_ref(of).cast::<u8>().addr().cast_signed() as c_long
}

/// Where something is, for a call that writes it.
pub fn address_mut<T: ?Sized>(of: &mut T) -> c_long {
    std::ptr::from_mut(of).cast::<u8>().addr().cast_signed() as c_long
}

/// A call whose result is a descriptor.
pub fn descriptor<const N: usize>(number: c_long, arguments: [c_long; N]) -> io::Result<OwnedFd> {
    let fd = call(number, arguments)?;
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option of a socket that no library has a name for.
pub fn set_option(fd: &impl AsRawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let length = c_long::try_from(value.len()).map_err(io::Error::other)?;
    let fd = c_long::from(fd.as_raw_fd());
    call(libc::SYS_setsockopt, [fd, level.into(), name.into(), address(value), length]).map(drop)
}

/// Forks by a call that takes flags; the child ends at once. For a process of one thread only.
pub fn fork<const N: usize>(number: c_long, arguments: [c_long; N]) -> io::Result<()> {
    let child = call(number, arguments)?;
    if child == 0 {
        // SAFETY: ends this process and runs nothing of it.
        unsafe { libc::_exit(0) }
    }
    Ok(())
}

/// `__X32_SYSCALL_BIT` of asm/unistd.h.
#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;

/// Opens a socket by the number space of x32.
#[cfg(target_arch = "x86_64")]
pub fn socket_x32() -> io::Result<OwnedFd> {
    descriptor(
        libc::SYS_socket | X32,
        [libc::AF_INET.into(), (libc::SOCK_DGRAM | libc::SOCK_CLOEXEC).into(), 0],
    )
}

/// Opens a socket through the entry of 32-bit programs. Without one in the kernel the process dies of it.
#[cfg(target_arch = "x86_64")]
pub fn socket_i386() -> io::Result<()> {
    /// asm/unistd_32.h.
    const SOCKET: i32 = 359;
    let mut result = SOCKET;
    // SAFETY: the call takes three numbers and no pointer; rbx, which the compiler keeps for itself, is put back. What
    // the old entry does not keep (r8 to r11) is named.
    unsafe {
        std::arch::asm!(
            "xchg {kept:r}, rbx",
            "int 0x80",
            "xchg {kept:r}, rbx",
            kept = inout(reg) i64::from(libc::AF_INET) => _,
            inout("eax") result,
            in("ecx") libc::SOCK_DGRAM,
            in("edx") 0,
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
    }
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

/// Other machines have no such entries.
#[cfg(not(target_arch = "x86_64"))]
pub fn socket_x32() -> io::Result<OwnedFd> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// Likewise.
#[cfg(not(target_arch = "x86_64"))]
pub fn socket_i386() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}
