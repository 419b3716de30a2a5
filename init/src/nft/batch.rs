//! One nf_tables transaction: all of its messages take effect at once, or none does.

use std::collections::HashSet;

use super::rules::{Chain, Ruleset, Table};
use super::sets::{Key, RawElement, Set, TYPE_INET_SERVICE};
use super::uapi::*;
use crate::netlink::wire::Writer;
use crate::netlink::{ACK, REQUEST};

/// `NLM_F_CREATE`.
const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: a rule goes to its chain's end.
const APPEND: u16 = 0x800;
/// Elements in one message: an attribute holds at most 64 kB, and an element at most 72 bytes.
const ELEMENTS: usize = 800;

/// The type of an nf_tables message.
pub fn kind(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

/// `struct nfgenmsg`.
pub fn header(to: &mut Writer, family: u8) {
    to.raw(&[family, 0, 0, 0]);
}

/// A transaction being written. Sequence numbers count from 1; each has a label that says what it was about.
#[derive(Debug)]
pub struct Batch {
    writer: Writer,
    labels: Vec<String>,
    last: usize,
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty one.
    pub fn new() -> Self {
        let mut batch = Self { writer: Writer::new(), labels: Vec::new(), last: 0 };
        batch.border(NFNL_MSG_BATCH_BEGIN);
        batch
    }

    fn border(&mut self, kind: u16) {
        let [high, low] = NFNL_SUBSYS_NFTABLES.to_be_bytes();
        self.writer.message(kind, REQUEST, 0, |to| to.raw(&[NFPROTO_UNSPEC, 0, high, low]));
    }

    fn add(&mut self, message: u16, flags: u16, family: u8, label: String, body: impl FnOnce(&mut Writer)) {
        self.labels.push(label);
        let sequence = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        self.last = self.writer.len();
        self.writer.message(kind(message), REQUEST | flags, sequence, |to| {
            header(to, family);
            body(to);
        });
    }

    /// The bytes to send and the sequence number that is acknowledged. An empty transaction has none.
    pub fn finish(mut self) -> Option<Finished> {
        if self.labels.is_empty() {
            return None;
        }
        self.writer.add_flags(self.last, ACK);
        self.border(NFNL_MSG_BATCH_END);
        let last = u32::try_from(self.labels.len()).unwrap_or(u32::MAX);
        Some(Finished { writer: self.writer, labels: self.labels, last })
    }

    /// Adds all tables.
    pub fn add_ruleset(&mut self, ruleset: &Ruleset) {
        ruleset.tables.iter().for_each(|table| self.add_table(table));
    }

    /// Adds a table with all that is in it. Chains come before rules, so that a rule can lead to any of them.
    pub fn add_table(&mut self, table: &Table) {
        self.add(NFT_MSG_NEWTABLE, CREATE, table.family, label(table), |to| {
            to.text(NFTA_TABLE_NAME, table.name);
            if table.owned {
                to.be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
            }
        });
        for counter in &table.counters {
            self.add(NFT_MSG_NEWOBJ, CREATE, table.family, part(table, "counter", counter), |to| {
                to.text(NFTA_OBJ_TABLE, table.name);
                to.text(NFTA_OBJ_NAME, counter);
                to.be32(NFTA_OBJ_TYPE, NFT_OBJECT_COUNTER);
                to.nest(NFTA_OBJ_DATA, |to| {
                    to.be64(NFTA_COUNTER_BYTES, 0);
                    to.be64(NFTA_COUNTER_PACKETS, 0);
                });
            });
        }
        for (id, set) in (1..).zip(&table.sets) {
            self.add(NFT_MSG_NEWSET, CREATE, table.family, part(table, "set", set.name), |to| {
                encode_set(to, table.name, set, id);
            });
        }
        for set in &table.sets {
            self.add_elements(table, set, &set.raw());
        }
        for chain in &table.chains {
            self.add(NFT_MSG_NEWCHAIN, CREATE, table.family, part(table, "chain", &chain.name), |to| {
                encode_chain(to, table.name, chain);
            });
        }
        self.add_rules(table);
    }

    fn add_rules(&mut self, table: &Table) {
        for chain in &table.chains {
            for rule in &chain.rules {
                let text = || rule.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                let label = format!("rule \"{}\" in chain {}", text(), chain.name);
                self.add(NFT_MSG_NEWRULE, CREATE | APPEND, table.family, label, |to| {
                    to.text(NFTA_RULE_TABLE, table.name);
                    to.text(NFTA_RULE_CHAIN, &chain.name);
                    to.nest(NFTA_RULE_EXPRESSIONS, |to| rule.iter().for_each(|step| step.encode(to)));
                });
            }
        }
    }

    fn add_elements(&mut self, table: &Table, set: &Set, elements: &[RawElement]) {
        // In the order of all of its elements: what has times is only ever put in as a whole.
        let mut times = set.times().into_iter();
        for chunk in elements.chunks(ELEMENTS) {
            let label = part(table, "elements of set", set.name);
            self.elements(NFT_MSG_NEWSETELEM, CREATE, table, set, label, |to| {
                for element in chunk {
                    let timeout =
                        times.next().map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1));
                    encode_element(to, element, timeout);
                }
            });
        }
    }

    fn delete_elements(&mut self, table: &Table, set: &Set, elements: &[RawElement]) {
        for chunk in elements.chunks(ELEMENTS) {
            let label = part(table, "old elements of set", set.name);
            self.elements(NFT_MSG_DELSETELEM, 0, table, set, label, |to| {
                let key = |element: &RawElement| RawElement { value: None, timed: false, ..*element };
                chunk.iter().for_each(|element| encode_element(to, &key(element), None));
            });
        }
    }

    fn elements(
        &mut self,
        message: u16,
        flags: u16,
        table: &Table,
        set: &Set,
        label: String,
        list: impl FnOnce(&mut Writer),
    ) {
        self.add(message, flags, table.family, label, |to| {
            to.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
            to.text(NFTA_SET_ELEM_LIST_SET, set.name);
            to.nest(NFTA_SET_ELEM_LIST_ELEMENTS, list);
        });
    }

    /// Replaces a set's elements, whatever they are.
    pub fn replace_elements(&mut self, table: &Table, set: &Set) {
        self.add(NFT_MSG_DELSETELEM, 0, table.family, part(table, "old elements of set", set.name), |to| {
            to.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
            to.text(NFTA_SET_ELEM_LIST_SET, set.name);
        });
        self.add_elements(table, set, &set.raw());
    }

    /// Turns a table into another one of the same chains and sets, but for the elements of the set `keep`.
    /// Counters go on counting.
    pub fn update(&mut self, old: &Table, new: &Table, keep: &str) {
        let rules = old.chains != new.chains;
        if rules {
            for chain in &old.chains {
                let label = format!("old rules of chain {}", chain.name);
                self.add(NFT_MSG_DELRULE, 0, old.family, label, |to| {
                    to.text(NFTA_RULE_TABLE, old.name);
                    to.text(NFTA_RULE_CHAIN, &chain.name);
                });
            }
        }
        for (before, after) in old.sets.iter().zip(&new.sets).filter(|(before, _)| before.name != keep) {
            if before == after {
                continue;
            }
            // What the kernel took out by itself can't be deleted one by one.
            if after.flags() & NFT_SET_INTERVAL != 0 || after.counts_down() {
                self.replace_elements(new, after);
            } else {
                let (gone, come) = difference(&before.raw(), &after.raw());
                self.delete_elements(new, after, &gone);
                self.add_elements(new, after, &come);
            }
        }
        if rules {
            self.add_rules(new);
        }
    }

    /// Deletes a table.
    pub fn delete_table(&mut self, family: u8, name: &str) {
        self.add(NFT_MSG_DELTABLE, 0, family, format!("old table {name}"), |to| {
            to.text(NFTA_TABLE_NAME, name);
        });
    }
}

