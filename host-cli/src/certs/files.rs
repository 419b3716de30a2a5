//! Where the authority lies: `ca.key` holds key and certificate in one file, so that one rename changes both and no
//! crash leaves half a pair; `ca.pem` is the certificate again, for people and programs to read.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Authority, CertsError, issue};
use crate::paths::Paths;
use crate::store::write_atomically;

/// What a PEM block is called.
pub const CERTIFICATE: &str = "CERTIFICATE";

/// Key and certificate.
pub fn key_path(paths: &Paths) -> PathBuf {
    paths.certs_dir().join("ca.key")
}

/// The certificate alone.
pub fn certificate_path(paths: &Paths) -> PathBuf {
    paths.certs_dir().join("ca.pem")
}

/// A file's text; `None` where there is none.
pub fn read(path: &Path) -> Result<Option<String>, CertsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CertsError::Read(path.to_owned(), error)),
    }
}

/// The authority as it is, for whoever only looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The key's file.
    pub key: PathBuf,
    /// Its mode.
    pub key_mode: u32,
    /// When the authority ends.
    pub not_after: OffsetDateTime,
}

/// Looks at the authority and changes nothing; `None` where there never was one.
///
/// # Errors
/// [`CertsError::Broken`], [`CertsError::Read`].
pub fn look(paths: &Paths, now: OffsetDateTime) -> Result<Option<Found>, CertsError> {
    let Some((authority, key_mode)) = read_pair(paths, now)? else { return Ok(None) };
    Ok(Some(Found { key: key_path(paths), key_mode, not_after: authority.not_after }))
}

/// The authority that is there, and its key's mode.
fn read_pair(paths: &Paths, now: OffsetDateTime) -> Result<Option<(Authority, u32)>, CertsError> {
    let path = key_path(paths);
    let Some(pair) = read(&path)? else {
        return if certificate_path(paths).exists() {
            Err(CertsError::Broken(path, "the authority's key is gone"))
        } else {
            Ok(None)
        };
    };
    let authority = parse(&pair, now).map_err(|what| CertsError::Broken(path.clone(), what))?;
    let metadata = std::fs::metadata(&path).map_err(|error| CertsError::Read(path, error))?;
    Ok(Some((authority, metadata.permissions().mode() & 0o777)))
}

/// The authority that is there; `None` where there never was one. Puts `ca.pem` and the key's mode right.
pub fn load(paths: &Paths, now: OffsetDateTime) -> Result<Option<Authority>, CertsError> {
    let Some((authority, mode)) = read_pair(paths, now)? else { return Ok(None) };
    if mode & 0o077 != 0 {
        let key = key_path(paths);
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600))
            .map_err(|error| CertsError::Read(key, error))?;
    }
    let certificate_path = certificate_path(paths);
    if read(&certificate_path)?.as_deref() != Some(authority.pem()) {
        write_atomically(&certificate_path, authority.pem().as_bytes(), 0o644)?;
    }
    Ok(Some(authority))
}

/// Makes a new one and puts it in the old one's place.
pub fn make(paths: &Paths, now: OffsetDateTime) -> Result<Authority, CertsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    let id: String = Sha256::digest(key.der_bytes()).iter().take(4).map(|b| format!("{b:02x}")).collect();
    let params = issue::authority(host.as_deref().unwrap_or("host"), &id, now);
    let certificate = params.self_signed(&key)?;
    let text = certificate.pem();
    write_atomically(&key_path(paths), format!("{}{text}", key.serialize_pem()).as_bytes(), 0o600)?;
    write_atomically(&certificate_path(paths), text.as_bytes(), 0o644)?;
    let not_after = params.not_after;
    Ok(Authority {
        der: certificate.der().to_vec(),
        issuer: Issuer::new(params, key),
        certificate: text,
        not_after,
    })
}

/// Reads key and certificate, and checks that they belong together.
pub fn parse(text: &str, now: OffsetDateTime) -> Result<Authority, &'static str> {
    let (key, der) = pair(text).ok_or("it does not hold one key and one certificate")?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| "its certificate is damaged")?;
    if !belongs(&certificate, &key) {
        return Err("its key and its certificate are not a pair");
    }
    if !certificate.is_ca() {
        return Err("its certificate is not an authority's");
    }
    let not_after = certificate.validity().not_after.to_datetime();
    if now > not_after {
        return Err("the authority has expired");
    }
    let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
        .map_err(|_| "its certificate can't be signed with")?;
    Ok(Authority { issuer, certificate: encode(&der), der, not_after })
}

/// The one key and the one certificate of a text.
pub fn pair(text: &str) -> Option<(KeyPair, Vec<u8>)> {
    let blocks = pem::parse_many(text).ok()?;
    let [first, second] = <[_; 2]>::try_from(blocks).ok()?;
    let (key, certificate) = if first.tag() == CERTIFICATE { (second, first) } else { (first, second) };
    if certificate.tag() != CERTIFICATE {
        return None;
    }
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key.contents().into(), &PKCS_ECDSA_P256_SHA256).ok()?;
    Some((key, certificate.into_contents()))
}

/// Whether a certificate is this key's.
pub fn belongs(certificate: &X509Certificate<'_>, key: &KeyPair) -> bool {
    certificate.public_key().subject_public_key.data.as_ref() == key.der_bytes()
}

/// A certificate as PEM.
pub fn encode(der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(CERTIFICATE, der), config)
}
