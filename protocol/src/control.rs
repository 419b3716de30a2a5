//! The control socket's messages: one JSON object a line each way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::enforcement::Enforcement;
use crate::event::{Count, Event, RefusalClass};
use crate::gateway::Gateway;

/// The protocol's version.
pub const VERSION: u32 = 1;
/// The longest request line, in bytes, newline included. A policy of 10,000 services fits.
pub const MAX_LINE: usize = 4 << 20;
/// The longest line of any request but `policy`, in bytes.
pub const MAX_SHORT_LINE: usize = 64 << 10;

/// A request's envelope, read before its operation, so that each mistake has its own error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// [`VERSION`].
    pub v: u32,
    /// Chosen by the client, comes back in the answer.
    pub id: u64,
    /// The per-agent secret.
    #[serde(default)]
    pub secret: String,
    /// What to do.
    #[serde(flatten)]
    pub op: Op,
}

/// An operation. The tag in JSON is `op`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Answers [`Status`].
    Status,
    /// Turns the firewall on.
    Enable,
    /// Turns the firewall off until `enable` or a restart.
    Disable,
    /// Opens a window; a second one replaces the first.
    Bypass {
        /// Its length in seconds, 1 to the boot config's bound.
        seconds: u64,
    },
    /// Ends a bypass, and only a bypass.
    BypassStop,
    /// Swaps what the enforcing state lets through.
    Policy {
        /// The new one.
        enforcement: Box<Enforcement>,
        /// What the agent may know of it.
        #[serde(default)]
        summary: String,
        /// The roots that it trusts from now on besides the image's, as in the boot config; none: no change.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        extra_ca_pem: Option<String>,
    },
    /// Swaps what the gateway may dial besides public addresses; only its own init knows it.
    Gateway {
        /// The new one, of the same network.
        gateway: Box<Gateway>,
    },
    /// Streams events: after the answer, one [`Event`] a line until either side closes.
    Events,
    /// Answers [`Versions`].
    Version,
}

impl Op {
    /// Every operation's name.
    pub const NAMES: [&str; 9] =
        ["status", "enable", "disable", "bypass", "bypass_stop", "policy", "gateway", "events", "version"];

    /// `policy`, from the JSON of its own part; what else stands there is not looked at.
    ///
    /// # Errors
    /// serde's.
    pub fn policy(json: &[u8]) -> serde_json::Result<Self> {
        /// The part.
        #[derive(Deserialize)]
        struct Part {
            enforcement: Box<Enforcement>,
            #[serde(default)]
            summary: String,
            #[serde(default)]
            extra_ca_pem: Option<String>,
        }
        let Part { enforcement, summary, extra_ca_pem } = serde_json::from_slice(json)?;
        Ok(Self::Policy { enforcement, summary, extra_ca_pem })
    }

    /// `gateway`, likewise.
    ///
    /// # Errors
    /// serde's.
    pub fn gateway(json: &[u8]) -> serde_json::Result<Self> {
        /// The part.
        #[derive(Deserialize)]
        struct Part {
            gateway: Box<Gateway>,
        }
        let Part { gateway } = serde_json::from_slice(json)?;
        Ok(Self::Gateway { gateway })
    }

    fn mistake(&self) -> Option<&'static str> {
        match self {
            Self::Policy { enforcement, .. } => enforcement.mistake(),
            Self::Gateway { gateway } => gateway.mistake(),
            _ => None,
        }
    }
}

/// Why a request was refused. The text in JSON is snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, or not an object of the right form.
    BadRequest,
    /// `v` is not [`VERSION`].
    BadVersion,
    /// No such operation.
    UnknownOp,
    /// A number outside its bounds.
    OutOfRange,
    /// The line is longer than allowed.
    TooLong,
    /// The request took too long to arrive.
    Timeout,
    /// Too many clients.
    Busy,
    /// The peer or its secret is not accepted.
    Forbidden,
    /// `bypass_stop` with no bypass running.
    NotInBypass,
    /// The kernel refused the change; what was in force still is.
    Failed,
}

/// An error's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlError {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

/// An answer: `{"id":7,"ok":true,"result":{...}}` or `{"id":7,"ok":false,"error":{...}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The request's id; 0 where it could not be read.
    pub id: u64,
    /// Whether it was done.
    pub ok: bool,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ControlError>,
}

/// The three states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    /// The rules decide.
    Enforcing,
    /// All egress passes until a deadline.
    Bypass,
    /// All egress passes.
    Disabled,
}

impl StateName {
    /// The name used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforcing => "enforcing",
            Self::Bypass => "bypass",
            Self::Disabled => "disabled",
        }
    }
}

