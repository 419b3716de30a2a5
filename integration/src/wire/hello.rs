//! ClientHellos (RFC 8446, 4.1.2), well-formed unless they are made otherwise.

/// `server_name` of RFC 6066.
pub const SERVER_NAME: u16 = 0;
/// `supported_groups` of RFC 8446.
pub const SUPPORTED_GROUPS: u16 = 10;
/// `padding` of RFC 7685.
pub const PADDING: u16 = 21;
/// `supported_versions` of RFC 8446.
pub const SUPPORTED_VERSIONS: u16 = 43;
/// `key_share` of RFC 8446.
pub const KEY_SHARE: u16 = 51;
/// `encrypted_client_hello` of RFC 9849.
pub const ECH: u16 = 0xfe0d;
/// A value that no server knows, as of RFC 8701.
pub const GREASE: u16 = 0x0a0a;
/// An extension of private use, for a text that can be found again.
const MARK: u16 = 0xff77;
/// As much as a record holds.
pub const RECORD: usize = 1 << 14;
/// Hybrid of X25519 and ML-KEM-768, and how long its share is.
const X25519MLKEM768: (u16, usize) = (0x11ec, 1216);
const X25519: u16 = 0x001d;

/// A ClientHello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// What record and message say is spoken.
    pub version: u16,
    /// Cipher suites.
    pub suites: Vec<u16>,
    /// Extensions in their order.
    pub extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// What a client of today sends, without a name; `mark` is a text of its own.
    pub fn new(mark: &str) -> Self {
        let extensions = vec![
            (MARK, mark.as_bytes().to_vec()),
            (SUPPORTED_GROUPS, list16(&[X25519, 0x0017])),
            // ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256, ed25519
            (13, list16(&[0x0403, 0x0804, 0x0807])),
            // http/1.1 in ALPN
            (16, prefixed(&[&[8][..], b"http/1.1"].concat())),
            (SUPPORTED_VERSIONS, vec![4, 3, 4, 3, 3]),
            (KEY_SHARE, prefixed(&share(X25519, 32))),
        ];
        Self { version: 0x0303, suites: vec![0x1301, 0x1302, 0xc02b, 0xc02f], extensions }
    }

    /// Asks for a name, in the last extension.
    #[must_use]
    pub fn named(self, name: impl AsRef<[u8]>) -> Self {
        self.with(SERVER_NAME, server_names(&[(0, name.as_ref())]))
    }

    /// One more extension.
    #[must_use]
    pub fn with(mut self, kind: u16, body: Vec<u8>) -> Self {
        self.extensions.push((kind, body));
        self
    }

    /// Without the extensions of a kind.
    #[must_use]
    pub fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(other, _)| *other != kind);
        self
    }

    /// With the values that no server knows (RFC 8701) wherever there is a list.
    #[must_use]
    pub fn greased(mut self) -> Self {
        self.suites.insert(0, GREASE);
        self = self.without(SUPPORTED_GROUPS).without(SUPPORTED_VERSIONS).without(KEY_SHARE);
        self.extensions.insert(0, (GREASE, Vec::new()));
        let shares = [&[0x0a, 0x0a, 0, 1, 0][..], &share(X25519, 32)].concat();
        self.with(SUPPORTED_GROUPS, list16(&[GREASE, X25519]))
            .with(SUPPORTED_VERSIONS, vec![6, 0x0a, 0x0a, 3, 4, 3, 3])
            .with(KEY_SHARE, prefixed(&shares))
            .with(GREASE | 0x1010, vec![0])
    }

    /// With a key share for a post-quantum group as well.
    #[must_use]
    pub fn post_quantum(self) -> Self {
        let (group, length) = X25519MLKEM768;
        self.without(SUPPORTED_GROUPS)
            .without(KEY_SHARE)
            .with(SUPPORTED_GROUPS, list16(&[group, X25519]))
            .with(KEY_SHARE, prefixed(&[share(group, length), share(X25519, 32)].concat()))
    }

    /// The handshake message.
    pub fn message(&self) -> Vec<u8> {
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &prefixed(body)].concat())
            .collect();
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([0x5a; 32]);
        body.extend([32]);
        body.extend([0x33; 32]);
        body.extend(prefixed(&suites));
        body.extend([1, 0]);
        body.extend(prefixed(&extensions));
        let length = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
        [&[1][..], length.get(1..).unwrap_or_default(), &body].concat()
    }

    /// The message in records of so many bytes at most.
    pub fn records(&self, size: usize) -> Vec<u8> {
        let version = self.version.min(0x0301).to_be_bytes();
        self.message()
            .chunks(size.clamp(1, RECORD))
            .flat_map(|piece| [&[0x16][..], &version, &prefixed(piece)].concat())
            .collect()
    }

    /// The message in as few records as it fits in.
    pub fn bytes(&self) -> Vec<u8> {
        self.records(RECORD)
    }
}

/// The body of [`SERVER_NAME`]: names with their types.
pub fn server_names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let list: Vec<u8> =
        names.iter().flat_map(|(kind, name)| [&[*kind][..], &prefixed(name)].concat()).collect();
    prefixed(&list)
}

/// The body of [`ECH`] as an outer hello has it: whether it is real or GREASE, nobody on the way can tell.
pub fn ech() -> Vec<u8> {
    let sealed = prefixed(&[0x77; 176]);
    // outer, HKDF-SHA256 with AES-128-GCM, the configuration's number
    [&[0, 0, 1, 0, 1, 42][..], &prefixed(&[0x66; 32]), &sealed].concat()
}

/// Bytes behind their length, in two bytes.
fn prefixed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], bytes].concat()
}

fn list16(values: &[u16]) -> Vec<u8> {
    prefixed(&values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>())
}

fn share(group: u16, length: usize) -> Vec<u8> {
    // Any 32 bytes are a key of X25519; these are its base point's in part, and not one of small order.
    let key: Vec<u8> = (0..length).map(|at| if at % 32 == 0 { 9 } else { 0x41 }).collect();
    [&group.to_be_bytes()[..], &prefixed(&key)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Option<(Option<String>, bool)> {
        let mut acceptor = rustls::server::Acceptor::default();
        acceptor.read_tls(&mut &bytes[..]).unwrap();
        let accepted = acceptor.accept().ok()??;
        let hello = accepted.client_hello();
        Some((hello.server_name().map(str::to_owned), hello.alpn().is_some()))
    }

    #[test]
    fn a_server_reads_the_name_in_all_that_is_well_formed() {
        let hello = Hello::new("mark");
        let named = Some((Some("a.test".to_owned()), true));
        assert_eq!(read(&hello.bytes()), Some((None, true)));
        for hello in [
            hello.clone().named("a.test"),
            hello.clone().greased().named("a.test"),
            hello.clone().post_quantum().named("a.test"),
            hello.clone().with(ECH, ech()).named("a.test"),
        ] {
            assert_eq!(read(&hello.bytes()), named, "{hello:?}");
            assert_eq!(read(&hello.records(100)), named);
        }
        assert_eq!(read(&hello.clone().named("a.test").named("b.test").bytes()), None);
    }
}
