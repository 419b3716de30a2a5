//! The public roots that Envoy trusts upstream where it opens TLS: Mozilla's, carried in the program, so that neither
//! Envoy's image nor the host has to have a bundle.

use super::files;

/// Mozilla's roots, as PEM.
pub fn public_roots() -> String {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|der| files::encode(der)).collect()
}
