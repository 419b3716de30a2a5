//! Packets that must not go unseen, and a neighbour's.

use super::{Ctx, Failed, Run, dns, find, raw, send, serve, target};
use crate::catalogue::rebind;

pub(super) const CODE: &[(&str, Run)] = &[
    ("told-docker-dns", |c| send::udp((dns::DOCKER, dns::PORT), &dns::query(&c.name(), 1))),
    ("told-tcp", |c| send::tcp((target::NOBODY, 9000), c.canary.as_bytes())),
    ("told-udp", |c| send::udp((target::NOBODY, 9999), c.canary.as_bytes())),
    ("told-icmp", |c| same("ip-ping", c)),
    ("told-tcp6", |c| same("ip6-tcp", c)),
    ("told-udp6", |c| same("ip6-udp", c)),
    ("told-icmp6", |c| same("ip6-ping", c)),
    ("told-other", |c| raw::ip(253, c.canary.as_bytes())),
    ("told-inbound", |c| serve::answers(c.places.twin, serve::HIDDEN)),
    ("told-unmarked", |c| same("ip-packet", c)),
    ("told-guard", |c| {
        for id in ["told-docker-dns", "told-tcp", "told-udp", "told-icmp"] {
            // Each is refused, or nobody answers: what it met on the way is counted by init.
            let _ = same(id, c);
        }
        Ok("sent".to_owned())
    }),
    ("told-guard-other", |c| raw::ip(253, c.canary.as_bytes())),
    ("in-tcp", |c| serve::answers(c.places.twin, serve::HIDDEN)),
    ("in-udp", |c| serve::answers_udp(c.places.twin, serve::HIDDEN)),
];

/// What another attack does.
fn same(id: &str, c: &Ctx) -> Result<String, Failed> {
    find(id).map_or_else(|| Err(Failed::Impossible(format!("there is no {id}"))), |run| run(c))
}

/// A listed name is asked for as any is, whatever it answers with.
pub(super) fn rebound(c: &Ctx) -> Result<String, Failed> {
    super::six::rebound(&rebind::name(&c.id), c)
}
