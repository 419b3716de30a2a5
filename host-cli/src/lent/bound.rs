//! Which host a signature is for. OpenSSH's client tells its agent (`session-bind@openssh.com`): the host's key, the
//! session, and the host's signature over it. Who has all three has spoken with the holder of that key, so that a
//! signature over this session is of use there and nowhere else.

use ring::signature as algorithm;
use ring::signature::UnparsedPublicKey;
use ssh_encoding::{Decode, Reader};
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{Algorithm, HashAlg, PublicKey, Signature};

/// A session of a client's with a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The host's key, in the protocol's form.
    pub host_key: Vec<u8>,
    /// The session.
    pub session: Vec<u8>,
    /// The client means to pass the agent on to that host.
    pub forwarding: bool,
}

/// Reads what follows the extension's name, and checks the host's signature.
///
/// # Errors
/// What is wrong with it.
pub fn parse(mut body: &[u8]) -> Result<Bound, &'static str> {
    let cut = |_: ssh_encoding::Error| "a message that is cut off";
    let host_key = Vec::<u8>::decode(&mut body).map_err(cut)?;
    let session = Vec::<u8>::decode(&mut body).map_err(cut)?;
    let signature = Vec::<u8>::decode(&mut body).map_err(cut)?;
    let forwarding = u8::decode(&mut body).map_err(cut)? != 0;
    if !body.is_finished() {
        return Err("a message that is too long");
    }
    let key = PublicKey::from_bytes(&host_key).map_err(|_| "a host key of a kind that is not known here")?;
    let signature = Signature::try_from(signature.as_slice()).map_err(|_| "a signature that is none")?;
    if is_by(key.key_data(), &session, &signature) {
        Ok(Bound { host_key, session, forwarding })
    } else {
        Err("a session that the host did not sign")
    }
}

/// Whether a signature is a key's over these bytes.
fn is_by(key: &KeyData, message: &[u8], signature: &Signature) -> bool {
    let bytes = signature.as_bytes();
    match (key, signature.algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) => {
            UnparsedPublicKey::new(&algorithm::ED25519, key.0).verify(message, bytes).is_ok()
        }
        (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == curve => {
            let (scheme, len): (&dyn algorithm::VerificationAlgorithm, usize) = match key {
                EcdsaPublicKey::NistP256(_) => (&algorithm::ECDSA_P256_SHA256_FIXED, 32),
                EcdsaPublicKey::NistP384(_) => (&algorithm::ECDSA_P384_SHA384_FIXED, 48),
                EcdsaPublicKey::NistP521(_) => return false,
            };
            let Some(fixed) = fixed(bytes, len) else { return false };
            UnparsedPublicKey::new(scheme, key.as_sec1_bytes()).verify(message, &fixed).is_ok()
        }
        (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => {
            let scheme = match hash {
                HashAlg::Sha256 => &algorithm::RSA_PKCS1_2048_8192_SHA256,
                HashAlg::Sha512 => &algorithm::RSA_PKCS1_2048_8192_SHA512,
                _ => return false,
            };
            let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else {
                return false;
            };
            algorithm::RsaPublicKeyComponents { n, e }.verify(scheme, message, bytes).is_ok()
        }
        _ => false,
    }
}

/// The two numbers of an ECDSA signature, each of this length.
fn fixed(mut bytes: &[u8], len: usize) -> Option<Vec<u8>> {
    let mut all = Vec::with_capacity(2 * len);
    for _ in 0..2 {
        let number = ssh_key::Mpint::decode(&mut bytes).ok()?;
        let number = number.as_positive_bytes()?;
        all.resize(all.len() + len.checked_sub(number.len())?, 0);
        all.extend_from_slice(number);
    }
    bytes.is_empty().then_some(all)
}

/// Whether a request to sign is a sign-in by public key in this session, with the key that it names. All else that
/// could be signed (a commit, a certificate, another session's sign-in) is not.
pub fn is_sign_in(request: &[u8], session: &[u8]) -> bool {
    fn read(mut body: &[u8], session: &[u8]) -> Result<bool, ssh_encoding::Error> {
        let key = Vec::<u8>::decode(&mut body)?;
        let data = Vec::<u8>::decode(&mut body)?;
        let mut data = data.as_slice();
        let of_session = Vec::<u8>::decode(&mut data)?;
        // SSH_MSG_USERAUTH_REQUEST: user, service, method, TRUE, algorithm, key.
        let message = u8::decode(&mut data)?;
        let _user = Vec::<u8>::decode(&mut data)?;
        let service = Vec::<u8>::decode(&mut data)?;
        let method = Vec::<u8>::decode(&mut data)?;
        let signed = u8::decode(&mut data)?;
        let _algorithm = Vec::<u8>::decode(&mut data)?;
        let of_key = Vec::<u8>::decode(&mut data)?;
        let by_key = method == b"publickey" || method == b"publickey-hostbound-v00@openssh.com";
        Ok(of_session == session
            && message == 50
            && service == b"ssh-connection"
            && by_key
            && signed == 1
            && of_key == key)
    }
    read(request, session).unwrap_or(false)
}
