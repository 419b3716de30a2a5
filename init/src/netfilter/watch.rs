//! The watcher: hears of every change to tables and interfaces that is not our own, deletes tables that are
//! nobody's business here, and puts back what of ours is not as it was.

use super::{Netfilter, NetfilterError, Standing, doing, read_back};
use crate::netlink::{Socket, wire};
use crate::nft::batch::{Batch, family, label};
use crate::nft::read::{self, ListedTable};
use crate::nft::rules::{self, GUARD, TABLE};
use crate::nft::uapi::{NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV};
use crate::route;

/// Docker's own tables in a container: its resolver's, by iptables-nft and by nftables.
const DOCKERS: [&str; 2] = ["nat", "docker-dns"];
/// Notifications that are looked at before anything is done.
const PIECE: usize = 8 << 10;

/// Whether a table has the name of one of ours.
pub fn is_ours(table: &ListedTable) -> bool {
    matches!((table.family, table.name.as_str()), (NFPROTO_INET, TABLE | GUARD) | (NFPROTO_NETDEV, GUARD))
}

/// Whether a table is Docker's.
pub fn is_dockers(table: &ListedTable) -> bool {
    matches!(table.family, NFPROTO_IPV4 | NFPROTO_IPV6) && DOCKERS.contains(&table.name.as_str())
}

impl Netfilter {
    /// Works off what happened to tables and interfaces since the last call. One sentence for each thing that was
    /// put right, or that could not be.
    pub fn watch(&mut self) -> Vec<String> {
        let port = self.nft.port();
        let touched = heard(&self.changes, |message| read::cause(message) != Some(port));
        let links = heard(&self.links, |_| true);
        let Some(mut standing) = self.standing.take() else { return Vec::new() };
        let mut said = Vec::new();
        if touched || links || standing.broken {
            let before = standing.broken;
            standing.broken = false;
            if let Err(error) = self.mend(&mut standing, &mut said) {
                standing.broken = true;
                if !before {
                    said.push(format!("could not put everything back yet: {error}"));
                }
            }
        }
        self.standing = Some(standing);
        said
    }

    fn mend(&mut self, standing: &mut Standing, said: &mut Vec<String>) -> Result<(), NetfilterError> {
        let interfaces = doing("list the interfaces", route::interfaces())?;
        let listed = doing("list the tables", read_back::tables(&mut self.nft))?;
        let mut failed = Ok(());
        for table in listed.iter().filter(|table| !is_ours(table) && !is_dockers(table)) {
            let name = format!("{} {}", family(table.family), table.name.escape_default());
            let mut batch = Batch::new();
            batch.delete_table(table.family, &table.name);
            match self.transact(batch) {
                Ok(()) => said.push(format!("deleted the foreign table {name}")),
                Err(error) => failed = Err(error),
            }
        }
        let new = interfaces.iter().filter(|interface| !standing.interfaces.contains(interface));
        let new: Vec<_> = new.map(|interface| interface.name.escape_default().to_string()).collect();
        let running = standing.grants.running(super::now());
        let opening = standing.opening_now();
        let ruleset = rules::compile(&standing.policy, &running, opening, &interfaces, self.features);
        for table in &ruleset.tables {
            let why = match read_back::confirm_unchanged(&mut self.nft, table, &standing.fingerprint) {
                Ok(()) => continue,
                Err(NetfilterError::ReadBack(why)) => why,
                Err(error) => return Err(error),
            };
            let mut batch = Batch::new();
            let there = |listed: &&ListedTable| listed.family == table.family && listed.name == table.name;
            if listed.iter().any(|listed| there(&listed)) {
                batch.delete_table(table.family, table.name);
            }
            batch.add_table(table);
            self.transact(batch)?;
            standing.fingerprint.replace(read_back::confirm_table(&mut self.nft, table)?);
            if table.family == NFPROTO_NETDEV && standing.interfaces != interfaces {
                said.extend(new.iter().map(|name| format!("fenced the new interface {name}")));
            } else {
                said.push(format!("put {} back: {why}", label(table)));
            }
        }
        standing.interfaces = interfaces;
        failed
    }
}

/// Reads all notifications; whether one of them matters, or some were lost.
fn heard(socket: &Socket, matters: impl Fn(&wire::Message<'_>) -> bool) -> bool {
    let mut buffer = [0; PIECE];
    let mut heard = false;
    loop {
        match socket.receive(&mut buffer) {
            Ok(Some(piece)) => {
                let mut messages = wire::messages(piece).peekable();
                // Longer than the buffer: not looked into.
                heard |= messages.peek().is_none() || messages.any(|message| matters(&message));
            }
            Ok(None) => return heard,
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => heard = true,
            Err(_) => return true,
        }
    }
}
