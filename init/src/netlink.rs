//! A netlink socket: one request at a time, never blocking, answers from the kernel only.
//!
//! The kernel works a request off inside `send` and has its whole answer ready when that returns, so an empty
//! socket before the answer's end is an error and not a reason to wait.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, setsockopt, sockopt,
};

use crate::sys;

pub mod wire;
use wire::{Message, Writer};

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 1;
/// `NLM_F_ACK`.
pub const ACK: u16 = 4;
/// `NLM_F_DUMP`.
pub const DUMP: u16 = 0x300;
/// `NLM_F_DUMP_INTR`: what was listed changed meanwhile.
const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NLMSG_DONE`.
const DONE: u16 = 3;

/// The largest piece in which the kernel hands out a listing.
const PIECE: usize = 32 << 10;
/// What a socket may send at once without asking for more (`net.core.wmem_default` is 208 kB at least).
const USUAL_SEND: usize = 64 << 10;
/// How often a listing that changed meanwhile is taken again.
const TRIES: usize = 5;

/// The netlink families that are spoken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// nf_tables, conntrack, NFLOG.
    Netfilter,
    /// Interfaces.
    Route,
    /// Sockets.
    SockDiag,
}

/// The kernel refused a message of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack {
    /// The message's sequence number.
    pub sequence: u32,
    /// Why.
    pub errno: i32,
}

impl Nack {
    /// The error with its text.
    pub fn error(self) -> io::Error {
        io::Error::from_raw_os_error(self.errno)
    }
}

/// A socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    port: u32,
    sequence: u32,
}

impl Socket {
    /// Opens one, non-blocking. `groups` is the mask of notifications to hear (bit n-1 is group n).
    ///
    /// # Errors
    /// `EPROTONOSUPPORT` where the kernel has no such family.
    pub fn open(family: Family, groups: u32) -> io::Result<Self> {
        let protocol = match family {
            Family::Netfilter => SockProtocol::NetlinkNetFilter,
            Family::Route => SockProtocol::NetlinkRoute,
            Family::SockDiag => SockProtocol::NetlinkSockDiag,
        };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket::socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        // Without it, an error's answer holds the whole request.
        sys::netlink_cap_ack(&fd)?;
        socket::bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        let port = socket::getsockname::<NetlinkAddr>(fd.as_raw_fd())?.pid();
        Ok(Self { fd, port, sequence: 0 })
    }

    /// Hears these notifications from now on.
    ///
    /// # Errors
    /// `EPERM` where the group needs a capability.
    pub fn subscribe(&self, groups: u32) -> io::Result<()> {
        Ok(socket::bind(self.fd.as_raw_fd(), &NetlinkAddr::new(self.port, groups))?)
    }

    /// The address that the kernel gave it: what a table's owner is compared with.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// For polling.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The first of `count` unused sequence numbers.
    pub fn reserve(&mut self, count: u32) -> u32 {
        let first = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(count);
        first
    }

    /// Sends a request whose last message asks for an acknowledgement. Every refusal comes back, in the order of
    /// the messages; none means that all was done.
    ///
    /// # Errors
    /// When the request could not be sent or its answer was lost.
    pub fn request(&self, bytes: &[u8], last: u32) -> io::Result<Vec<Nack>> {
        self.send(bytes)?;
        let mut nacks = Vec::new();
        let mut finished = false;
        let mut buffer = vec![0; PIECE];
        while let Some(piece) = self.receive(&mut buffer)? {
            for message in wire::messages(piece).filter(|message| message.kind == ERROR) {
                finished |= message.sequence == last;
                match error_code(&message) {
                    0 => {}
                    errno => nacks.push(Nack { sequence: message.sequence, errno }),
                }
            }
        }
        if !finished && nacks.is_empty() {
            return Err(io::Error::other("the kernel did not answer"));
        }
        Ok(nacks)
    }

    /// Asks for a listing and gives each message to `visit`, which is called from the start again when what is
    /// listed changed meanwhile: `begin` makes its state anew.
    ///
    /// # Errors
    /// When it was refused or incomplete.
    pub fn dump<T>(
        &mut self,
        kind: u16,
        body: impl Fn(&mut Writer),
        mut begin: impl FnMut() -> T,
        mut visit: impl FnMut(&mut T, &Message<'_>),
    ) -> io::Result<T> {
        let mut buffer = vec![0; PIECE];
        for _ in 0..TRIES {
            let mut found = begin();
            let sequence = self.reserve(1);
            let mut writer = Writer::new();
            writer.message(kind, REQUEST | DUMP, sequence, &body);
            self.send(writer.bytes())?;
            if self.collect(&mut buffer, sequence, |message| visit(&mut found, message))? {
                return Ok(found);
            }
        }
        Err(Errno::EINTR.into())
    }

    /// Whether the listing is of one moment.
    fn collect(
        &self,
        buffer: &mut [u8],
        sequence: u32,
        mut visit: impl FnMut(&Message<'_>),
    ) -> io::Result<bool> {
        let mut whole = true;
        while let Some(piece) = self.receive(buffer)? {
            for message in wire::messages(piece).filter(|message| message.sequence == sequence) {
                whole &= message.flags & DUMP_INTERRUPTED == 0;
                match message.kind {
                    DONE | ERROR => {
                        return match error_code(&message) {
                            0 => Ok(whole),
                            errno => Err(io::Error::from_raw_os_error(errno)),
                        };
                    }
                    _ => visit(&message),
                }
            }
        }
        Err(io::Error::other("the kernel's answer has no end"))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        // An answer that nobody waits for any more must not be taken for this one's.
        let mut scrap = [0; 64];
        while matches!(self.receive(&mut scrap), Ok(Some(_))) {}
        if bytes.len() > USUAL_SEND {
            setsockopt(&self.fd, sockopt::SndBufForce, &(bytes.len() + USUAL_SEND))?;
        }
        socket::send(self.fd.as_raw_fd(), bytes, MsgFlags::empty())?;
        Ok(())
    }

    /// The next piece that the kernel sent; `None` when there is none. What another process sent is left out.
    ///
    /// # Errors
    /// `ENOBUFS` when notifications were lost.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        loop {
            match socket::recvfrom::<NetlinkAddr>(self.fd.as_raw_fd(), buffer) {
                Ok((length, Some(from))) if from.pid() == 0 => return Ok(buffer.get(..length)),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The errno in an error's or end's payload; one that can't be read counts as an error.
fn error_code(message: &Message<'_>) -> i32 {
    wire::ne32(message.payload, 0).map_or(libc::EBADMSG, |code| code.cast_signed().wrapping_neg())
}