/// A transaction, ready to be sent.
#[derive(Debug)]
pub struct Finished {
    writer: Writer,
    labels: Vec<String>,
    last: u32,
}

impl Finished {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.writer.bytes()
    }

    /// The sequence number that is acknowledged.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// What a message was about. The first and last one are about the transaction as such.
    pub fn label(&self, sequence: u32) -> &str {
        let index = usize::try_from(sequence).ok().and_then(|sequence| sequence.checked_sub(1));
        index.and_then(|index| self.labels.get(index)).map_or("the transaction", String::as_str)
    }
}

/// How a table is called in messages.
pub fn label(table: &Table) -> String {
    format!("table {} {}", family(table.family), table.name)
}

/// A family's name in nft's language.
pub fn family(number: u8) -> &'static str {
    match number {
        NFPROTO_INET => "inet",
        NFPROTO_IPV4 => "ip",
        NFPROTO_IPV6 => "ip6",
        NFPROTO_NETDEV => "netdev",
        3 => "arp",
        7 => "bridge",
        _ => "unknown",
    }
}

fn part(table: &Table, what: &str, name: &str) -> String {
    format!("{what} {name} in {}", label(table))
}

/// What is only in `old`, and what is only in `new`.
fn difference(old: &[RawElement], new: &[RawElement]) -> (Vec<RawElement>, Vec<RawElement>) {
    let only = |from: &[RawElement], other: &[RawElement]| {
        let other: HashSet<&RawElement> = other.iter().collect();
        from.iter().filter(|element| !other.contains(element)).copied().collect()
    };
    (only(old, new), only(new, old))
}

