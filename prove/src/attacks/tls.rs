//! TLS as an attacker speaks it: whoever answers is believed.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::{Failed, send};

/// A session.
pub type Session = StreamOwned<ClientConnection, TcpStream>;

/// Opens one; no name is said where there is none.
pub fn open(target: impl Into<SocketAddr>, name: Option<&str>) -> Result<Session, Failed> {
    open_for(target, name, b"http/1.1")
}

/// Likewise, for another protocol.
pub fn open_for(target: impl Into<SocketAddr>, name: Option<&str>, alpn: &[u8]) -> Result<Session, Failed> {
    let connection = client(name, alpn)?;
    Ok(StreamOwned::new(connection, send::connect(target)?))
}

/// Opens one, says something, reads what comes first.
pub fn talk(target: impl Into<SocketAddr>, name: Option<&str>, bytes: &[u8]) -> Result<String, Failed> {
    send::talk(open(target, name)?, bytes)
}

/// The first message of a client.
pub fn hello(name: &str) -> Result<Vec<u8>, Failed> {
    let mut bytes = Vec::new();
    client(Some(name), b"http/1.1")?.write_tls(&mut bytes)?;
    Ok(bytes)
}

fn client(name: Option<&str>, alpn: &[u8]) -> Result<ClientConnection, Failed> {
    let mut config = config(alpn)?;
    config.enable_sni = name.is_some();
    let name =
        ServerName::try_from(name.unwrap_or("none.invalid").to_owned()).map_err(|error| failed(&error))?;
    ClientConnection::new(Arc::new(config), name).map_err(|error| failed(&error))
}

fn failed(error: &dyn std::error::Error) -> Failed {
    Failed::Impossible(error.to_string())
}

/// What believes everybody and speaks one protocol.
pub fn config(alpn: &[u8]) -> Result<ClientConfig, Failed> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Ok(config)
}

/// Believes everybody.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
