//! What Envoy judges: names in TLS, hosts and paths in requests.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::TlsHttp, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

const fn elsewhere(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::TlsHttp, (Who::Agent, Control::Open, Arrival::Elsewhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    elsewhere(
        "tls-allowed-name-evil-address",
        "An allowed name in TLS, the attacker's address",
        "curl --resolve; Fifield 2015",
    ),
    a(
        "tls-evil-name-allowed-address",
        "An unlisted name in TLS, an allowed name's address",
        "Fifield 2015, domain fronting",
    ),
    a("tls-name-carries", "The secret as the name in TLS", "SNIcat 2020"),
    a("tls-no-name", "TLS without a name", "RFC 6066; domain hiding, noctilucent 2020"),
    a(
        "tls-suffix",
        "A name that ends like an allowed one, without its dot",
        "CWE-625, suffix match without its dot",
    ),
    a("tls-split-hello", "A ClientHello in segments of one byte", "Geneva 2019; GoodbyeDPI"),
    a("tls-not-tls", "Bytes that are no TLS, port 443", "ncat on port 443"),
    a("tls-not-tls-allowed", "Bytes that are no TLS, to an allowed name's address", "ncat on port 443"),
    a("tls-half-hello", "The beginning of a TLS record, then the secret", "Geneva 2019"),
    a(
        "tls-other-port",
        "TLS with an allowed name at a port that no rule names",
        "chisel; TLS on another port",
    ),
    a(
        "tls-envoy-directly",
        "Envoy dialled at its own address and listener, as another project could be",
        "MITRE ATT&CK T1046, the ports of neighbours",
    ),
    a("tls-long-hello", "A ClientHello of more than 16 KB", "RFC 8446, section 5.1; Geneva 2019"),
    a(
        "tls-records",
        "A ClientHello in records of which one begins with the name",
        "RFC 8446, section 5.1; GoodbyeDPI",
    ),
    a("tls-slow-hello", "A ClientHello that takes two seconds", "slowloris; Geneva 2019"),
    a("tls-1-0", "A ClientHello of TLS 1.0", "RFC 8996"),
    a("tls-sslv2", "A CLIENT-HELLO of SSL 2.0", "RFC 6176; DROWN 2016"),
    a("tls-two-names", "Two names in one extension, the second unlisted", "RFC 6066, section 3"),
    a("tls-names-twice", "Two extensions with a name each, the second unlisted", "RFC 8446, section 4.2"),
    a("tls-address-as-name", "An address as the name in TLS", "RFC 6066, section 3"),
    a("tls-name-with-nul", "A listed name, NUL, and the attacker's", "CVE-2009-2408, NUL in a name"),
    a("tls-name-with-port", "A listed name with a port", "RFC 6066, section 3"),
    a("tls-name-below-listed", "The secret as a label below a listed name in TLS", "SNIcat 2020"),
    a("tls-ech", "A hidden name behind an unlisted one", "Encrypted Client Hello, draft-ietf-tls-esni"),
    elsewhere(
        "tls-ech-listed",
        "A hidden name behind a listed one",
        "Encrypted Client Hello, draft-ietf-tls-esni",
    ),
    a("h2-authority", "HTTP/2: an unlisted :authority", "RFC 9113, section 8.3.1"),
    a(
        "h2-authority-second",
        "HTTP/2: an unlisted :authority in the second stream",
        "RFC 9113, section 8.3.1",
    ),
    a(
        "h2-host-beside",
        "HTTP/2: an unlisted Host beside a listed :authority",
        "Kettle 2021, HTTP/2: The Sequel",
    ),
    a("h2-upgrade", "An upgrade to HTTP/2 for an unlisted Host", "Bishop Fox 2020, h2c smuggling"),
    a("h2-inspected-authority", "Inspected HTTP/2: an unlisted :authority", "Fifield 2015, domain fronting"),
    a(
        "h2-inspected-second",
        "Inspected HTTP/2: an unlisted :authority in the second stream",
        "RFC 9113, section 9.1.1",
    ),
    a("h2-path-denied", "Inspected HTTP/2: a path that is not open", "CWE-285"),
    a(
        "h2-path-second",
        "Inspected HTTP/2: a path that is not open in the second stream",
        "Kettle 2022, first-request validation",
    ),
    a("h2-path-dots", "Inspected HTTP/2: out of the open path with dot segments", "CVE-2019-9901"),
    a("h2-path-twice", "Inspected HTTP/2: two :path, the second not open", "Kettle 2021, HTTP/2: The Sequel"),
    a("http-host", "An unlisted Host, plain HTTP", "Fifield 2015, domain fronting"),
    elsewhere(
        "http-allowed-host-evil-address",
        "An allowed Host, the attacker's address",
        "curl --resolve; Fifield 2015",
    ),
    a(
        "http-evil-host-allowed-address",
        "An unlisted Host at an allowed name's address",
        "Fifield 2015, domain fronting",
    ),
    a("http-host-carries", "The secret as a label below an allowed Host", "CWE-201, data in sent data"),
    a(
        "http-absolute-form",
        "An absolute URL of an unlisted host, an allowed Host beside it",
        "RFC 9112, section 3.2.2",
    ),
    a(
        "http-two-hosts",
        "Two Host headers, the second unlisted",
        "RFC 9112, section 3.2; Chen 2016, Host of Troubles",
    ),
    a(
        "http-connect",
        "CONNECT to an unlisted host through an allowed one",
        "RFC 9110, section 9.3.6; corkscrew",
    ),
    a(
        "http-pipelined",
        "A second request on the connection, for an unlisted Host",
        "RFC 9112, section 9.3.2; Kettle 2022, first-request validation",
    ),
    a(
        "http-smuggled",
        "Transfer-Encoding against Content-Length, a request for an unlisted Host behind",
        "Linhart 2005; Kettle 2019, HTTP desync",
    ),
    a("http-folded", "A folded Host header", "RFC 9112, section 5.2"),
    a("http-websocket", "A WebSocket to an unlisted host", "RFC 6455; h2c smuggling, Bishop Fox 2020"),
    a(
        "inspected-host",
        "Inspected TLS: an allowed name outside, an unlisted Host inside",
        "Fifield 2015, domain fronting",
    ),
    a(
        "inspected-second",
        "Inspected TLS: the second request of a connection is for an unlisted Host",
        "RFC 9112, section 9.3.2; Kettle 2022, first-request validation",
    ),
    a("inspected-absolute", "Inspected TLS: an absolute URL of an unlisted host", "RFC 9112, section 3.2.2"),
    a("path-denied", "A path that is not open", "CWE-285"),
    a("path-dots", "Out of the open path with dot segments", "CWE-22; CVE-2019-9901"),
    a("path-escaped-dots", "Out of the open path with %2e%2e", "CWE-22; CVE-2021-41773"),
    a("path-escaped-slash", "Out of the open path with ..%2f", "CVE-2021-29492, escaped slashes in Envoy"),
    a("path-backslash", "Out of the open path with backslashes", "CVE-2021-29492"),
    a(
        "path-twice-escaped",
        "Out of the open path with dots that are escaped twice",
        "CVE-2021-42013; Tsai 2018, Breaking Parser Logic",
    ),
    a(
        "path-parameter",
        "Out of the open path with ..; as servlets read it",
        "Tsai 2018, Breaking Parser Logic",
    ),
    a(
        "path-double-slash",
        "A path that is not open behind a double slash",
        "CVE-2019-9901, Envoy's merged slashes",
    ),
    a("path-fragment", "A path that is open behind a # only", "CVE-2021-32779, fragment in Envoy's path"),
    a(
        "path-override",
        "A path that is not open in X-Original-URL, an open one in the request",
        "CVE-2018-14773, X-Original-URL",
    ),
    a(
        "path-pipelined",
        "A second request on the connection, for a path that is not open",
        "RFC 9112, section 9.3.2; Kettle 2022, first-request validation",
    ),
];
