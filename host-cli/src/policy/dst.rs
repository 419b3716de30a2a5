//! A destination: a name, a name with all below it, or addresses. Only one spelling of each exists after parsing.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// The longest name (RFC 1035) and the longest label in it.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// Why a text is no destination.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DstError {
    /// Nothing.
    #[error("The destination is empty")]
    Empty,
    /// Not a name.
    #[error("\"{}\" is not a name or address: {why}", .text.escape_default())]
    Name {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Only addresses that no rule may open.
    #[error(
        "{0} lies in a range that no rule can open (loopback, link-local, multicast or virtual addresses)"
    )]
    Reserved(IpNet),
    /// Host bits.
    #[error("{0} has bits behind its prefix; did you mean {1}?")]
    HostBits(IpNet, IpNet),
}

/// A destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dst {
    /// Exactly this name, in lower case, without a final dot.
    Name(String),
    /// This name and all below it.
    Below(String),
    /// Addresses.
    Net(IpNet),
}

impl Dst {
    /// Reads `name`, `.name`, an address or a range.
    ///
    /// # Errors
    /// [`DstError`].
    pub fn parse(text: &str) -> Result<Self, DstError> {
        if text.is_empty() {
            return Err(DstError::Empty);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self::net(IpNet::from(address));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Self::net(net);
        }
        let wrong = |why| DstError::Name { text: text.to_owned(), why };
        match text.strip_prefix('.') {
            Some(rest) => Ok(Self::Below(name(rest).map_err(wrong)?)),
            None => Ok(Self::Name(name(text).map_err(wrong)?)),
        }
    }

    fn net(net: IpNet) -> Result<Self, DstError> {
        if net != net.trunc() {
            return Err(DstError::HostBits(net, net.trunc()));
        }
        if super::direct::is_all_reserved(net) {
            return Err(DstError::Reserved(net));
        }
        Ok(Self::Net(net))
    }

    /// Whether it names everything that another destination, as text, does.
    pub fn covers(&self, text: &str) -> bool {
        match self {
            Self::Name(name) => name == text,
            Self::Below(name) => {
                let other = text.strip_prefix('.').unwrap_or(text);
                other.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Net(_) => false,
        }
    }

    /// Whether it is a name or wildcard.
    pub fn is_name(&self) -> bool {
        !matches!(self, Self::Net(_))
    }

    /// Whether it is a wildcard.
    pub fn is_wildcard(&self) -> bool {
        matches!(self, Self::Below(_))
    }
}

/// A name in its one spelling, or what is wrong with it.
fn name(text: &str) -> Result<String, &'static str> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || text.len() > MAX_NAME {
        return Err("a name has 1 to 253 characters");
    }
    if !text.is_ascii() {
        return Err("write it in its ASCII form (xn--…)");
    }
    if text.contains([':', '/', '@']) {
        return Err("give the name alone; the port has its own option");
    }
    if text.contains('*') {
        return Err("a leading dot stands for all names below (.example.com)");
    }
    let good = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if !text.split('.').all(good) {
        return Err("labels are 1 to 63 letters, digits, '-' or '_'");
    }
    if text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err("it looks like an address and is none");
    }
    Ok(text.to_ascii_lowercase())
}

impl fmt::Display for Dst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.pad(name),
            Self::Below(name) => f.pad(&format!(".{name}")),
            // A single address without its prefix, as people write it.
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => f.pad(&net.addr().to_string()),
            Self::Net(net) => f.pad(&net.to_string()),
        }
    }
}

impl Dst {
    /// What the order is by: names before addresses, a wildcard behind its apex.
    fn order(&self) -> (&str, bool, Option<IpNet>) {
        match self {
            Self::Name(name) => (name, false, None),
            Self::Below(name) => (name, true, None),
            // No name is as large as this.
            Self::Net(net) => ("\u{7f}", false, Some(*net)),
        }
    }
}

impl Ord for Dst {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Dst {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_each() {
        for (text, shown) in [
            ("Example.COM.", "example.com"),
            (".Example.com", ".example.com"),
            ("10.1.2.3", "10.1.2.3"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("_sip.example", "_sip.example"),
        ] {
            assert_eq!(Dst::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_could_mean_two_things_is_refused() {
        for text in [
            "",
            ".",
            "..",
            "a..b",
            "a b",
            "a\0b",
            "a\nb",
            "user@host",
            "host:22",
            "http://x",
            "*.x",
            "1.2.3",
            "1.2.3.4.5",
            "-a.b",
            "a-.b",
            "ä.de",
            "127.0.0.1",
            "169.254.169.254",
            "198.18.0.0/15",
            "::1",
            "10.0.0.1/8",
            "fe80::/64",
            &"a".repeat(64),
            &"a.".repeat(130),
        ] {
            assert!(Dst::parse(text).is_err(), "{text:?}");
        }
    }
}
