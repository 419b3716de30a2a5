//! Init's socket and the gateway's: who has no secret gets nothing.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Control, (Who::Agent, Control::Host, Arrival::Effect), id, title, source)
}

const fn root(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Control, (Who::Root, Control::Host, Arrival::Effect), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("control-connect", "The agent connects to init's socket", "CWE-732; docker.sock"),
    a("control-boot", "The agent reads the boot config", "CWE-732; docker.sock"),
    a("control-events", "The agent reads the event log", "CWE-732; docker.sock"),
    a(
        "control-abstract",
        "The agent looks for a socket of init's without a path",
        "CVE-2020-15257, containerd-shim's abstract socket",
    ),
    a("control-ctl", "The agent asks init through clawker-init ctl", "CWE-732; docker.sock"),
    root("control-no-secret", "disable without a secret", "CWE-306"),
    root("control-wrong-secret", "disable with another secret", "CWE-306"),
    root(
        "control-hash",
        "disable with the secret's hash from the boot config as the secret",
        "CWE-836, pass the hash",
    ),
    root("control-version", "disable in another version of the protocol", "CWE-757, downgrade"),
    root("control-unknown", "An operation that does not exist", "CWE-20; CWE-839"),
    root("control-bypass", "A bypass of a negative length", "CWE-20; CWE-839"),
    root("control-huge", "A request with a number that no word holds", "CWE-190; CWE-839"),
    root(
        "control-twice",
        "disable behind another operation under the same key",
        "CWE-436; RFC 8259, section 4",
    ),
    root("control-spliced", "disable in a second line behind a refused one", "CWE-93"),
    root("control-deep", "A hundred thousand brackets silence init", "CWE-674; CVE-2020-36518"),
    root("control-empty", "Thousands of empty lines silence init", "CWE-770"),
    root("control-garbage", "Bytes that are no JSON", "CWE-20; radamsa"),
    root("control-long", "A line of eight megabytes silences init", "CWE-770"),
    root("control-half", "Half a line, and then nothing, silences init", "slowloris; CWE-770"),
    root("control-many", "Three hundred clients at once silence init", "slowloris; CWE-770"),
    attack(
        Family::Control,
        (Who::Agent, Control::Beside, Arrival::Effect),
        "control-coredns-health",
        "The agent dials the port at which CoreDNS tells its health",
        "MITRE ATT&CK T1046",
    ),
];
