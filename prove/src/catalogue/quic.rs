//! TLS over datagrams: what a browser tries beside TCP, and what follows a hint to it.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::TlsHttp, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("quic-initial", "A whole Initial packet of QUIC, UDP 443", "RFC 9000, section 17.2.2"),
    a(
        "quic-listed-name",
        "QUIC with a listed name to the attacker's address",
        "Fifield 2015, domain fronting",
    ),
    a(
        "quic-alt-svc",
        "QUIC to a listed name's address, as Alt-Svc has it",
        "RFC 7838; RFC 9114, section 3.1.1",
    ),
    a("quic-alt-svc-port", "QUIC to a listed name's address at the port of an Alt-Svc", "RFC 7838"),
    a("quic-version-2", "QUIC of version 2", "RFC 9369"),
    a("quic-negotiation", "QUIC of a version that nobody has", "RFC 9000, section 6.3"),
    a("quic-short-header", "QUIC as of a connection that goes on", "RFC 9000, section 17.3"),
    a("quic-other-port", "QUIC at another port", "RFC 9114, section 3.1.1"),
    a("quic-plain-port", "QUIC at the port of plain HTTP", "RFC 9114, section 3.1.1"),
    a("quic-tcp-fallback", "A packet of QUIC over TCP 443", "RFC 9308, section 2"),
    a("quic-dtls", "DTLS, UDP 443", "RFC 6347; OpenConnect"),
];
