//! The fence made of netfilter: tables over netlink, installed in one transaction and read back, opened and
//! closed by a set's elements, and watched. It owns the sockets; what to write and what to cut is decided by
//! values elsewhere.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use clawker_protocol::enforcement::Service;
use clawker_protocol::event::{Count, RefusalClass};
use nix::time::{ClockId, clock_gettime};

use crate::conntrack::Conntrack;
use crate::fence::{Fence, FenceError, Opening, Policy};
use crate::grants::{Grants, Moment, Running};
use crate::netlink::{ACK, Family, REQUEST, Socket, wire::Writer};
use crate::nflog::Reports;
use crate::nft::batch::{self, Batch};
use crate::nft::read;
use crate::nft::rules::{self, Features, Interface, Ruleset, Table};
use crate::nft::uapi::{NFNLGRP_NFTABLES, NFPROTO_UNSPEC, NFT_MSG_GETGEN, NFT_MSG_GETOBJ};
use crate::route;
use crate::sockdiag::SockDiag;

pub use crate::nflog::LoggedFlow;

mod cut;
mod read_back;
mod watch;

use cut::{Allowed, Change};
use read_back::Fingerprint;

/// Why the fence does not stand. Each is one line; the agent must not start then.
#[derive(Debug, thiserror::Error)]
pub enum NetfilterError {
    /// The kernel has no nf_tables.
    #[error(
        "The kernel has no nf_tables: load the nf_tables module on the host, or use a kernel that has it"
    )]
    NoNfTables,
    /// We lack the capability.
    #[error("NET_ADMIN is missing: start this container with clawker run, which adds it")]
    NoNetAdmin,
    /// A call failed.
    #[error("Can't {what}: {source}")]
    Io {
        /// What for.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused a part of a transaction, and by that all of it.
    #[error("The kernel refused {what}: {source}")]
    Refused {
        /// Which part.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// What was read back is not what was asked for.
    #[error("Read back from the kernel: {0}")]
    ReadBack(String),
}

impl From<NetfilterError> for FenceError {
    fn from(error: NetfilterError) -> Self {
        Self(error.to_string())
    }
}

/// Names what was being done when a call failed.
fn doing<T>(what: &'static str, result: io::Result<T>) -> Result<T, NetfilterError> {
    result.map_err(|source| NetfilterError::Io { what, source })
}

/// The fence of this network namespace.
#[derive(Debug)]
pub struct Netfilter {
    /// Owns the table: lives as long as the fence.
    nft: Socket,
    reports: Reports,
    /// Hears of changes to tables.
    changes: Socket,
    /// Hears of interfaces.
    links: Socket,
    conntrack: Conntrack,
    sockets: SockDiag,
    features: Features,
    /// What stands; `None` before the install.
    standing: Option<Standing>,
}

/// What was installed.
#[derive(Debug)]
struct Standing {
    policy: Policy,
    /// Its services that end by themselves.
    grants: Grants,
    opening: Opening,
    /// When an opening ends, on CLOCK_BOOTTIME.
    until: Option<Duration>,
    interfaces: Vec<Interface>,
    fingerprint: Fingerprint,
    /// Something of ours could not be put back yet.
    broken: bool,
}

impl Standing {
    /// The opening with what is left of it.
    fn opening_now(&self) -> Opening {
        match (self.opening, self.until) {
            (Opening::For(_), Some(until)) => match until.checked_sub(now()) {
                Some(left) if left > Duration::ZERO => Opening::For(left),
                _ => Opening::Closed,
            },
            (opening, _) => opening,
        }
    }
}

impl Netfilter {
    /// Opens the sockets and asks whether the kernel and our capabilities will do.
    ///
    /// # Errors
    /// [`NetfilterError::NoNfTables`], [`NetfilterError::NoNetAdmin`], or what else is missing.
    pub fn open() -> Result<Self, NetfilterError> {
        Self::open_for(Features::ALL)
    }

    /// As [`Self::open`], for a kernel that is known to lack features. Left to itself it finds out.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_for(features: Features) -> Result<Self, NetfilterError> {
        let nft = Socket::open(Family::Netfilter, 0).map_err(|source| match source.raw_os_error() {
            Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => NetfilterError::NoNfTables,
            _ => NetfilterError::Io { what: "open a netfilter socket", source },
        })?;
        probe(&nft)?;
        Ok(Self {
            nft,
            reports: doing("take over the NFLOG group", Reports::open(rules::LOG_GROUP))?,
            changes: doing("open a netfilter socket", Socket::open(Family::Netfilter, 0))?,
            links: doing("watch the interfaces", Socket::open(Family::Route, route::RTMGRP_LINK))?,
            conntrack: doing("open conntrack", Conntrack::open())?,
            sockets: doing("open sock_diag", SockDiag::open())?,
            features,
            standing: None,
        })
    }

    /// Puts the whole rule set in force in one transaction and reads it back.
    ///
    /// # Errors
    /// [`NetfilterError`]; nothing of the transaction is in force then, or not all of it could be confirmed.
    pub fn install(&mut self, policy: &Policy, opening: Opening) -> Result<(), NetfilterError> {
        let interfaces = doing("list the interfaces", route::interfaces())?;
        let grants = grants_of(policy, &Grants::default(), moment());
        let ruleset = self.add_all(policy, &grants, opening, &interfaces)?;
        let groups = 1 << (NFNLGRP_NFTABLES - 1);
        doing("watch the tables", self.changes.subscribe(groups))?;
        let fingerprint = read_back::confirm(&mut self.nft, &ruleset)?;
        self.standing = Some(Standing {
            policy: policy.clone(),
            grants,
            opening,
            until: deadline(opening),
            interfaces,
            fingerprint,
            broken: false,
        });
        Ok(())
    }

    /// Adds every table, without what this kernel turns out to lack.
    fn add_all(
        &mut self,
        policy: &Policy,
        grants: &Grants,
        opening: Opening,
        interfaces: &[Interface],
    ) -> Result<Ruleset, NetfilterError> {
        // A table of ours from before would make this an addition to it. A new container has none, and a
        // transaction without a deletion is the faster one.
        let stale = doing("list the tables", read_back::tables(&mut self.nft))?;
        loop {
            let running = grants.running(now());
            let ruleset = rules::compile(policy, &running, opening, interfaces, self.features);
            let mut batch = Batch::new();
            for table in stale.iter().filter(|listed| watch::is_ours(listed)) {
                batch.delete_table(table.family, &table.name);
            }
            batch.add_ruleset(&ruleset);
            match self.transact(batch) {
                Err(NetfilterError::Refused { what, source }) => {
                    match self.features.without(&what, &source) {
                        Some(features) => self.features = features,
                        None => return Err(NetfilterError::Refused { what, source }),
                    }
                }
                other => return other.map(|()| ruleset),
            }
        }
    }

    fn transact(&mut self, batch: Batch) -> Result<(), NetfilterError> {
        let Some(finished) = batch.finish() else { return Ok(()) };
        let nacks = doing("talk to nf_tables", self.nft.request(finished.bytes(), finished.last()))?;
        match nacks.first() {
            None => Ok(()),
            Some(nack) => Err(NetfilterError::Refused {
                what: finished.label(nack.sequence).to_owned(),
                source: nack.error(),
            }),
        }
    }

    /// For polling: reports of packets, changes of tables, changes of interfaces. Non-blocking.
    pub fn raw_fds(&self) -> [RawFd; 3] {
        [self.reports.fd(), self.changes.fd(), self.links.fd()]
    }

    /// The packets that were reported since the last call.
    pub fn read_flows(&mut self) -> Vec<LoggedFlow> {
        self.reports.read()
    }

    fn standing(&self) -> Result<&Standing, FenceError> {
        self.standing.as_ref().ok_or_else(|| FenceError("the fence is not installed".to_owned()))
    }

    /// The table that judges, as it is now or would be.
    fn judge(&self, policy: &Policy, running: &Running, opening: Opening) -> Option<Table> {
        let ruleset = rules::compile(policy, running, opening, &[], self.features);
        ruleset.tables.into_iter().next()
    }
}

