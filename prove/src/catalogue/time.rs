//! Moments of change, with a sender at full speed all through them.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str) -> Attack {
    attack(Family::Time, (Who::Agent, Control::Open, Arrival::Anywhere), id, title)
}

pub(super) const ALL: &[Attack] = &[
    a("time-start", "From the first moment of the container's start"),
    a("time-restart", "All through a restart of the container"),
    a("time-bypass-stop", "UDP on a socket of a bypass, after its end by hand"),
    a("time-bypass-tcp", "TCP on a connection of a bypass, after its end by hand"),
    a("time-bypass-deadline", "UDP on a socket of a bypass, after its end by time"),
    a("time-enable", "UDP on a socket of an open firewall, after it was turned on"),
    a("time-envoy-gone", "While Envoy is killed"),
    a("time-coredns-gone", "Questions while CoreDNS is killed"),
    a("time-pause", "Right after the container was paused"),
];
