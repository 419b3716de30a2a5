//! What Envoy judges: names in TLS, hosts and paths in requests.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str) -> Attack {
    attack(Family::TlsHttp, (Who::Agent, Control::Open, Arrival::Anywhere), id, title)
}

const fn elsewhere(id: &'static str, title: &'static str) -> Attack {
    attack(Family::TlsHttp, (Who::Agent, Control::Open, Arrival::Elsewhere), id, title)
}

pub(super) const ALL: &[Attack] = &[
    elsewhere("tls-allowed-name-evil-address", "An allowed name in TLS, the attacker's address"),
    a("tls-evil-name-allowed-address", "An unlisted name in TLS, an allowed name's address"),
    a("tls-name-carries", "The secret as the name in TLS"),
    a("tls-no-name", "TLS without a name"),
    a("tls-suffix", "A name that ends like an allowed one, without its dot"),
    a("tls-split-hello", "A ClientHello in segments of one byte"),
    a("tls-not-tls", "Bytes that are no TLS, port 443"),
    a("tls-not-tls-allowed", "Bytes that are no TLS, to an allowed name's address"),
    a("tls-half-hello", "The beginning of a TLS record, then the secret"),
    a("tls-other-port", "TLS with an allowed name at a port that no rule names"),
    a("tls-envoy-directly", "Envoy dialled at its own address and listener, as another project could be"),
    a("http-host", "An unlisted Host, plain HTTP"),
    elsewhere("http-allowed-host-evil-address", "An allowed Host, the attacker's address"),
    a("http-evil-host-allowed-address", "An unlisted Host at an allowed name's address"),
    a("http-host-carries", "The secret as a label below an allowed Host"),
    a("http-absolute-form", "An absolute URL of an unlisted host, an allowed Host beside it"),
    a("http-two-hosts", "Two Host headers, the second unlisted"),
    a("http-connect", "CONNECT to an unlisted host through an allowed one"),
    a("http-pipelined", "A second request on the connection, for an unlisted Host"),
    a("http-smuggled", "Transfer-Encoding against Content-Length, a request for an unlisted Host behind"),
    a("http-folded", "A folded Host header"),
    a("http-websocket", "A WebSocket to an unlisted host"),
    a("inspected-host", "Inspected TLS: an allowed name outside, an unlisted Host inside"),
    a("inspected-second", "Inspected TLS: the second request of a connection is for an unlisted Host"),
    a("inspected-absolute", "Inspected TLS: an absolute URL of an unlisted host"),
    a("path-denied", "A path that is not open"),
    a("path-dots", "Out of the open path with dot segments"),
    a("path-escaped-dots", "Out of the open path with %2e%2e"),
    a("path-escaped-slash", "Out of the open path with ..%2f"),
    a("path-backslash", "Out of the open path with backslashes"),
    a("path-twice-escaped", "Out of the open path with dots that are escaped twice"),
    a("path-parameter", "Out of the open path with ..; as servlets read it"),
    a("path-double-slash", "A path that is not open behind a double slash"),
    a("path-fragment", "A path that is open behind a # only"),
    a("path-override", "A path that is not open in X-Original-URL, an open one in the request"),
    a("path-pipelined", "A second request on the connection, for a path that is not open"),
];
