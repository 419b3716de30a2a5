//! The flows that conntrack remembers: listing and forgetting them, over ctnetlink.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::netlink::wire::{Writer, array, attribute, be16};
use crate::netlink::{ACK, Family, REQUEST, Socket};
use crate::nft::uapi::{NFNL_SUBSYS_CTNETLINK, NFPROTO_IPV4, NFPROTO_UNSPEC};

const IPCTNL_MSG_CT_NEW: u16 = 0;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// Compare the protocol's number and the destination port (the kernel's `CTA_FILTER_F_*`).
const FILTER_PROTO_AND_PORT: u32 = 1 << 3 | 1 << 5;
/// `NLA_F_NESTED`: the kernel wants it on the tuple that comes back.
const NLA_F_NESTED: u16 = 1 << 15;
/// Entries that one request deletes.
const CHUNK: usize = 64;

/// One direction of a flow. Protocols without ports have 0 there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// From.
    pub source: SocketAddr,
    /// To.
    pub destination: SocketAddr,
}

/// A flow that conntrack remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The transport protocol's number.
    pub proto: u8,
    /// As its first packet was sent.
    pub original: Tuple,
    /// As its answers come: after a diversion, from somewhere else.
    pub reply: Tuple,
    /// What names it to the kernel.
    name: Name,
}

/// The attributes that name an entry, as the kernel wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    family: u8,
    tuple: Box<[u8]>,
    id: Option<[u8; 4]>,
    zone: Option<[u8; 2]>,
}

/// Reads an entry.
pub fn entry(payload: &[u8]) -> Option<Entry> {
    let (family, rest) = (*payload.first()?, payload.get(4..)?);
    let original = attribute(rest, CTA_TUPLE_ORIG)?;
    let (proto, tuple) = self::tuple(original)?;
    Some(Entry {
        proto,
        original: tuple,
        reply: self::tuple(attribute(rest, CTA_TUPLE_REPLY)?)?.1,
        name: Name {
            family,
            tuple: original.into(),
            id: attribute(rest, CTA_ID).and_then(|id| array(id, 0)),
            zone: attribute(rest, CTA_ZONE).and_then(|zone| array(zone, 0)),
        },
    })
}

fn tuple(bytes: &[u8]) -> Option<(u8, Tuple)> {
    let (ip, proto) = (attribute(bytes, CTA_TUPLE_IP)?, attribute(bytes, CTA_TUPLE_PROTO)?);
    let address = |four, six| match attribute(ip, four) {
        Some(bytes) => array::<4>(bytes, 0).map(IpAddr::from),
        None => array::<16>(attribute(ip, six)?, 0).map(IpAddr::from),
    };
    let port = |kind| attribute(proto, kind).and_then(be16).unwrap_or(0);
    let tuple = Tuple {
        source: SocketAddr::new(address(CTA_IP_V4_SRC, CTA_IP_V6_SRC)?, port(CTA_PROTO_SRC_PORT)),
        destination: SocketAddr::new(address(CTA_IP_V4_DST, CTA_IP_V6_DST)?, port(CTA_PROTO_DST_PORT)),
    };
    Some((*attribute(proto, CTA_PROTO_NUM)?.first()?, tuple))
}

