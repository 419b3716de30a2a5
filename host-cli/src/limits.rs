//! Sizes and processor counts as Docker's users type them.

/// Bytes of `512m`, `4g`, `1048576`.
///
/// # Errors
/// A sentence, for anything else, and below Docker's least (6 MB).
pub fn memory(text: &str) -> Result<i64, String> {
    let wrong = || format!("\"{}\" is not a size: write 512m or 4g", text.escape_default());
    let lower = text.to_ascii_lowercase();
    let trimmed = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match trimmed.char_indices().last() {
        Some((at, 'k')) => (trimmed.get(..at), 10),
        Some((at, 'm')) => (trimmed.get(..at), 20),
        Some((at, 'g')) => (trimmed.get(..at), 30),
        _ => (Some(trimmed), 0),
    };
    let digits =
        digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())).ok_or_else(wrong)?;
    let bytes =
        digits.parse::<i64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)?;
    if bytes < 6 << 20 { Err(format!("{text} is too little: 6m is the least")) } else { Ok(bytes) }
}

/// Billionths of a processor of `2`, `1.5`.
///
/// # Errors
/// A sentence, for anything else.
pub fn cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("\"{}\" is not a number of processors: write 2 or 1.5", text.escape_default());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return Err(wrong());
    }
    let padded = format!("{whole}{fraction:0<9}");
    padded.parse::<i64>().ok().filter(|nano| *nano > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        assert_eq!(memory("512m"), Ok(512 << 20));
        assert_eq!(memory("4G"), Ok(4 << 30));
        assert_eq!(memory("4gb"), Ok(4 << 30));
        assert_eq!(memory("8388608"), Ok(8 << 20));
        for text in ["", "m", "-1g", "1.5g", "1t", "1m", "99999999999g", "4 g"] {
            assert!(memory(text).is_err(), "{text}");
        }
    }

    #[test]
    fn processors_may_be_fractions() {
        assert_eq!(cpus("2"), Ok(2_000_000_000));
        assert_eq!(cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(cpus("0.05"), Ok(50_000_000));
        for text in ["", "0", "-1", "two", "1.", ".5", "1e3", "1.0000000001"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }
}
