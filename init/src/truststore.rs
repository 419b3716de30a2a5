//! Java's trust stores, which take no PEM: reads what an image's holds and writes one with more in it. Pure functions;
//! of the two forms it reads as much as is needed, and writes the simple one, which every Java since 8 takes
//! unasked: JKS (OpenJDK, `sun/security/provider/JavaKeyStore.java`).

use crate::sha1;

/// JKS: magic number and version.
const HEADER: [u8; 8] = [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
/// JKS: the tag of a certificate that is trusted.
const TRUSTED: u32 = 2;
/// JKS: the length of the digest at its end.
const DIGEST: usize = 20;
/// JKS: the shortest entry: tag, an alias without a letter, its time, a type without one, a certificate without a byte.
const SHORTEST: usize = 4 + 2 + 8 + 2 + 4;
/// The password of every JRE's own store. It keeps no secret: it guards against a damaged file.
const PASSWORD: &str = "changeit";
/// What JKS puts between the password and the content, for its digest.
const SALT: &[u8] = b"Mighty Aphrodite";
/// PKCS#12: the DER of x509Certificate, 1.2.840.113549.1.9.22.1 (RFC 7292, 4.2.3).
const X509: [u8; 12] = [0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01];

/// Entries of a store, as they stand in a JKS file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    count: u32,
    bytes: Vec<u8>,
}

impl Entries {
    /// The entries of a store; `None` where it is of no known form, or shows nothing without a password.
    pub fn read(store: &[u8]) -> Option<Self> {
        if let Some(rest) = store.strip_prefix(&HEADER) {
            let (count, rest) = rest.split_first_chunk()?;
            let bytes = rest.get(..rest.len().checked_sub(DIGEST)?)?.to_vec();
            let count = u32::from_be_bytes(*count);
            // More entries than can be there: Java would not read it, with ours in it or without.
            let fits = usize::try_from(count).is_ok_and(|count| count <= bytes.len() / SHORTEST);
            return fits.then_some(Self { count, bytes });
        }
        let mut entries = Self::default();
        let mut rest = store;
        while let Some(at) = rest.windows(X509.len()).position(|bytes| bytes == X509) {
            rest = rest.get(at + X509.len()..).unwrap_or_default();
            // [0] EXPLICIT OCTET STRING, which holds the certificate.
            if let Some((explicit, behind)) = content(0xa0, rest)
                && let Some((certificate, _)) = content(0x04, explicit)
            {
                entries.add("image", certificate);
                // One inside of another would be none, and many of them more than memory holds.
                rest = behind;
            }
        }
        (entries.count > 0).then_some(entries)
    }