/// Conntrack of this namespace.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    /// Opens it.
    ///
    /// # Errors
    /// When no socket is to be had.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: Socket::open(Family::Netfilter, 0)? })
    }

    /// The entries that `wanted` picks.
    ///
    /// # Errors
    /// When the kernel did not answer.
    pub fn list(&mut self, wanted: impl Fn(&Entry) -> bool) -> io::Result<Vec<Entry>> {
        self.socket.dump(
            NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET,
            |to| to.raw(&[NFPROTO_UNSPEC, 0, 0, 0]),
            Vec::new,
            |found, message| {
                if message.kind == NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW {
                    found.extend(entry(message.payload).filter(&wanted));
                }
            },
        )
    }

    /// Forgets every IPv4 entry of a transport protocol to a port, without listing any: a listing takes a lock for
    /// each of conntrack's many buckets, 10 ms in all on a usual host.
    ///
    /// # Errors
    /// `EINVAL` before Linux 6.8, which takes the filter for half a name. Nothing is forgotten then.
    pub fn forget_port(&mut self, proto: u8, port: u16) -> io::Result<()> {
        let sequence = self.socket.reserve(1);
        let mut writer = Writer::new();
        let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
        writer.message(kind, REQUEST | ACK, sequence, |to| {
            // In version 1 the family is a condition, too.
            to.raw(&[NFPROTO_IPV4, 1, 0, 0]);
            to.nest(CTA_TUPLE_ORIG, |to| {
                to.nest(CTA_TUPLE_PROTO, |to| {
                    to.attribute(CTA_PROTO_NUM, &[proto]);
                    to.attribute(CTA_PROTO_DST_PORT, &port.to_be_bytes());
                });
            });
            to.nest(CTA_FILTER, |to| {
                to.attribute(CTA_FILTER_ORIG_FLAGS, &FILTER_PROTO_AND_PORT.to_ne_bytes());
                to.attribute(CTA_FILTER_REPLY_FLAGS, &0u32.to_ne_bytes());
            });
        });
        match self.socket.request(writer.bytes(), sequence)?.first() {
            None => Ok(()),
            Some(nack) => Err(nack.error()),
        }
    }

    /// Forgets entries. One that is gone already is no error.
    ///
    /// # Errors
    /// When the kernel refused.
    pub fn delete<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) -> io::Result<()> {
        let entries: Vec<_> = entries.collect();
        for chunk in entries.chunks(CHUNK) {
            let count = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
            let first = self.socket.reserve(count);
            let mut writer = Writer::new();
            for (sequence, entry) in (first..).zip(chunk) {
                encode_delete(&mut writer, sequence, &entry.name);
            }
            let nacks = self.socket.request(writer.bytes(), first.wrapping_add(count).wrapping_sub(1))?;
            if let Some(nack) = nacks.iter().find(|nack| nack.errno != libc::ENOENT) {
                return Err(nack.error());
            }
        }
        Ok(())
    }
}

fn encode_delete(writer: &mut Writer, sequence: u32, name: &Name) {
    let kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
    writer.message(kind, REQUEST | ACK, sequence, |to| {
        to.raw(&[name.family, 0, 0, 0]);
        to.attribute(CTA_TUPLE_ORIG | NLA_F_NESTED, &name.tuple);
        if let Some(id) = name.id {
            to.attribute(CTA_ID, &id);
        }
        if let Some(zone) = name.zone {
            to.attribute(CTA_ZONE, &zone);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple_of(writer: &mut Writer, kind: u16, source: [u8; 4], destination: [u8; 4]) {
        writer.nest(kind, |to| {
            to.nest(CTA_TUPLE_IP, |to| {
                to.attribute(CTA_IP_V4_SRC, &source);
                to.attribute(CTA_IP_V4_DST, &destination);
            });
            to.nest(CTA_TUPLE_PROTO, |to| {
                to.attribute(CTA_PROTO_NUM, &[6]);
                to.attribute(CTA_PROTO_SRC_PORT, &[0x80, 0]);
                to.attribute(CTA_PROTO_DST_PORT, &[1, 187]);
            });
        });
    }

    #[test]
    fn an_entry_is_deleted_by_the_name_under_which_it_was_listed() {
        let mut listed = Writer::new();
        listed.raw(&[2, 0, 0, 0]);
        tuple_of(&mut listed, CTA_TUPLE_ORIG, [10, 0, 0, 1], [198, 51, 100, 9]);
        tuple_of(&mut listed, CTA_TUPLE_REPLY, [10, 0, 0, 2], [10, 0, 0, 1]);
        listed.attribute(CTA_ID, &[1, 2, 3, 4]);
        let entry = entry(listed.bytes()).unwrap();
        assert_eq!(entry.proto, 6);
        assert_eq!(entry.original.destination, "198.51.100.9:443".parse().unwrap());
        assert_eq!(entry.reply.source.ip(), "10.0.0.2".parse::<IpAddr>().unwrap());

        let mut request = Writer::new();
        encode_delete(&mut request, 5, &entry.name);
        let again = request.bytes().get(20..).unwrap();
        assert_eq!(attribute(again, CTA_TUPLE_ORIG), attribute(&listed.bytes()[4..], CTA_TUPLE_ORIG));
        assert_eq!(attribute(again, CTA_ID), Some(&[1u8, 2, 3, 4][..]));

        for cut in 0..listed.len() - 8 {
            assert!(super::entry(&listed.bytes()[..cut]).is_none(), "{cut}");
        }
    }
}
