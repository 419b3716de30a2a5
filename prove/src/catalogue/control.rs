//! Init's socket and the gateway's: who has no secret gets nothing.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str) -> Attack {
    attack(Family::Control, (Who::Agent, Control::Host, Arrival::Effect), id, title)
}

const fn root(id: &'static str, title: &'static str) -> Attack {
    attack(Family::Control, (Who::Root, Control::Host, Arrival::Effect), id, title)
}

pub(super) const ALL: &[Attack] = &[
    a("control-connect", "The agent connects to init's socket"),
    a("control-boot", "The agent reads the boot config"),
    a("control-events", "The agent reads the event log"),
    a("control-abstract", "The agent looks for a socket of init's without a path"),
    a("control-ctl", "The agent asks init through clawker-init ctl"),
    root("control-no-secret", "disable without a secret"),
    root("control-wrong-secret", "disable with another secret"),
    root("control-hash", "disable with the secret's hash from the boot config as the secret"),
    root("control-version", "disable in another version of the protocol"),
    root("control-unknown", "An operation that does not exist"),
    root("control-bypass", "A bypass of a negative length"),
    root("control-garbage", "Bytes that are no JSON"),
    root("control-long", "A line of eight megabytes silences init"),
    root("control-half", "Half a line, and then nothing, silences init"),
    root("control-many", "Three hundred clients at once silence init"),
    attack(
        Family::Control,
        (Who::Agent, Control::Beside, Arrival::Effect),
        "control-coredns-health",
        "The agent dials the port at which CoreDNS tells its health",
    ),
];
