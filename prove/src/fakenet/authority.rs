//! The fake internet's certificate authority: made anew at every start, mints a leaf for whatever name a client
//! asks for. Its own key never leaves the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The name in the leaf of a client that asked for none.
const NO_NAME: &str = "no-name.invalid";

/// A name that belongs to the names below it, each of which shows a certificate that no client should take: `wrong`
/// another name's, `expired` one of the past, `foreign` one of a root that nobody trusts, `alone` one that no root signed.
const BAD: &str = ".bad-cert.test";

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate could not be made.
    #[error("Can't make a certificate")]
    Make(#[from] rcgen::Error),
    /// It was made, but TLS does not take it.
    #[error("Can't use a certificate")]
    Use(#[from] rustls::Error),
}

/// The authority and the leaves that it has minted.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    foreign: Issuer<'static, KeyPair>,
    pem: String,
    leaves: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// [`AuthorityError`] when keys or certificates can't be made.
    pub fn new() -> Result<Self, AuthorityError> {
        let (issuer, pem) = root("Fake internet root")?;
        let (foreign, _) = root("Root that nobody trusts")?;
        Ok(Self { issuer, foreign, pem, leaves: Mutex::default() })
    }

    /// The root certificate, to be trusted.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What servers of this authority speak: TLS 1.2 and 1.3, and in it these protocols, the preferred first.
    ///
    /// # Errors
    /// [`AuthorityError::Use`] when the TLS library lacks one of them.
    pub fn server_config(
        self: &Arc<Self>,
        protocols: &[&[u8]],
    ) -> Result<Arc<rustls::ServerConfig>, AuthorityError> {
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }

    fn leaf(&self, name: &str) -> Result<Arc<CertifiedKey>, AuthorityError> {
        let mut leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaf) = leaves.get(name) {
            return Ok(Arc::clone(leaf));
        }
        let (certificate, key) = self.mint(name)?;
        let key = any_supported_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())))?;
        let leaf = Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key));
        leaves.insert(name.to_owned(), Arc::clone(&leaf));
        Ok(leaf)
    }

    /// A leaf and its key as PEM, for a server that is not ours.
    ///
    /// # Errors
    /// [`AuthorityError`] when it can't be made.
    pub fn leaf_pem(&self, name: &str) -> Result<(String, String), AuthorityError> {
        let (certificate, key) = self.mint(name)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn mint(&self, name: &str) -> Result<(Certificate, KeyPair), AuthorityError> {
        let fault = name.strip_suffix(BAD).unwrap_or_default();
        let shown = if fault == "wrong" { NO_NAME } else { name };
        let mut params = CertificateParams::new(vec![shown.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        set_validity(&mut params);
        if fault == "expired" {
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = match fault {
            "foreign" => params.signed_by(&key, &self.foreign)?,
            "alone" => params.self_signed(&key)?,
            _ => params.signed_by(&key, &self.issuer)?,
        };
        Ok((certificate, key))
    }
}

/// A root and its certificate.
fn root(name: &str) -> Result<(Issuer<'static, KeyPair>, String), AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params);
    let key = KeyPair::generate()?;
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}

/// Years around any test's clock.
fn set_validity(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf(hello.server_name().unwrap_or(NO_NAME)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_leaf_and_another_gets_its_own() {
        let authority = Authority::new().unwrap();
        let first = authority.leaf("a.example").unwrap();
        assert_eq!(first.cert, authority.leaf("a.example").unwrap().cert);
        assert_ne!(first.cert, authority.leaf("b.example").unwrap().cert);
        assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    }

    #[test]
    fn a_bad_certificate_is_bad_to_a_client_and_its_neighbour_is_not() {
        use rustls::client::danger::ServerCertVerifier as _;
        use rustls::pki_types::pem::PemObject as _;
        use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

        let authority = Authority::new().unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().unwrap();
        for (name, is_good) in
            [("good", true), ("wrong", false), ("expired", false), ("foreign", false), ("alone", false)]
        {
            let name = format!("{name}{BAD}");
            let leaf = authority.leaf(&name).unwrap();
            let server = ServerName::try_from(name.clone()).unwrap();
            let said = verifier.verify_server_cert(&leaf.cert[0], &[], &server, &[], UnixTime::now());
            assert_eq!(said.is_ok(), is_good, "{name}: {said:?}");
        }
    }
}
