//! The roots that the agent trusts: the image's own bundle plus the ones that the host gave, in a folder that
//! everybody may read and only root may write.

use std::path::Path;

use clawker_protocol::places;

/// Where distributions keep their bundle, in the order in which they are looked for.
const IMAGE_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Variables that name a bundle which replaces the built-in one.
const WHOLE_BUNDLE: [&str; 9] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "NIX_SSL_CERT_FILE",
];
/// The variable that names roots which are added to the built-in ones.
const EXTRA_ONLY: &str = "NODE_EXTRA_CA_CERTS";

/// The variable that names `wget`'s settings for all users.
const WGETRC: &str = "SYSTEM_WGETRC";
/// The image's own.
const IMAGE_WGETRC: &str = "/etc/wgetrc";

/// The image's bundle and the extra roots in one text, each ending with a newline.
pub fn join(image: &str, extra: &str) -> String {
    let mut text = image.to_owned();
    for part in ["", extra] {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(part);
    }
    text
}

/// Writes the bundle, the extra roots and Java's trust stores, at boot. Nothing to trust, nothing done.
///
/// # Errors
/// When a file can't be written.
pub fn publish(extra_pem: &str) -> std::io::Result<()> {
    if extra_pem.is_empty() {
        return Ok(());
    }
    write(extra_pem, true)
}

/// Writes them anew where they changed, for what starts from now on.
///
/// # Errors
/// When a file can't be written.
pub fn publish_again(extra_pem: &str) -> std::io::Result<()> {
    let now = std::fs::read_to_string(places::CA_EXTRA).unwrap_or_default();
    if now == join("", extra_pem) { Ok(()) } else { write(extra_pem, false) }
}

fn write(extra_pem: &str, boots: bool) -> std::io::Result<()> {
    let image = IMAGE_BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
    crate::boot::write_public(Path::new(places::CA_BUNDLE), join(&image, extra_pem).as_bytes())?;
    let wgetrc = std::fs::read_to_string(IMAGE_WGETRC).unwrap_or_default();
    let bundle = format!("ca_certificate = {}\n", places::CA_BUNDLE);
    crate::boot::write_public(Path::new(places::WGETRC), join(&wgetrc, &bundle).as_bytes())?;
    if let Err(why) = crate::java::publish(&image, extra_pem, boots) {
        // Whatever an image's Java is like, all else works.
        crate::log::line(&why);
    }
    crate::boot::write_public(Path::new(places::CA_EXTRA), join("", extra_pem).as_bytes())
}

/// The variables that lead every usual tool to the bundle.
pub fn variables() -> Vec<(&'static str, &'static str)> {
    let mut variables: Vec<_> = WHOLE_BUNDLE.iter().map(|name| (*name, places::CA_BUNDLE)).collect();
    variables.extend([(EXTRA_ONLY, places::CA_EXTRA), (WGETRC, places::WGETRC)]);
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_last_newline_does_not_run_into_ours() {
        assert_eq!(join("A", "B\n"), "A\nB\n");
        assert_eq!(join("A\n", "B\n"), "A\nB\n");
        assert_eq!(join("", "B\n"), "B\n");
    }
}
