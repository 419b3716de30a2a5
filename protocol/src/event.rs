//! What init reports: counters by class, refusals, and the events stream.

use serde::{Deserialize, Serialize};

/// Why a packet was refused, by what it was. Each has its own counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalClass {
    /// Docker's own resolver, 127.0.0.11, on any port.
    DockerDns,
    /// TCP to anything that no rule lists.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
    /// Any other protocol.
    Other,
    /// From outside, to a port that is not published.
    Inbound,
    /// What reached the guards without the mark: a raw frame, a foreign rule.
    Unmarked,
}

impl RefusalClass {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] =
        [Self::DockerDns, Self::Tcp, Self::Udp, Self::Icmp, Self::Other, Self::Inbound, Self::Unmarked];

    /// The name used in JSON, counters and log prefixes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerDns => "docker_dns",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other => "other",
            Self::Inbound => "inbound",
            Self::Unmarked => "unmarked",
        }
    }

    /// The class of a name; `None` for any other text.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }
}

/// Packets and bytes of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One flow that was refused, or (in bypass) a new one that was let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the protocol's number.
    pub proto: String,
    /// Destination address as text.
    pub destination: String,
    /// Destination port, where the protocol has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The sending socket's uid, where the kernel tells. Of its process it tells nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The name that a DNS question asks for. Chosen by the agent: escape it before showing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

/// What happened. The tag in JSON is `event`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The state changed.
    State {
        /// `enforcing`, `bypass` or `disabled`.
        state: String,
        /// What made it so: `boot`, `enable`, `disable`, `bypass`, `bypass_stop`, `deadline`.
        cause: String,
        /// The bypass's length in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A flow was refused.
    Denied {
        /// Why.
        class: RefusalClass,
        /// What it was.
        #[serde(flatten)]
        flow: Flow,
    },
    /// A new flow of a bypass or of the disabled state.
    Opened {
        /// What it was.
        #[serde(flatten)]
        flow: Flow,
    },
    /// Something touched our tables and they were put back, or a foreign table was deleted.
    Healed {
        /// What was found and done.
        what: String,
    },
    /// A client of the control socket was cut.
    PeerRefused {
        /// Its pid as this namespace sees it; 0 is outside.
        pid: i32,
        /// Its uid.
        uid: u32,
        /// Why.
        why: String,
    },
    /// A service's time was up: it and its flows ended.
    GrantEnded {
        /// Its virtual address.
        address: std::net::Ipv4Addr,
        /// Its port.
        port: u16,
    },
    /// The policy was swapped.
    Policy {
        /// Its generation.
        generation: u64,
    },
    /// The agent started.
    AgentStarted {
        /// Its pid.
        pid: i32,
    },
    /// The agent ended.
    AgentExited {
        /// The container's exit code.
        code: i32,
    },
}

/// One line of `events.jsonl` and of the `events` stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since 1970, UTC.
    pub time: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let event = Event {
            time: 5,
            kind: EventKind::Denied {
                class: RefusalClass::Udp,
                flow: Flow {
                    proto: "udp".into(),
                    destination: "198.51.100.9".into(),
                    port: Some(4433),
                    uid: Some(1001),
                    question: None,
                },
            },
        };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"time":5,"event":"denied","class":"udp","proto":"udp","destination":"198.51.100.9","port":4433,"uid":1001}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }

    #[test]
    fn class_names_read_back() {
        for class in RefusalClass::ALL {
            assert_eq!(RefusalClass::from_name(class.as_str()), Some(class));
        }
    }
}