impl std::fmt::Display for StateName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The answer to `status`, and to every operation that changes the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The state.
    pub state: StateName,
    /// When it began: milliseconds since 1970, UTC.
    pub since: u64,
    /// Milliseconds left of a bypass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass_left_millis: Option<u64>,
    /// The enforced policy's generation.
    pub generation: u64,
    /// SHA-256 of the enforced policy, first 16 hex digits.
    pub policy_hash: String,
    /// What was refused, by class.
    #[serde(default)]
    pub refused: BTreeMap<RefusalClass, Count>,
    /// How often our tables had to be put back.
    #[serde(default)]
    pub heals: u64,
    /// The last refusals, newest last.
    #[serde(default)]
    pub last_denials: Vec<Event>,
    /// The agent's pid, while it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_pid: Option<i32>,
    /// The container's place on the network; an older init does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Versions.
    pub versions: Versions,
}

/// A container's place on the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The interface's name.
    pub interface: String,
    /// Its address, with the prefix of its subnet.
    pub address: String,
    /// The default gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<std::net::Ipv4Addr>,
}

/// What is running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// clawker-init's.
    pub init: String,
    /// The control protocol's.
    pub protocol: u32,
    /// The kernel's release.
    #[serde(default)]
    pub kernel: String,
}

impl Response {
    /// An answer that it was done.
    pub fn done(id: u64, result: Value) -> Self {
        Self { id, ok: true, result: Some(result), error: None }
    }

    /// An answer that it was not.
    pub fn refused(id: u64, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { id, ok: false, result: None, error: Some(ControlError { code, message: message.into() }) }
    }
}

/// Whether a line is a request with the secret of this hash. Looks at nothing else and keeps nothing of the rest, so
/// that it costs no memory, however long the line is.
pub fn holds_secret(line: &[u8], secret_sha256: &str) -> bool {
    /// The one field.
    #[derive(Deserialize)]
    struct Claim {
        secret: String,
    }
    serde_json::from_slice(line).is_ok_and(|Claim { secret }| crate::secret::matches(&secret, secret_sha256))
}

/// What every request has. Values of any kind, so that each mistake has its own error.
#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    v: Value,
    #[serde(default)]
    id: Value,
    #[serde(default)]
    op: Value,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    seconds: Value,
}