impl Fence for Netfilter {
    fn set_opening(&mut self, opening: Opening) -> Result<(), FenceError> {
        let standing = self.standing()?;
        let policy = in_force(&standing.grants, &standing.policy, now());
        let Policy::Agent(enforcement) = &policy else {
            return Err(FenceError("the gateway's fence has no other state".to_owned()));
        };
        let Some(table) = self.judge(&policy, &Running::default(), opening) else { return Ok(()) };
        let mut batch = Batch::new();
        for set in table.sets.iter().filter(|set| set.name == rules::OPEN) {
            batch.replace_elements(&table, set);
        }
        self.transact(batch)?;
        if let Some(standing) = &mut self.standing {
            standing.opening = opening;
            standing.until = deadline(opening);
        }
        for set in table.sets.iter().filter(|set| set.name == rules::OPEN) {
            read_back::confirm_set(&mut self.nft, &table, set)?;
        }
        if opening != Opening::Closed {
            return self.forget_dns();
        }
        let allowed = Allowed::of(enforcement);
        self.cut(&|flow| allowed.lets(flow), true)
    }

    fn swap(&mut self, policy: &Policy) -> Result<(), FenceError> {
        let standing = self.standing()?;
        let (old, opening) = (standing.policy.clone(), standing.opening_now());
        let moment = moment();
        let grants = grants_of(policy, &standing.grants, moment);
        let (had, have) = (standing.grants.running(moment.boot), grants.running(moment.boot));
        let in_force = in_force(&grants, policy, moment.boot);
        let Some(change) = Change::between(&old, &in_force) else {
            return Err(FenceError("that policy is for another kind of container".to_owned()));
        };
        let (Some(before), Some(table)) =
            (self.judge(&old, &had, opening), self.judge(policy, &have, opening))
        else {
            return Ok(());
        };
        let mut batch = Batch::new();
        batch.update(&before, &table, rules::OPEN);
        self.transact(batch)?;
        if let Some(standing) = &mut self.standing {
            standing.policy = policy.clone();
            standing.grants = grants;
        }
        let fingerprint = read_back::confirm_table(&mut self.nft, &table)?;
        if let Some(standing) = &mut self.standing {
            standing.fingerprint.replace(fingerprint);
        }
        self.cut(&|flow| !change.ends(flow), false)
    }

