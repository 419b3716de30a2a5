//! The per-agent control secret: the host keeps it, the container holds only its hash.

use sha2::{Digest, Sha256};

/// The SHA-256 of a secret, in lower-case hex: what `boot.json` holds.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a secret has this hash, compared without an early exit.
pub fn matches(secret: &str, expected_hash: &str) -> bool {
    let actual = hash(secret);
    actual.len() == expected_hash.len()
        && actual.bytes().zip(expected_hash.bytes()).fold(0u8, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_itself_matches() {
        let expected = hash("correct");
        assert_eq!(expected.len(), 64);
        assert!(matches("correct", &expected));
        assert!(!matches("wrong", &expected));
        assert!(!matches("correct", ""));
    }
}
