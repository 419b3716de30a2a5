//! `limits:` of a project: how much of the machine an agent may eat. Each value is read as its option on the command
//! line is, and `none` takes a limit away.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::limits;

/// `limits:`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes; 0 is no limit.
    #[serde(deserialize_with = "memory")]
    #[schemars(schema_with = "amount")]
    pub memory: Option<i64>,
    /// Billionths of a processor; 0 is no limit.
    #[serde(deserialize_with = "cpus")]
    #[schemars(schema_with = "amount")]
    pub cpus: Option<i64>,
    /// Processes and threads; 0 is no limit.
    #[serde(deserialize_with = "pids")]
    #[schemars(schema_with = "amount")]
    pub pids: Option<i64>,
}

/// A number, or a text such as `4g` or `none`.
fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": ["number", "string"]})
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, limits::memory)
}

fn cpus<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, limits::cpus)
}

fn pids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    read(deserializer, limits::pids)
}

/// YAML tells `2` and `2g` apart; the user doesn't.
fn read<'de, D: Deserializer<'de>>(
    deserializer: D,
    parse: fn(&str) -> Result<i64, String>,
) -> Result<Option<i64>, D::Error> {
    struct AsText;
    impl Visitor<'_> for AsText {
        type Value = String;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, a size like 4g, or none")
        }
        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
            Ok(number.to_string())
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    parse(&deserializer.deserialize_any(AsText)?).map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{ProjectConfig, parse};

    fn of(text: &str) -> Result<Limits, String> {
        let parsed: Result<ProjectConfig, _> = parse(Path::new(".clawker.yaml"), text);
        parsed.map(|config| config.limits).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_written_as_on_the_command_line() {
        let expected = Limits { memory: Some(4 << 30), cpus: Some(1_500_000_000), pids: Some(200) };
        assert_eq!(of("limits: {memory: 4g, cpus: 1.5, pids: 200}").unwrap(), expected);
        let expected = Limits { memory: Some(0), cpus: Some(2_000_000_000), pids: Some(0) };
        assert_eq!(of("limits: {memory: none, cpus: 2, pids: none}").unwrap(), expected);
        assert_eq!(of("project: p").unwrap(), Limits::default());
    }

    #[test]
    fn a_wrong_limit_is_shown_with_its_place() {
        let told = of("limits:\n  memory: lots\n").unwrap_err();
        assert!(told.contains(".clawker.yaml:2") && told.contains("512m"), "{told}");
        for text in ["limits: {cpus: -1}", "limits: {pids: 3}", "limits: {swap: 1g}", "limits: {memory: [1]}"]
        {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