    fn next_end(&self) -> Option<Duration> {
        self.standing.as_ref()?.grants.next_end()
    }

    fn end_due(&mut self) -> Result<Vec<Service>, FenceError> {
        let now = now();
        let standing = self.standing()?;
        let (policy, opening) = (standing.policy.clone(), standing.opening_now());
        let ended = standing.grants.due(now);
        let running = standing.grants.running(now);
        let in_force = in_force(&standing.grants, &policy, now);
        if ended.is_empty() {
            return Ok(ended);
        }
        let Some(table) = self.judge(&policy, &running, opening) else { return Ok(Vec::new()) };
        // The kernel has most likely taken them out already; now it is certain, and not a tick later.
        let counting_down = || table.sets.iter().filter(|set| set.counts_down());
        let mut batch = Batch::new();
        counting_down().for_each(|set| batch.replace_elements(&table, set));
        self.transact(batch)?;
        for set in counting_down() {
            read_back::confirm_set(&mut self.nft, &table, set)?;
        }
        // While open these flows may go on, as any may; closing ends them.
        if let (Opening::Closed, Policy::Agent(in_force)) = (opening, &in_force) {
            let mut before = in_force.clone();
            before.services.extend(ended.iter().cloned());
            let change = cut::Swap::between(&before, in_force);
            self.cut(&|flow| !change.ends(flow), false)?;
        }
        if let Some(standing) = &mut self.standing {
            standing.grants.mark_over(now);
        }
        Ok(ended)
    }

    fn refused(&mut self) -> Result<BTreeMap<RefusalClass, Count>, FenceError> {
        let listed = self.nft.dump(
            batch::kind(NFT_MSG_GETOBJ),
            |to| batch::header(to, NFPROTO_UNSPEC),
            Vec::new,
            |found, message| found.extend(read::counter(message.payload)),
        );
        let listed = doing("read the counters", listed)?;
        let mut counts = BTreeMap::new();
        counts.extend(RefusalClass::ALL.map(|class| (class, Count::default())));
        for counter in listed {
            if let Some(count) = class(&counter).and_then(|class| counts.get_mut(&class)) {
                count.packets += counter.packets;
                count.bytes += counter.bytes;
            }
        }
        Ok(counts)
    }
}

/// The services of a policy that end by themselves; a gateway has none.
fn grants_of(policy: &Policy, before: &Grants, now: Moment) -> Grants {
    match policy {
        Policy::Agent(enforcement) => Grants::of(enforcement, before, now),
        Policy::Gateway(_) => Grants::default(),
    }
}

/// A policy without the services whose end has come.
fn in_force(grants: &Grants, policy: &Policy, now: Duration) -> Policy {
    match policy {
        Policy::Agent(enforcement) => grants.in_force(enforcement, now).into(),
        Policy::Gateway(_) => policy.clone(),
    }
}

/// The class that a counter counts.
fn class(counter: &read::ListedCounter) -> Option<RefusalClass> {
    match (counter.table.as_str(), counter.name.as_str()) {
        (rules::GUARD, rules::UNMARKED) => Some(RefusalClass::Unmarked),
        (rules::TABLE, name) => {
            let refusal = rules::REFUSALS.iter().find(|refusal| refusal.counter == name)?;
            RefusalClass::from_name(refusal.class)
        }
        _ => None,
    }
}

/// Asks for the generation: answered only where there is nf_tables and we may use it.
fn probe(nft: &Socket) -> Result<(), NetfilterError> {
    let mut writer = Writer::new();
    writer.message(batch::kind(NFT_MSG_GETGEN), REQUEST | ACK, 1, |to| batch::header(to, NFPROTO_UNSPEC));
    let nacks = doing("talk to nf_tables", nft.request(writer.bytes(), 1))?;
    match nacks.first() {
        None => Ok(()),
        Some(nack) => Err(match nack.errno {
            libc::EPERM => NetfilterError::NoNetAdmin,
            libc::EINVAL | libc::EOPNOTSUPP => NetfilterError::NoNfTables,
            _ => NetfilterError::Refused { what: "to name its generation".to_owned(), source: nack.error() },
        }),
    }
}

fn deadline(opening: Opening) -> Option<Duration> {
    match opening {
        Opening::For(time) => Some(now() + time),
        Opening::Closed | Opening::Indefinitely => None,
    }
}

fn moment() -> Moment {
    Moment { wall_millis: crate::events::now_millis(), boot: now() }
}

fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
