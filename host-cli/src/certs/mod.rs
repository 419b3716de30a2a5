//! The host's own certificate authority: made once, kept under the state folder, trusted by this host's agents alone.
//! Envoy shows its leaves to agents where a rule looks inside TLS. Its key leaves the state folder in no direction.

mod files;
mod issue;
mod leaf;
mod roots;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use rcgen::{Issuer, KeyPair};
use time::OffsetDateTime;

use crate::lock::StateLock;
use crate::paths::Paths;
use crate::store::StoreError;

pub use files::{Found, look};
pub use roots::public_roots;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertsError {
    /// A file can't be written or removed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file can't be read.
    #[error("Can't read {path}", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// A certificate without its key, a key that is none, a certificate of another key.
    #[error("{path}: {1}; make a new authority with `clawker firewall rotate-ca`", path = .0.display())]
    Broken(PathBuf, &'static str),
    /// Names that no certificate can hold.
    #[error("Can't make a certificate for {0}: it is no name of a host")]
    Name(String),
    /// A leaf for nothing.
    #[error("Can't make a certificate without a name")]
    NoNames,
    /// A key that is no file name.
    #[error("{0:?} can't name a certificate's file")]
    Key(String),
    /// Cryptography failed.
    #[error("Can't make a certificate")]
    Make(#[from] rcgen::Error),
}

/// The authority, loaded: its certificate, and its key to sign with.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    der: Vec<u8>,
    not_after: OffsetDateTime,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        write!(f, "Authority({})", self.fingerprint())
    }
}

/// A certificate for some names, and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, as PEM. Its issuer is a root, so the chain ends with it.
    pub chain_pem: String,
    /// Its private key, as PEM.
    pub key_pem: String,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leaf")
    }
}

impl Authority {
    /// The host's authority; makes one where there never was any.
    ///
    /// # Errors
    /// [`CertsError::Broken`] when what is there can't be used: agents may trust it, so it is not replaced unasked.
    pub fn load_or_make(paths: &Paths, _lock: &StateLock) -> Result<Self, CertsError> {
        match files::load(paths, OffsetDateTime::now_utc())? {
            Some(authority) => Ok(authority),
            None => files::make(paths, OffsetDateTime::now_utc()),
        }
    }

    /// The certificate alone, as PEM.
    pub fn pem(&self) -> &str {
        &self.certificate
    }

    /// Makes a new authority in the old one's place, whatever state that was in, and forgets its leaves.
    ///
    /// # Errors
    /// [`CertsError`]; the old one is still there then.
    pub fn rotate(paths: &Paths, _lock: &StateLock) -> Result<Self, CertsError> {
        let authority = files::make(paths, OffsetDateTime::now_utc())?;
        leaf::forget_all(paths)?;
        Ok(authority)
    }

    /// The leaf with these names (exact or `*.name`), from the store where it is still good: of this authority, for
    /// just these names, with more than 200 days left. Otherwise it is issued anew and stored. `key` names its file.
    ///
    /// # Errors
    /// [`CertsError`] for a name that is none, and when it can't be stored.
    pub fn leaf(
        &self,
        paths: &Paths,
        _lock: &StateLock,
        key: &str,
        names: &BTreeSet<String>,
    ) -> Result<Leaf, CertsError> {
        leaf::stored_or_new(self, paths, key, names, OffsetDateTime::now_utc())
    }

    /// Forgets the leaves of every other key.
    ///
    /// # Errors
    /// [`CertsError::Store`].
    pub fn keep_leaves(
        &self,
        paths: &Paths,
        _lock: &StateLock,
        keys: &BTreeSet<String>,
    ) -> Result<(), CertsError> {
        leaf::forget_others(paths, keys)
    }

    /// The certificate's SHA-256, in hex: what tells one authority from the next.
    pub fn fingerprint(&self) -> String {
        use sha2::{Digest, Sha256};
        Sha256::digest(&self.der).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// When it ends.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}
