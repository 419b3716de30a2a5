//! What the kernel lists: tables, chains, rules, elements, counters. Plain functions on the payload of a
//! message; what can't be read is `None`.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::sets::{Key, RawElement};
use super::uapi::*;
use crate::netlink::wire::{self, attribute, attributes, be16, be32, be64, nested, text};

/// The length of `struct nfgenmsg`.
const HEADER: usize = 4;

fn split(payload: &[u8]) -> Option<(u8, &[u8])> {
    Some((*payload.first()?, payload.get(HEADER..)?))
}

/// A table as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTable {
    /// Its family.
    pub family: u8,
    /// Its name.
    pub name: String,
    /// Never used twice.
    pub handle: u64,
    /// The netlink address of the socket that it belongs to.
    pub owner: Option<u32>,
}

/// Reads a table.
pub fn table(payload: &[u8]) -> Option<ListedTable> {
    let (family, rest) = split(payload)?;
    Some(ListedTable {
        family,
        name: attribute(rest, NFTA_TABLE_NAME).and_then(text)?.to_owned(),
        handle: attribute(rest, NFTA_TABLE_HANDLE).and_then(be64)?,
        owner: attribute(rest, NFTA_TABLE_OWNER).and_then(be32),
    })
}

/// A chain as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedChain {
    /// Its family.
    pub family: u8,
    /// Its table's name.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its place, for those that have one.
    pub base: Option<ListedBase>,
}

/// A chain's place as listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedBase {
    /// `filter`, `nat`, `route`.
    pub kind: String,
    /// The hook's number.
    pub hook: u32,
    /// The priority.
    pub priority: i32,
    /// Drops what no rule judges.
    pub drops: bool,
    /// For netdev chains.
    pub device: Option<String>,
}

/// Reads a chain.
pub fn chain(payload: &[u8]) -> Option<ListedChain> {
    let (family, rest) = split(payload)?;
    let owned = |kind| attribute(rest, kind).and_then(text).map(str::to_owned);
    let base = match attribute(rest, NFTA_CHAIN_HOOK) {
        None => None,
        Some(hook) => Some(ListedBase {
            kind: owned(NFTA_CHAIN_TYPE)?,
            hook: attribute(hook, NFTA_HOOK_HOOKNUM).and_then(be32)?,
            priority: attribute(hook, NFTA_HOOK_PRIORITY).and_then(be32)?.cast_signed(),
            drops: attribute(rest, NFTA_CHAIN_POLICY).and_then(be32)? == NF_DROP.cast_unsigned(),
            device: attribute(hook, NFTA_HOOK_DEV).and_then(text).map(str::to_owned),
        }),
    };
    Some(ListedChain { family, table: owned(NFTA_CHAIN_TABLE)?, name: owned(NFTA_CHAIN_NAME)?, base })
}

/// A rule as listed: where it stands, and its expressions as a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRule {
    /// Its family.
    pub family: u8,
    /// Its table's name.
    pub table: String,
    /// Its chain's name.
    pub chain: String,
    /// Of its expressions. None of ours has anything that changes while it stands.
    pub fingerprint: u64,
}

/// Reads a rule.
pub fn rule(payload: &[u8]) -> Option<ListedRule> {
    let (family, rest) = split(payload)?;
    let owned = |kind| attribute(rest, kind).and_then(text).map(str::to_owned);
    let mut hasher = DefaultHasher::new();
    attribute(rest, NFTA_RULE_EXPRESSIONS)?.hash(&mut hasher);
    Some(ListedRule {
        family,
        table: owned(NFTA_RULE_TABLE)?,
        chain: owned(NFTA_RULE_CHAIN)?,
        fingerprint: hasher.finish(),
    })
}

/// Reads a message's set elements into `into`; false when one of them could not be read.
pub fn elements(payload: &[u8], into: &mut Vec<RawElement>) -> bool {
    let Some(list) = split(payload).and_then(|(_, rest)| attribute(rest, NFTA_SET_ELEM_LIST_ELEMENTS)) else {
        return false;
    };
    attributes(list).all(|(_, bytes)| element(bytes).map(|element| into.push(element)).is_some())
}

fn element(bytes: &[u8]) -> Option<RawElement> {
    let key = |kind| nested(bytes, &[kind, NFTA_DATA_VALUE]).and_then(|key| Key::new(&[key]));
    let flags = attribute(bytes, NFTA_SET_ELEM_FLAGS).and_then(be32).unwrap_or(0);
    Some(RawElement {
        key: key(NFTA_SET_ELEM_KEY)?,
        interval_end: flags & NFT_SET_ELEM_INTERVAL_END != 0,
        key_end: key(NFTA_SET_ELEM_KEY_END),
        value: nested(bytes, &[NFTA_SET_ELEM_DATA, NFTA_DATA_VALUE]).and_then(be16),
        timed: attribute(bytes, NFTA_SET_ELEM_TIMEOUT).and_then(be64).is_some_and(|timeout| timeout > 0),
    })
}

/// A named counter as listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedCounter {
    /// Its table's name.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Reads a counter.
pub fn counter(payload: &[u8]) -> Option<ListedCounter> {
    let (_, rest) = split(payload)?;
    let data = |kind| nested(rest, &[NFTA_OBJ_DATA, kind]).and_then(be64);
    (attribute(rest, NFTA_OBJ_TYPE).and_then(be32)? == NFT_OBJECT_COUNTER).then_some(())?;
    Some(ListedCounter {
        table: attribute(rest, NFTA_OBJ_TABLE).and_then(text)?.to_owned(),
        name: attribute(rest, NFTA_OBJ_NAME).and_then(text)?.to_owned(),
        packets: data(NFTA_COUNTER_PACKETS)?,
        bytes: data(NFTA_COUNTER_BYTES)?,
    })
}

/// Who caused a notification of nf_tables, by netlink address; `None` for another subsystem's.
pub fn cause(message: &wire::Message<'_>) -> Option<u32> {
    (message.kind >> 8 == NFNL_SUBSYS_NFTABLES).then_some(message.port)
}
