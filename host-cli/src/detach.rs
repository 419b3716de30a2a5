//! The keys that detach from an exec, seen on our side: Docker 20.10 counts a detached exec as a failed one. (For a
//! container's main program Docker itself watches for them.)

/// Why a text names no keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" names no detach keys; write single characters or ctrl-<letter>, separated by commas", .0.escape_default())]
pub struct InvalidKeys(String);

/// Looks for the keys in what the user types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    keys: Vec<u8>,
    /// How many of them were typed just now; they are held back until it is clear what they are.
    matched: usize,
}

impl Watcher {
    /// Watches for keys written as Docker does: `ctrl-p,ctrl-q`.
    ///
    /// # Errors
    /// [`InvalidKeys`].
    pub fn new(text: &str) -> Result<Self, InvalidKeys> {
        let wrong = || InvalidKeys(text.to_owned());
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>().ok_or_else(wrong)?;
        Ok(Self { keys, matched: 0 })
    }

    /// What of the typed bytes goes on to the program; `None` once the keys are complete.
    pub fn feed(&mut self, typed: &[u8]) -> Option<Vec<u8>> {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            while self.matched > 0 && self.keys.get(self.matched) != Some(byte) {
                // Not the keys after all: let go of the first, and see whether the rest may still begin them.
                let held: Vec<u8> = self.keys.iter().take(self.matched).copied().collect();
                let shorter = (0..self.matched)
                    .rev()
                    .find(|length| held.get(self.matched - length..) == self.keys.get(..*length));
                let shorter = shorter.unwrap_or(0);
                passed.extend(held.iter().take(self.matched - shorter));
                self.matched = shorter;
            }
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return None;
                }
            } else {
                passed.push(*byte);
            }
        }
        Some(passed)
    }
}

/// One key: a character, or `ctrl-` and a letter or one of `@[\]^_`.
fn key(text: &str) -> Option<u8> {
    match (text.as_bytes(), text.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([one], None) if one.is_ascii() => Some(*one),
        (_, Some([letter])) if letter.is_ascii_alphabetic() || b"@[\\]^_".contains(letter) => {
            Some(letter.to_ascii_uppercase() & 0x1f)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str, pieces: &[&[u8]]) -> Option<Vec<u8>> {
        let mut watcher = Watcher::new(keys).unwrap();
        let mut all = Vec::new();
        for piece in pieces {
            all.extend(watcher.feed(piece)?);
        }
        Some(all)
    }

    #[test]
    fn the_keys_detach_in_one_piece_and_in_two() {
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"ab\x10\x11cd"]), None);
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"ab\x10", b"\x11"]), None);
        assert_eq!(typed("a,a,b", &[b"aaab"]), None);
    }

    #[test]
    fn what_only_begins_like_them_reaches_the_program() {
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"\x10", b"x\x11"]), Some(b"\x10x\x11".to_vec()));
        assert_eq!(typed("ctrl-p,ctrl-q", &[b"\x10\x10x"]), Some(b"\x10\x10x".to_vec()));
        assert_eq!(typed("a,a,b", &[b"aac"]), Some(b"aac".to_vec()));
    }

    #[test]
    fn keys_are_written_as_docker_does() {
        assert_eq!(Watcher::new("ctrl-P,x").unwrap().keys, [0x10, b'x']);
        for wrong in ["", "ctrl-", "ctrl-1", "ab", "ctrl-p,,x", "ü"] {
            assert!(Watcher::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