fn encode_set(to: &mut Writer, table: &str, set: &Set, id: u32) {
    to.text(NFTA_SET_TABLE, table);
    to.text(NFTA_SET_NAME, set.name);
    to.be32(NFTA_SET_FLAGS, set.flags());
    to.be32(NFTA_SET_KEY_TYPE, set.key_type());
    to.be32(NFTA_SET_KEY_LEN, set.key_length());
    to.be32(NFTA_SET_ID, id);
    if set.is_map() {
        to.be32(NFTA_SET_DATA_TYPE, TYPE_INET_SERVICE);
        to.be32(NFTA_SET_DATA_LEN, 2);
    }
    if !set.fields().is_empty() {
        to.nest(NFTA_SET_DESC, |to| {
            to.nest(NFTA_SET_DESC_CONCAT, |to| {
                for length in set.fields() {
                    to.nest(NFTA_LIST_ELEM, |to| to.be32(NFTA_SET_FIELD_LEN, *length));
                }
            });
        });
    }
}

fn encode_element(to: &mut Writer, element: &RawElement, timeout: Option<u64>) {
    let value = |to: &mut Writer, kind, bytes: &[u8]| {
        to.nest(kind, |to| to.attribute(NFTA_DATA_VALUE, bytes));
    };
    to.nest(NFTA_LIST_ELEM, |to| {
        if element.interval_end {
            to.be32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
        }
        if let Some(timeout) = timeout {
            to.be64(NFTA_SET_ELEM_TIMEOUT, timeout);
        }
        value(to, NFTA_SET_ELEM_KEY, element.key.bytes());
        if let Some(end) = element.key_end.as_ref().map(Key::bytes) {
            value(to, NFTA_SET_ELEM_KEY_END, end);
        }
        if let Some(data) = element.value {
            value(to, NFTA_SET_ELEM_DATA, &data.to_be_bytes());
        }
    });
}

fn encode_chain(to: &mut Writer, table: &str, chain: &Chain) {
    to.text(NFTA_CHAIN_TABLE, table);
    to.text(NFTA_CHAIN_NAME, &chain.name);
    let Some(base) = &chain.base else { return };
    to.nest(NFTA_CHAIN_HOOK, |to| {
        to.be32(NFTA_HOOK_HOOKNUM, base.hook);
        to.be32(NFTA_HOOK_PRIORITY, base.priority.cast_unsigned());
        if let Some(device) = &base.device {
            to.text(NFTA_HOOK_DEV, device);
        }
    });
    let policy = if base.drops { NF_DROP } else { NF_ACCEPT };
    to.be32(NFTA_CHAIN_POLICY, policy.cast_unsigned());
    to.text(NFTA_CHAIN_TYPE, base.kind);
}

impl Ruleset {
    /// The netlink messages that install it, as one transaction.
    pub fn encode(&self) -> Vec<u8> {
        let mut batch = Batch::new();
        batch.add_ruleset(self);
        batch.finish().map(|finished| finished.bytes().to_vec()).unwrap_or_default()
    }
}