    /// Adds a certificate (DER). A number keeps its name apart from others with the same prefix.
    pub fn add(&mut self, prefix: &str, certificate: &[u8]) {
        self.bytes.extend(TRUSTED.to_be_bytes());
        for (text, more) in [(format!("{prefix}-{}", self.count), &[0; 8][..]), ("X.509".to_owned(), &[])] {
            self.bytes.extend(u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
            self.bytes.extend(text.as_bytes());
            // After the alias, when it was added; 1970 will do.
            self.bytes.extend(more);
        }
        self.bytes.extend(u32::try_from(certificate.len()).unwrap_or_default().to_be_bytes());
        self.bytes.extend(certificate);
        self.count += 1;
    }

    /// The store.
    pub fn write(&self) -> Vec<u8> {
        let mut store = HEADER.to_vec();
        store.extend(self.count.to_be_bytes());
        store.extend(&self.bytes);
        let mut summed: Vec<u8> = PASSWORD.bytes().flat_map(|byte| [0, byte]).collect();
        summed.extend(SALT);
        summed.extend(&store);
        store.extend(sha1::digest(&summed));
        store
    }
}

/// The content of a DER value with this tag, and what is behind it; `None` for another or one that is cut short.
fn content(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

/// The certificates of a PEM text, as DER. What is none is passed over, as other readers of bundles do.
pub fn certificates(pem: &str) -> impl Iterator<Item = Vec<u8>> {
    pem.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .filter_map(|rest| decode(rest.split("-----END CERTIFICATE-----").next()?))
}

/// Base64 (RFC 4648, 4), white space aside.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_be_bytes()[3]);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "junk\n-----BEGIN CERTIFICATE-----\nMAMC\r\nAQU=\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nMAA=";

    #[test]
    fn a_bundle_gives_its_certificates_and_what_is_none_is_passed_over() {
        let read: Vec<_> = certificates(PEM).collect();
        assert_eq!(read, [vec![0x30, 3, 2, 1, 5], vec![0x30, 0]]);
        assert_eq!(certificates("").count(), 0);
    }

    #[test]
    fn what_a_store_held_is_still_in_it_once_more_is_added() {
        let mut entries = Entries::default();
        entries.add("image", &[0x30, 0]);
        let mut more = Entries::read(&entries.write()).unwrap();
        assert_eq!(more, entries);
        more.add("clawker", &[0x30, 1, 7]);
        let store = more.write();
        assert_eq!(store[8..12], [0, 0, 0, 2]);
        assert!(store[12..].starts_with(&entries.bytes));
        assert!(store.windows(9).any(|bytes| bytes == b"clawker-1"));
    }

    #[test]
    fn the_digest_is_what_java_computes() {
        // An empty store of `keytool`, password changeit.
        let empty = Entries::default().write();
        assert_eq!(empty.len(), 32);
        assert_eq!(
            empty[12..],
            [
                0xe2, 0x68, 0x6e, 0x45, 0xfb, 0x43, 0xdf, 0xa4, 0xd9, 0x92, 0xdd, 0x41, 0xce, 0xb6, 0xb2,
                0x1c, 0x63, 0x30, 0xd7, 0x92
            ]
        );
    }

    #[test]
    fn certificates_of_a_store_without_a_password_are_found() {
        let mut store = vec![0x30, 0x82, 1, 1];
        for certificate in [&[0x30, 1, 7][..], &[0x30, 0]] {
            store.extend(X509);
            let length = u8::try_from(certificate.len()).unwrap();
            store.extend([0xa0, 0x81, length + 2, 0x04, length]);
            store.extend(certificate);
        }
        let mut expected = Entries::default();
        expected.add("image", &[0x30, 1, 7]);
        expected.add("image", &[0x30, 0]);
        assert_eq!(Entries::read(&store), Some(expected));
    }

    #[test]
    fn certificates_inside_of_each_other_do_not_fill_memory() {
        let mut store = Vec::new();
        for left in (0u32..500).rev() {
            // Each claims everything up to the end.
            let length = left * 24;
            store.extend(X509);
            store.extend(
                [&[0xa0, 0x84][..], &(length + 6).to_be_bytes(), &[0x04, 0x84], &length.to_be_bytes()]
                    .concat(),
            );
        }
        let read = Entries::read(&store).unwrap().write();
        assert!(read.len() <= 2 * store.len(), "{} bytes of {}", read.len(), store.len());
    }

    #[test]
    fn a_store_with_more_entries_than_it_has_room_for_is_none() {
        let with = |count: u32| [&HEADER[..], &count.to_be_bytes(), &[0; SHORTEST], &[0; DIGEST]].concat();
        assert!(Entries::read(&with(1)).is_some());
        assert_eq!(Entries::read(&with(2)), None);
        assert_eq!(Entries::read(&with(u32::MAX)), None);
    }

    #[test]
    fn a_store_that_is_cut_short_or_shut_is_none() {
        let cut = [&X509[..], &[0xa0, 0x84, 0xff, 0xff, 0xff, 0xff, 0x04]].concat();
        for store in [&b""[..], b"\x30\x82", &HEADER, &[&HEADER[..], &[0; 4], &[0; 19]].concat(), &X509, &cut]
        {
            assert_eq!(Entries::read(store), None, "{store:?}");
        }
    }
}
