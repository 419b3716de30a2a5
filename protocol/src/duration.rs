//! Durations as people type them: `30s`, `10m`, `1h`, `1h30m`, `500ms`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a duration: write a number and a unit, like 30s, 10m or 1h30m")]
pub struct InvalidDuration {
    text: String,
}

/// Units from small to large, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses one or more `<number><unit>` groups, each unit larger than the next: `1h30m`, never `30m1h`.
///
/// # Errors
/// [`InvalidDuration`] when the text has no unit, an unknown unit, a sign, a fraction, units out of order, or
/// does not fit into 64 bits of milliseconds. Zero parses: whether it makes sense is the caller's to say.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    parse_millis(text).map(Duration::from_millis).ok_or_else(|| InvalidDuration { text: text.to_owned() })
}

fn parse_millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0u64;
    let mut previous = u64::MAX;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let length = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length)?;
        if length >= previous {
            return None;
        }
        previous = length;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
        rest = tail;
    }
    Some(total)
}

/// Writes a duration as [`parse`] reads it, to the millisecond: `1h30m`, `0s`.
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, length) in UNITS.iter().rev() {
        let count = left / length;
        left %= length;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_is_understood() {
        for (text, millis) in [
            ("30s", 30_000),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("0s", 0),
            ("2d", 172_800_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "30", "s", "-5s", "1.5s", "5 s", "5S", "30m1h", "1s1s", "99999999999999999999s", "1y", "5s "]
        {
            assert!(parse(text).is_err(), "{text:?} parsed");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for millis in [0, 1, 999, 1_000, 61_000, 5_400_000, 90_061_001] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
