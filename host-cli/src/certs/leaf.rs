//! Leaves and where they are kept: one file each, key and certificate, so that the same rules show an agent the same
//! certificate after every reload.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use super::{Authority, CertsError, Leaf, files, issue};
use crate::paths::Paths;
use crate::store::{StoreError, write_atomically};

/// A leaf with no more than this left is issued anew: an agent may keep running for long after.
const LEAST_LEFT: Duration = Duration::days(200);

fn folder(paths: &Paths) -> PathBuf {
    paths.certs_dir().join("leaves")
}

fn path(paths: &Paths, key: &str) -> Result<PathBuf, CertsError> {
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if key.is_empty() || key.len() > 128 || key.starts_with('.') || !key.chars().all(fit) {
        return Err(CertsError::Key(key.to_owned()));
    }
    Ok(folder(paths).join(format!("{key}.pem")))
}

/// The stored leaf where it is good, else a new one, stored.
pub fn stored_or_new(
    authority: &Authority,
    paths: &Paths,
    key: &str,
    names: &BTreeSet<String>,
    now: OffsetDateTime,
) -> Result<Leaf, CertsError> {
    let path = path(paths, key)?;
    let stored = files::read(&path)?.and_then(|text| good(authority, &text, names, now));
    if let Some(leaf) = stored {
        return Ok(leaf);
    }
    let leaf = issue(authority, names, now)?;
    write_atomically(&path, format!("{}{}", leaf.key_pem, leaf.chain_pem).as_bytes(), 0o600)?;
    Ok(leaf)
}

fn issue(authority: &Authority, names: &BTreeSet<String>, now: OffsetDateTime) -> Result<Leaf, CertsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = issue::leaf(names, now, authority.not_after)?.signed_by(&key, &authority.issuer)?;
    Ok(Leaf { chain_pem: files::encode(certificate.der()), key_pem: key.serialize_pem() })
}

/// The leaf of a file, where it is one of this authority, for just these names, and good for long enough. Whatever
/// else the file holds: a new one is as good.
fn good(authority: &Authority, text: &str, names: &BTreeSet<String>, now: OffsetDateTime) -> Option<Leaf> {
    let (key, der) = files::pair(text)?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let (_, issuer) = X509Certificate::from_der(&authority.der).ok()?;
    certificate.verify_signature(Some(issuer.public_key())).ok()?;
    let ends = certificate.validity().not_after.to_datetime();
    let long_enough = ends - now > LEAST_LEFT || ends >= authority.not_after;
    let begun = certificate.validity().is_valid_at(ASN1Time::from(now));
    let fits = files::belongs(&certificate, &key) && names_of(&certificate)? == *names;
    (long_enough && begun && fits)
        .then(|| Leaf { chain_pem: files::encode(&der), key_pem: key.serialize_pem() })
}

/// A certificate's names; `None` where one of them is no DNS name.
fn names_of(certificate: &X509Certificate<'_>) -> Option<BTreeSet<String>> {
    let names = certificate.subject_alternative_name().ok()??;
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().map(name).collect()
}

/// Forgets every leaf.
pub fn forget_all(paths: &Paths) -> Result<(), CertsError> {
    let folder = folder(paths);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(cant_remove(&folder, error)),
        _ => Ok(()),
    }
}

/// Forgets the leaves of all keys but these.
pub fn forget_others(paths: &Paths, keys: &BTreeSet<String>) -> Result<(), CertsError> {
    let folder = folder(paths);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CertsError::Read(folder, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| CertsError::Read(folder.clone(), error))?.path();
        let kept = path.file_stem().is_some_and(|stem| keys.contains(stem.to_string_lossy().as_ref()));
        if !kept {
            std::fs::remove_file(&path).map_err(|error| cant_remove(&path, error))?;
        }
    }
    Ok(())
}

fn cant_remove(path: &Path, source: io::Error) -> CertsError {
    StoreError::Io { verb: "remove", path: path.to_owned(), source }.into()
}
