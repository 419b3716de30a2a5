//! What the fake internet writes down: one JSON line for each thing that arrives. The rig reads the same lines back. Nothing that arrives is ever judged here.

use std::fs::File;
use std::io::{self, Write};
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

/// What sort of thing arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The fake internet answers from here on.
    Ready,
    /// A question, over UDP or TCP.
    Dns,
    /// A TCP connection was accepted.
    Tcp,
    /// Bytes that came over a connection: as sent, or as decrypted.
    Data,
    /// A ClientHello that could be read.
    Tls,
    /// An HTTP request, whole.
    Http,
    /// A UDP datagram, seen on the wire.
    Udp,
    /// An ICMP or ICMPv6 message, seen on the wire.
    Icmp,
    /// Any other packet, seen on the wire: the first segments of TCP, other protocols, other ethertypes.
    Packet,
}

/// One arrival. Fields that mean nothing for its kind are empty and not written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// What it was.
    pub kind: Kind,
    /// Joins the records of one TCP connection; 0 for everything else.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connection: u64,
    /// Address, and port where there is one, that it came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Address, and port where there is one, that the client dialled.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// The name that it carried: the question's, the SNI, the Host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The rest of what it was: the question's type, the request line, the ALPN, the protocol.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// The SNI of the TLS session that an HTTP request came in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sni: String,
    /// An HTTP request's headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The payload as text; what is no UTF-8 is replaced.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The payload's bytes, where the text is not exactly them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    base64: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    /// An empty record of now.
    pub fn new(kind: Kind) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            time_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            kind,
            connection: 0,
            source: String::new(),
            destination: String::new(),
            name: String::new(),
            what: String::new(),
            sni: String::new(),
            headers: Vec::new(),
            text: String::new(),
            base64: String::new(),
        }
    }

    /// Who sent it to whom.
    #[must_use]
    pub fn between(mut self, source: impl ToString, destination: impl ToString) -> Self {
        self.source = source.to_string();
        self.destination = destination.to_string();
        self
    }

    /// The name that it carried.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What else it was.
    #[must_use]
    pub fn what(mut self, what: impl Into<String>) -> Self {
        self.what = what.into();
        self
    }

    /// Its payload.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text = text.to_owned(),
            Err(_) => {
                self.text = String::from_utf8_lossy(bytes).into_owned();
                self.base64 = BASE64_STANDARD.encode(bytes);
            }
        }
        self
    }

    /// Whether it is what every IPv6 interface says to its own link (RFC 4861, RFC 3810), asked or not.
    pub fn is_chatter(&self) -> bool {
        self.destination.parse::<Ipv6Addr>().is_ok_and(|to| to.segments()[0] == 0xff02)
    }

    /// The payload's bytes.
    pub fn bytes(&self) -> Vec<u8> {
        if self.base64.is_empty() {
            return self.text.clone().into_bytes();
        }
        BASE64_STANDARD.decode(&self.base64).unwrap_or_else(|_| self.text.clone().into_bytes())
    }
}

/// Where the lines go: a file, or stdout. Never both: a slow reader of stdout would hold up every answer.
#[derive(Debug)]
pub struct Recorder {
    file: Option<Mutex<File>>,
}

impl Recorder {
    /// Writes to a file that it makes anew, else to stdout.
    ///
    /// # Errors
    /// When the file can't be made.
    pub fn new(file: Option<&Path>) -> io::Result<Self> {
        Ok(Self { file: file.map(File::create).transpose()?.map(Mutex::new) })
    }

    /// Writes one line, whole. A sink that can't be written any more loses it: there is nobody to tell.
    pub fn write(&self, record: &Record) {
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        let _ = match &self.file {
            Some(file) => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line),
            None => io::stdout().lock().write_all(&line),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back_whole() {
        let bytes = b"can\xffary\0";
        let line = serde_json::to_string(&Record::new(Kind::Udp).payload(bytes)).unwrap();
        let back: Record = serde_json::from_str(&line).unwrap();
        assert_eq!(back.bytes(), bytes);
        assert!(back.text.contains("ary"));
    }

    #[test]
    fn only_what_goes_to_the_own_link_is_chatter() {
        assert!(Record::new(Kind::Icmp).between("fe80::1", "ff02::16").is_chatter());
        for to in ["198.51.100.131", "198.51.100.131:53", "2001:db8::1", "ff0e::1", ""] {
            assert!(!Record::new(Kind::Udp).between("::", to).is_chatter(), "{to}");
        }
    }

    #[test]
    fn what_a_kind_does_not_have_is_not_written() {
        let line = serde_json::to_string(&Record::new(Kind::Dns).name("a.example").what("A")).unwrap();
        assert!(
            line.contains("\"dns\"") && !line.contains("connection") && !line.contains("base64"),
            "{line}"
        );
    }
}
