//! What has to work, before the attacks and after them: a firewall that lets nothing through would hold everything. Each
//! stands for rules that let something pass, so that one that is missing is seen, too.

use serde::Serialize;

use super::names;

/// Something that has to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Need {
    /// Its name, for ever.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// In which state.
    pub when: When,
    /// Who does it.
    pub by: By,
    /// What shows that it worked.
    pub shown: Shown,
}

/// The state of the firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// It is on.
    Closed,
    /// It is off.
    Open,
}

/// Who needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The agent.
    Agent,
    /// Root in the plain container beside it.
    Neighbour,
}

/// What shows that it worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The sink has the canary in a session or a request for this name.
    Name(&'static str),
    /// The sink has the canary at this address.
    At(&'static str),
    /// Who tried it says so.
    Done,
    /// Init's log has a flow that was let through.
    Told,
}

const fn closed(id: &'static str, title: &'static str, shown: Shown) -> Need {
    Need { id, title, when: When::Closed, by: By::Agent, shown }
}

const fn open(id: &'static str, title: &'static str, shown: Shown) -> Need {
    Need { id, title, when: When::Open, by: By::Agent, shown }
}

/// All of them.
pub const ALL: &[Need] = &[
    closed("need-tls", "TLS to a listed name", Shown::Name(names::GOOD)),
    closed("need-http", "Plain HTTP to a listed name", Shown::Name(names::PLAIN)),
    closed("need-path", "A path that is open, in TLS that is looked into", Shown::Name(names::PATHS)),
    closed(
        "need-by-address",
        "A listed name in TLS, dialled by an address of its own",
        Shown::Name(names::GOOD),
    ),
    closed("need-ssh", "SSH to a listed name, which says no name itself", Shown::At(names::SSH_TO)),
    closed("need-direct", "A listed address", Shown::At(names::DIRECT_TO)),
    closed("need-grant", "TLS to a name that is listed for a while", Shown::Name(names::GRANTED)),
    closed(
        "need-private",
        "A listed name at the private address that its rule opens",
        Shown::Name(names::PRIVATE),
    ),
    closed("need-dns-tcp", "A listed name asked for over TCP", Shown::Done),
    closed("need-loopback", "A server of its own, at a port that is diverted elsewhere", Shown::Done),
    closed("need-refused", "A connection that is refused ends at once", Shown::Done),
    closed("need-refused-dns", "A connection to Docker's resolver ends at once", Shown::Done),
    Need {
        by: By::Neighbour,
        ..closed("need-published", "A published port answers who dials it", Shown::Done)
    },
    open("need-open-dns", "Any name asked of the closed firewall's resolver, UDP", Shown::Done),
    open("need-open-dns-tcp", "Any name asked of the closed firewall's resolver, TCP", Shown::Done),
    open(
        "need-remembered",
        "A listed name at the address that the closed firewall gave",
        Shown::Name(names::GOOD),
    ),
    open("need-told", "A connection while the firewall is off is logged", Shown::Told),
    open(
        "need-remembered-grant",
        "A name listed for a while at the address that the closed firewall gave",
        Shown::Name(names::GRANTED),
    ),
];

/// Those of a state that one of them needs.
pub fn of(when: When, by: By) -> impl Iterator<Item = &'static Need> {
    ALL.iter().filter(move |need| need.when == when && need.by == by)
}
