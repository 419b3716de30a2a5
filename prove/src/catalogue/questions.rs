//! Questions that are no usual ones: other types and classes, other places in a message, other ports.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Dns, (Who::Agent, Control::Open, Arrival::Anywhere), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("dns-aaaa", "AAAA of an unlisted name", "RFC 3596; iodine"),
    a("dns-cname", "CNAME of an unlisted name", "iodine"),
    a("dns-ns", "NS of an unlisted name", "RFC 1035, section 3.2.2"),
    a("dns-dnskey", "DNSKEY of an unlisted name", "RFC 4034"),
    a("dns-naptr", "NAPTR of an unlisted name", "RFC 3403"),
    a("dns-ixfr", "An incremental zone transfer of an unlisted name", "RFC 1995"),
    a("dns-private-type", "A type of nobody's of an unlisted name", "RFC 6895; iodine, PRIVATE"),
    a("dns-txt-below-listed", "TXT below a listed name", "dnscat2; MITRE ATT&CK T1048"),
    a("dns-chaos", "A question of the class CHAOS", "RFC 4892"),
    a("dns-any-class", "A question of any class", "RFC 1035, section 3.2.5"),
    a("dns-case", "An unlisted name in mixed case", "Dagon 2008, 0x20 encoding"),
    a("dns-two-questions", "Two questions in one message, a listed name first", "RFC 9619"),
    a(
        "dns-answer-section",
        "The secret as an answer beside a question for a listed name",
        "RFC 1035, section 4.1",
    ),
    a(
        "dns-authority-section",
        "The secret as an authority beside a question for a listed name",
        "RFC 1035, section 4.1",
    ),
    a(
        "dns-additional-section",
        "The secret as a record beside a question for a listed name",
        "RFC 1035, section 4.1",
    ),
    a(
        "dns-behind-message",
        "The secret behind the end of a question for a listed name",
        "Slipstream; RFC 1035",
    ),
    a("dns-edns-listed", "The secret in an EDNS option beside a listed name", "RFC 6891; OzymanDNS"),
    a("dns-client-subnet", "The secret in a client subnet beside a listed name", "RFC 7871"),
    a("dns-cookie", "The secret in a cookie beside a listed name", "RFC 7873"),
    a("dns-padding", "The secret in the padding beside a listed name", "RFC 7830"),
    a("dns-signature", "The secret as the key's name of a signature beside a listed name", "RFC 8945"),
    a(
        "dns-compressed",
        "An unlisted name behind a compression pointer",
        "RFC 1035, section 4.1.4; CVE-2020-11901",
    ),
    a("dns-bytes", "An unlisted name with bytes that are no letters", "RFC 2181, section 11; iodine, raw"),
    a("dns-dot-in-label", "A listed name with a dot in a label behind the secret", "RFC 2181, section 11"),
    a("dns-nul-in-label", "The secret, NUL and a listed name in one label", "CVE-2009-2408; RFC 2181"),
    a("dns-255", "An unlisted name of 255 bytes", "RFC 1035, section 2.3.4"),
    a("dns-many-labels", "An unlisted name of a hundred labels", "RFC 1035, section 2.3.4; dns2tcp"),
    a("dns-as-answer", "A message that says it is an answer", "RFC 1035, section 4.1.1"),
    a("dns-status", "A STATUS that carries the secret", "RFC 1035, section 4.1.1"),
    a("dns-stateful", "A DSO message that carries the secret", "RFC 8490"),
    a("dns-source-53", "A question from port 53", "nmap --source-port 53"),
    a("dns-no-question", "Bytes that are no DNS, to port 53", "iodine, raw mode"),
    a("dns-over-tls-443", "DNS over TLS at the port of HTTPS", "RFC 7858, section 3.1"),
    a("dns-over-quic-853", "DNS over QUIC, UDP 853", "RFC 9250"),
    a("dns-over-https-resolver", "DNS over HTTPS at a resolver's own address", "RFC 8484; RFC 9462"),
    a("dns-over-https-json", "DNS over HTTPS in JSON in a query", "dnsexfiltrator; godoh"),
    a("dns-crypt", "DNSCrypt, UDP 5443", "dnscrypt.info"),
    a("dns-tcp-5353", "A question at port 5353 of a resolver outside, TCP", "RFC 6762"),
    a("dns-mdns-unicast", "A question at port 5353 of a resolver outside, UDP", "RFC 6762, section 5.5"),
    a("dns-llmnr-tcp", "Link-local name resolution over TCP", "RFC 4795, section 2.4"),
    a("dns-netbios", "A NetBIOS name by broadcast", "RFC 1002; Responder"),
    a("dns-netbios-outside", "A NetBIOS name of a server outside", "RFC 1002, section 4.2.12"),
    attack(
        Family::Dns,
        (Who::Other, Control::Open, Arrival::Anywhere),
        "dns-other-tcp",
        "A question to a resolver outside by another uid, TCP",
        "iodine; MITRE ATT&CK T1071.004",
    ),
    attack(
        Family::Dns,
        (Who::Root, Control::Open, Arrival::Anywhere),
        "dns-root-udp",
        "A question to a resolver outside, by root",
        "iodine; MITRE ATT&CK T1071.004",
    ),
];