/// What is wrong with a request, on one short line: the text that serde shows of it may be as long as a request, and is as
/// its sender chose it.
fn brief(error: &serde_json::Error) -> String {
    const MAX: usize = 200;
    let text = error.to_string();
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= MAX {
            shown.push('…');
            break;
        }
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Reads one request line, naming each mistake. On an error the answer to send comes back.
///
/// The envelope comes first and the operation's own part after it, each straight from the line: [`Request`]'s derived
/// form would read a policy three times over, and bring a second reader of everything into init.
///
/// # Errors
/// The [`Response`] that says what is wrong.
pub fn parse_request(line: &[u8]) -> Result<Request, Box<Response>> {
    let refuse = |id, code, message: String| Box::new(Response::refused(id, code, message));
    let envelope: Envelope = serde_json::from_slice(line).map_err(|error| {
        refuse(0, ErrorCode::BadRequest, format!("not a request in JSON: {}", brief(&error)))
    })?;
    let id = envelope
        .id
        .as_u64()
        .ok_or_else(|| refuse(0, ErrorCode::BadRequest, "\"id\" must be a whole number".to_owned()))?;
    let refuse = |code, message: String| refuse(id, code, message);
    if envelope.v.as_u64() != Some(VERSION.into()) {
        return Err(refuse(ErrorCode::BadVersion, format!("\"v\" must be {VERSION}")));
    }
    let name = envelope
        .op
        .as_str()
        .ok_or_else(|| refuse(ErrorCode::BadRequest, "\"op\" must be a text".to_owned()))?;
    let bad = |error: serde_json::Error| refuse(ErrorCode::BadRequest, brief(&error));
    let op = match name {
        "status" => Op::Status,
        "enable" => Op::Enable,
        "disable" => Op::Disable,
        "bypass" => match envelope.seconds.as_u64() {
            Some(seconds) => Op::Bypass { seconds },
            None => {
                let message = "\"seconds\" must be a whole number above 0".to_owned();
                return Err(refuse(ErrorCode::OutOfRange, message));
            }
        },
        "bypass_stop" => Op::BypassStop,
        "policy" => Op::policy(line).map_err(bad)?,
        "gateway" => Op::gateway(line).map_err(bad)?,
        "events" => Op::Events,
        "version" => Op::Version,
        other => {
            let shown: String = other.chars().take(40).flat_map(char::escape_default).collect();
            let known = Op::NAMES.join(", ");
            let message = format!("unknown operation \"{shown}\"; known: {known}");
            return Err(refuse(ErrorCode::UnknownOp, message));
        }
    };
    if let Some(mistake) = op.mistake() {
        return Err(refuse(ErrorCode::OutOfRange, format!("this can't be put into force: {mistake}")));
    }
    Ok(Request { v: VERSION, id, secret: envelope.secret, op })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(line: &str) -> ErrorCode {
        parse_request(line.as_bytes()).unwrap_err().error.unwrap().code
    }

    #[test]
    fn a_request_reads_and_unknown_fields_are_ignored() {
        let line = br#"{"v":1,"id":7,"op":"bypass","seconds":30,"secret":"s","later":true}"#;
        let request = parse_request(line).unwrap();
        assert_eq!(request.op, Op::Bypass { seconds: 30 });
        assert_eq!((request.id, request.secret.as_str()), (7, "s"));
    }

    #[test]
    fn each_mistake_has_its_own_error() {
        assert_eq!(code("garbage"), ErrorCode::BadRequest);
        assert_eq!(code("[]"), ErrorCode::BadRequest);
        assert_eq!(code(r#"{"v":1,"op":"status"}"#), ErrorCode::BadRequest);
        assert_eq!(code(r#"{"v":2,"id":1,"op":"status"}"#), ErrorCode::BadVersion);
        assert_eq!(code(r#"{"v":1,"id":1,"op":"explode"}"#), ErrorCode::UnknownOp);
        assert_eq!(code(r#"{"v":1,"id":1,"op":"bypass","seconds":-1}"#), ErrorCode::OutOfRange);
        assert_eq!(code(r#"{"v":1,"id":1,"op":"bypass","seconds":1e99}"#), ErrorCode::OutOfRange);
        assert_eq!(code(r#"{"v":1,"id":1,"op":"bypass"}"#), ErrorCode::OutOfRange);
    }

    #[test]
    fn an_answer_is_short_whatever_was_sent() {
        let long = "\u{9b}".repeat(5_000);
        let line = format!(
            r#"{{"v":1,"id":1,"op":"policy","enforcement":{{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3",
            "dns_port":1,"open_dns_port":2,"published":[{{"transport":"{long}","port":1}}]}}}}"#
        );
        for line in [line, format!(r#"{{"v":1,"id":1,"op":"status","secret":{{"{long}":1}}}}"#)] {
            let error = parse_request(line.as_bytes()).unwrap_err().error.unwrap();
            assert_eq!(error.code, ErrorCode::BadRequest);
            assert!(
                error.message.len() < 300 && !error.message.contains(char::is_control),
                "{}",
                error.message
            );
        }
    }

    #[test]
    fn a_policy_is_held_to_what_the_boot_config_is() {
        let line = r#"{"v":1,"id":1,"op":"policy","enforcement":{"generation":1,"envoy":"0.0.0.0",
                       "coredns":"127.0.0.1","dns_port":0,"open_dns_port":0}}"#;
        assert_eq!(code(line), ErrorCode::OutOfRange);
    }

    #[test]
    fn a_gateway_is_held_to_what_its_boot_config_is() {
        let line =
            r#"{"v":1,"id":1,"op":"gateway","gateway":{"subnet":"172.20.0.0/16","resolvers":["127.0.0.1"]}}"#;
        assert_eq!(code(line), ErrorCode::OutOfRange);
    }

    #[test]
    fn a_secret_is_found_without_reading_the_rest() {
        let hash = crate::secret::hash("s3cret");
        let nested = "[".repeat(100_000);
        assert!(holds_secret(br#"{"v":1,"pad":[1,2],"secret":"s3cret"}"#, &hash));
        for line in [r#"{"secret":"other"}"#, r#"{"secret":"s3cret""#, r#"{"secret":1}"#, "{}", &nested] {
            assert!(!holds_secret(line.as_bytes(), &hash), "{:.40}", line);
        }
    }

    #[test]
    fn every_named_operation_parses() {
        for name in Op::NAMES {
            let extra = match name {
                "bypass" => r#","seconds":1"#,
                "gateway" => r#","gateway":{"subnet":"172.20.0.0/16"}"#,
                "policy" => {
                    r#","enforcement":{"generation":1,"envoy":"172.20.0.2","coredns":"172.20.0.3","dns_port":1,"open_dns_port":2}"#
                }
                _ => "",
            };
            let line = format!(r#"{{"v":1,"id":1,"op":"{name}"{extra}}}"#);
            assert!(parse_request(line.as_bytes()).is_ok(), "{name}");
        }
    }
}
