//! What is in a certificate: pure values, so that a strict reader (Python 3.13, Java, Go) finds every extension that
//! it asks for.

use std::collections::BTreeSet;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

use super::CertsError;

/// How long an authority lasts.
const AUTHORITY_DAYS: i64 = 3650;
/// How long a leaf lasts: some clients refuse more than 398 days.
pub const LEAF_DAYS: i64 = 395;
/// How far back a certificate begins: a container's clock may be behind.
const BACKDATED: Duration = Duration::days(1);
/// What of the host's name goes into the authority's: a common name has 64 characters at most (RFC 5280, A.1).
const HOST_LEN: usize = 32;

/// The authority's certificate: a root that signs leaves and nothing below them.
pub fn authority(host: &str, id: &str, now: OffsetDateTime) -> CertificateParams {
    let printable = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let host: String = host.chars().filter(printable).take(HOST_LEN).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Clawker CA ({host}) {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    // Certificates know whole seconds; so its end compares equal once it is read back.
    let now = now.replace_nanosecond(0).unwrap_or(now);
    params.not_before = now - BACKDATED;
    params.not_after = now + Duration::days(AUTHORITY_DAYS);
    params
}

/// A leaf for these names. Its serial number is the hash of its new key, so no two are alike.
///
/// # Errors
/// [`CertsError::Name`] for what is no host name, [`CertsError::NoNames`].
pub fn leaf(
    names: &BTreeSet<String>,
    now: OffsetDateTime,
    authority_ends: OffsetDateTime,
) -> Result<CertificateParams, CertsError> {
    if names.is_empty() {
        return Err(CertsError::NoNames);
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Not empty: then the alternative names would have to be critical, which old clients trip over.
    params.distinguished_name.push(DnType::OrganizationName, "Clawker");
    for name in names {
        if !is_host(name) {
            return Err(CertsError::Name(name.clone()));
        }
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
    }
    // Said outright: it also brings the key identifier that strict readers want.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - BACKDATED;
    params.not_after = (now + Duration::days(LEAF_DAYS)).min(authority_ends);
    Ok(params)
}

/// Whether it is a lower-case host name, or one with `*` for its first label.
fn is_host(name: &str) -> bool {
    let host = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    host.len() <= 253 && host.split('.').all(label)
}
