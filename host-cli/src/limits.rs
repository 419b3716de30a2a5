//! How much of the machine an agent may eat: sizes and counts as Docker's users type them, and what holds where
//! nothing was typed, so that the machine stays usable whatever an agent does. Pure.

use crate::config;

/// Processes and threads of an agent: a build's are hundreds, a fork bomb's are as many as there may be.
const PIDS: i64 = 4_096;

/// The word for no limit; Docker's number for it is 0.
const NONE: &str = "none";

/// What an agent may eat. 0 is no limit, as in Docker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes.
    pub memory: i64,
    /// Billionths of a processor.
    pub nano_cpus: i64,
    /// Processes and threads.
    pub pids: i64,
}

/// The engine's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machine {
    /// Bytes; 0 where unknown.
    pub memory: i64,
    /// Processors; 0 where unknown.
    pub cpus: i64,
}

impl Limits {
    /// What was typed, else what the project's file says, else three quarters of the memory, all processors but one
    /// where there are more than two, and 4,096 processes.
    pub fn choose(typed: config::Limits, file: config::Limits, machine: Machine) -> Self {
        let memory = machine.memory / 4 * 3;
        let cpus = if machine.cpus > 2 { (machine.cpus - 1) * 1_000_000_000 } else { 0 };
        Self {
            memory: typed.memory.or(file.memory).unwrap_or(memory),
            nano_cpus: typed.cpus.or(file.cpus).unwrap_or(cpus),
            pids: typed.pids.or(file.pids).unwrap_or(PIDS),
        }
    }
}

/// Processes and threads of `4096`.
///
/// # Errors
/// A sentence, for anything else, and below what init and a shell need.
pub fn pids(text: &str) -> Result<i64, String> {
    const LEAST: i64 = 16;
    if text == NONE {
        return Ok(0);
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<i64>() {
        Ok(number) if digits && number >= LEAST => Ok(number),
        Ok(number) if digits => Err(format!("{number} processes are too few: {LEAST} is the least")),
        _ => Err(format!("\"{}\" is not a number of processes: write 4096, or none", text.escape_default())),
    }
}

/// A size as people read it: `4.0 GiB`.
pub fn readable(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["B", "KiB", "MiB", "GiB"];
    let mut unit = 0;
    while unit + 1 < UNITS.len() && bytes >> (10 * (unit + 1)) > 0 {
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        return format!("{bytes} {name}");
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Bytes of `512m`, `4g`, `1048576`; 0 of `none`.
///
/// # Errors
/// A sentence, for anything else, and below Docker's least (6 MB).
pub fn memory(text: &str) -> Result<i64, String> {
    if text == NONE {
        return Ok(0);
    }
    let bytes = size(text)?;
    if bytes < 6 << 20 { Err(format!("{text} is too little: 6m is the least")) } else { Ok(bytes) }
}

/// Bytes of `512m`, `4g`, `1048576`.
///
/// # Errors
/// A sentence, for anything else.
pub fn size(text: &str) -> Result<i64, String> {
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
    digits.parse::<i64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)
}

/// Billionths of a processor of `2`, `1.5`; 0 of `none`.
///
/// # Errors
/// A sentence, for anything else.
pub fn cpus(text: &str) -> Result<i64, String> {
    if text == NONE {
        return Ok(0);
    }
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
        assert_eq!((cpus("none"), memory("none"), pids("none")), (Ok(0), Ok(0), Ok(0)));
        for text in ["", "0", "-1", "two", "1.", ".5", "1e3", "1.0000000001"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }
    #[test]
    fn too_few_processes_to_start_with_are_refused() {
        assert_eq!(pids("4096"), Ok(4_096));
        for text in ["", "-1", "+20", "0", "15", "many", "99999999999999999999"] {
            assert!(pids(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_machine_stays_usable_unless_somebody_says_otherwise() {
        let nothing = config::Limits::default();
        let laptop = Machine { memory: 16 << 30, cpus: 8 };
        let default = Limits { memory: 12 << 30, nano_cpus: 7_000_000_000, pids: 4_096 };
        assert_eq!(Limits::choose(nothing, nothing, laptop), default);
        let small = Machine { memory: 4 << 30, cpus: 2 };
        let expected = Limits { memory: 3 << 30, nano_cpus: 0, pids: 4_096 };
        assert_eq!(Limits::choose(nothing, nothing, small), expected);
        let file = config::Limits { memory: Some(1 << 30), cpus: None, pids: Some(100) };
        let typed = config::Limits { memory: Some(0), cpus: Some(5), pids: None };
        let expected = Limits { memory: 0, nano_cpus: 5, pids: 100 };
        assert_eq!(Limits::choose(typed, file, laptop), expected);
        let unknown = Limits { memory: 0, nano_cpus: 0, pids: 4_096 };
        assert_eq!(Limits::choose(nothing, nothing, Machine::default()), unknown);
    }

    #[test]
    fn sizes_are_shown_as_people_read_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1_023, "1023 B"),
            (1_536, "1.5 KiB"),
            (64 << 20, "64.0 MiB"),
            (5 << 40, "5120.0 GiB"),
        ] {
            assert_eq!(readable(bytes), text);
        }
    }
}
