//! Reading back: what could not be verified did not happen. Tables with their owner, chains with hook, priority
//! and policy, the number of rules, and every element are compared with what was asked for; the rules'
//! expressions as the kernel shows them right after are kept as a fingerprint for later comparisons.

use std::collections::BTreeMap;
use std::io;

use super::{NetfilterError, doing};
use crate::netlink::Socket;
use crate::nft::batch::{self, label};
use crate::nft::read::{self, ListedBase, ListedChain, ListedTable};
use crate::nft::rules::{Ruleset, Table};
use crate::nft::sets::{RawElement, Set};
use crate::nft::uapi::*;

/// What a table is known by: its family and name.
pub type TableName = (u8, &'static str);

/// The rules of our tables, as the kernel showed them when they were installed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fingerprint(BTreeMap<TableName, Vec<(String, u64)>>);

impl Fingerprint {
    /// Takes over the tables that another one knows.
    pub fn replace(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Every table of the namespace, whoever made it.
///
/// # Errors
/// When the kernel did not answer.
pub fn tables(nft: &mut Socket) -> io::Result<Vec<ListedTable>> {
    nft.dump(
        batch::kind(NFT_MSG_GETTABLE),
        |to| batch::header(to, NFPROTO_UNSPEC),
        Vec::new,
        |found, message| found.extend(read::table(message.payload)),
    )
}

/// Confirms every table.
///
/// # Errors
/// [`NetfilterError::ReadBack`] for the first difference.
pub fn confirm(nft: &mut Socket, ruleset: &Ruleset) -> Result<Fingerprint, NetfilterError> {
    let mut all = Fingerprint::default();
    for table in &ruleset.tables {
        all.replace(confirm_table(nft, table)?);
    }
    Ok(all)
}

/// Confirms a table.
///
/// # Errors
/// [`NetfilterError::ReadBack`] for the first difference.
pub fn confirm_table(nft: &mut Socket, table: &Table) -> Result<Fingerprint, NetfilterError> {
    let rules = rules(nft, table)?;
    compare(nft, table, None)?;
    let expected: Vec<(&str, usize)> =
        table.chains.iter().map(|chain| (chain.name.as_str(), chain.rules.len())).collect();
    for (chain, count) in expected {
        let found = rules.iter().filter(|(name, _)| name == chain).count();
        if found != count {
            let what = format!("{found} rules instead of {count} in chain {chain} of {}", label(table));
            return Err(NetfilterError::ReadBack(what));
        }
    }
    Ok(Fingerprint([((table.family, table.name), rules)].into()))
}

/// Confirms that a table is what it was when its fingerprint was taken.
///
/// # Errors
/// [`NetfilterError::ReadBack`] for the first difference.
pub fn confirm_unchanged(
    nft: &mut Socket,
    table: &Table,
    fingerprint: &Fingerprint,
) -> Result<(), NetfilterError> {
    compare(nft, table, None)?;
    match fingerprint.0.get(&(table.family, table.name)) {
        Some(known) if *known == rules(nft, table)? => Ok(()),
        _ => Err(NetfilterError::ReadBack(format!("other rules in {}", label(table)))),
    }
}

/// Confirms everything but rules: the table, its chains, and its sets' elements (or those of `only`).
fn compare(nft: &mut Socket, table: &Table, only: Option<&str>) -> Result<(), NetfilterError> {
    let listed = doing("list the tables", tables(nft))?;
    let port = nft.port();
    let Some(found) = listed.iter().find(|found| found.family == table.family && found.name == table.name)
    else {
        return Err(NetfilterError::ReadBack(format!("{} is missing", label(table))));
    };
    if found.owner != table.owned.then_some(port) {
        let what = format!("{} belongs to {:?} and not to us ({port})", label(table), found.owner);
        return Err(NetfilterError::ReadBack(what));
    }
    compare_chains(nft, table)?;
    for set in table.sets.iter().filter(|set| only.is_none_or(|only| set.name == only)) {
        confirm_set(nft, table, set)?;
    }
    Ok(())
}

fn compare_chains(nft: &mut Socket, table: &Table) -> Result<(), NetfilterError> {
    let listed = nft.dump(
        batch::kind(NFT_MSG_GETCHAIN),
        |to| batch::header(to, table.family),
        Vec::new,
        |found: &mut Vec<ListedChain>, message| {
            let chain = read::chain(message.payload);
            found.extend(chain.filter(|chain| chain.family == table.family && chain.table == table.name));
        },
    );
    let mut listed = doing("list the chains", listed)?;
    let mut expected: Vec<ListedChain> = table
        .chains
        .iter()
        .map(|chain| ListedChain {
            family: table.family,
            table: table.name.to_owned(),
            name: chain.name.clone(),
            base: chain.base.as_ref().map(|base| ListedBase {
                kind: base.kind.to_owned(),
                hook: base.hook,
                priority: base.priority,
                drops: base.drops,
                device: base.device.clone(),
            }),
        })
        .collect();
    listed.sort_unstable();
    expected.sort_unstable();
    match listed.iter().zip(&expected).find(|(found, wanted)| found != wanted) {
        None if listed.len() == expected.len() => Ok(()),
        None => Err(NetfilterError::ReadBack(format!(
            "{} chains instead of {} in {}",
            listed.len(),
            expected.len(),
            label(table)
        ))),
        Some((found, wanted)) => Err(NetfilterError::ReadBack(format!(
            "chain {} of {} is not as it was made (there is {})",
            wanted.name,
            label(table),
            found.name
        ))),
    }
}

/// Confirms a set's elements. One that may be gone by now need not be there; none may be there besides.
///
/// # Errors
/// [`NetfilterError::ReadBack`] when they differ.
pub fn confirm_set(nft: &mut Socket, table: &Table, set: &Set) -> Result<(), NetfilterError> {
    let listed = nft.dump(
        batch::kind(NFT_MSG_GETSETELEM),
        |to| {
            batch::header(to, table.family);
            to.text(NFTA_SET_ELEM_LIST_TABLE, table.name);
            to.text(NFTA_SET_ELEM_LIST_SET, set.name);
        },
        || (Vec::new(), true),
        |(found, readable): &mut (Vec<RawElement>, bool), message| {
            *readable &= read::elements(message.payload, found);
        },
    );
    let differ =
        |what: &str| NetfilterError::ReadBack(format!("set {} of {} {what}", set.name, label(table)));
    let (mut listed, readable) = match listed {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Err(differ("is missing")),
        other => doing("list the elements", other)?,
    };
    let mut expected = set.raw();
    listed.sort_unstable();
    expected.sort_unstable();
    let gone = set.may_be_gone(super::now());
    if !gone.is_empty() {
        expected.retain(|element| !gone.contains(element) || listed.contains(element));
    }
    if readable && listed == expected { Ok(()) } else { Err(differ("does not hold what was put in")) }
}

/// A table's rules, in order.
fn rules(nft: &mut Socket, table: &Table) -> Result<Vec<(String, u64)>, NetfilterError> {
    let listed = nft.dump(
        batch::kind(NFT_MSG_GETRULE),
        |to| {
            batch::header(to, table.family);
            to.text(NFTA_RULE_TABLE, table.name);
        },
        Vec::new,
        |found: &mut Vec<(String, u64)>, message| {
            let rule = read::rule(message.payload);
            let rule = rule.filter(|rule| rule.family == table.family && rule.table == table.name);
            found.extend(rule.map(|rule| (rule.chain, rule.fingerprint)));
        },
    );
    let mut rules = doing("list the rules", listed)?;
    // The kernel lists chain by chain, in an order of its own; inside a chain the order counts.
    rules.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(rules)
}
