//! DNS messages (RFC 1035): reads a question, writes its answer. Only what a stub or a forwarder needs; bytes
//! that are no question give none.

use std::net::IpAddr;

use super::zone::Lookup;

/// Record types by their number.
const TYPES: [(u16, &str); 14] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (10, "NULL"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (64, "SVCB"),
    (65, "HTTPS"),
    (252, "AXFR"),
    (255, "ANY"),
];
const A: u16 = 1;
const CNAME: u16 = 5;
const SOA: u16 = 6;
const AAAA: u16 = 28;
const ANY: u16 = 255;
const IN: u16 = 1;
const HEADER: usize = 12;
/// Short, so that a name that is set anew is seen soon.
const TTL_SECONDS: u32 = 2;
/// The question's name, as a compression pointer.
const POINTER_TO_QUESTION: u16 = 0xc000 | 12;

/// The first question of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    id: u16,
    recursion_desired: bool,
    opcode: u8,
    /// The name as asked, letter case kept, without a final dot; bytes that are no printable ASCII escaped.
    pub name: String,
    kind: u16,
    section: Vec<u8>,
}

impl Question {
    /// Reads a query's first question.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?));
        let (id, flags, questions) = (word(0)?, word(2)?, word(4)?);
        let is_answer = flags & 0x8000 != 0;
        if is_answer || questions == 0 {
            return None;
        }
        let mut at = HEADER;
        let mut labels: Vec<String> = Vec::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            match length {
                0 => break,
                1..=63 => labels.push(message.get(at..at + length)?.escape_ascii().to_string()),
                _ => return None,
            }
            at += length;
            if at > HEADER + 255 {
                return None;
            }
        }
        Some(Self {
            id,
            recursion_desired: flags & 0x0100 != 0,
            opcode: u8::try_from(flags >> 11 & 0xf).unwrap_or_default(),
            name: labels.join("."),
            kind: word(at)?,
            section: message.get(HEADER..at + 4)?.to_vec(),
        })
    }

    /// The type's name, `TYPE123` where it has none; other operations than a query are named in front.
    pub fn what(&self) -> String {
        let known = TYPES.iter().find(|(number, _)| *number == self.kind);
        let kind = known.map_or_else(|| format!("TYPE{}", self.kind), |(_, name)| (*name).to_owned());
        match self.opcode {
            0 => kind,
            4 => format!("NOTIFY {kind}"),
            5 => format!("UPDATE {kind}"),
            other => format!("OPCODE{other} {kind}"),
        }
    }

    /// The answer: the addresses of the type that was asked for, or none with the zone's SOA.
    pub fn answer(&self, lookup: &Lookup) -> Vec<u8> {
        let all = match lookup {
            Lookup::Addresses(all) | Lookup::Alias(_, all) => &all[..],
            Lookup::Missing => &[],
        };
        let addresses: Vec<IpAddr> = all.iter().copied().filter(|a| self.wants(*a)).collect();
        let alias = if let Lookup::Alias(target, _) = lookup { wire_name(target) } else { None };
        let name_error: u16 = if *lookup == Lookup::Missing { 3 } else { 0 };
        let recursion = if self.recursion_desired { 0x0100 } else { 0 };
        let flags = 0x8000 | u16::from(self.opcode) << 11 | recursion | 0x0080 | name_error;
        let count = u16::try_from(addresses.len() + usize::from(alias.is_some())).unwrap_or_default();
        let mut message = Vec::with_capacity(128);
        for word in [self.id, flags, 1, count, u16::from(addresses.is_empty()), 0] {
            message.extend(word.to_be_bytes());
        }
        message.extend(&self.section);
        let mut owner = POINTER_TO_QUESTION;
        if let Some(target) = alias {
            message.extend(owner.to_be_bytes());
            push_record(&mut message, CNAME, &target);
            owner = 0xc000 | u16::try_from(message.len() - target.len()).unwrap_or_default();
        }
        for address in &addresses {
            let (kind, data) = match address {
                IpAddr::V4(address) => (A, address.octets().to_vec()),
                IpAddr::V6(address) => (AAAA, address.octets().to_vec()),
            };
            message.extend(owner.to_be_bytes());
            push_record(&mut message, kind, &data);
        }
        if addresses.is_empty() {
            message.push(0);
            let mut soa = vec![0, 0]; // master and mailbox: the root
            for number in [1u32, 60, 60, 60, TTL_SECONDS] {
                soa.extend(number.to_be_bytes());
            }
            push_record(&mut message, SOA, &soa);
        }
        message
    }

    fn wants(&self, address: IpAddr) -> bool {
        self.kind == ANY || self.kind == if address.is_ipv4() { A } else { AAAA }
    }
}

fn push_record(message: &mut Vec<u8>, kind: u16, data: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend(IN.to_be_bytes());
    message.extend(TTL_SECONDS.to_be_bytes());
    message.extend(u16::try_from(data.len()).unwrap_or_default().to_be_bytes());
    message.extend(data);
}

/// A query, for the probe. `None` for a name that has no wire form or a type that is not known.
pub fn query(name: &str, kind: &str) -> Option<Vec<u8>> {
    let kind = TYPES.iter().find(|(_, known)| *known == kind)?.0;
    let mut message: Vec<u8> = [0x1234u16, 0x0100, 1, 0, 0, 0].iter().flat_map(|w| w.to_be_bytes()).collect();
    message.extend(wire_name(name)?);
    message.extend(kind.to_be_bytes());
    message.extend(IN.to_be_bytes());
    Some(message)
}

/// A name as it is on the wire; `None` where it has no such form.
fn wire_name(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.trim_end_matches('.').split('.') {
        bytes.push(u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    Some(bytes)
}

/// The IPv4 addresses and the response code of an answer that [`Question::answer`] wrote.
pub fn read_answer(message: &[u8]) -> Option<(u8, Vec<std::net::Ipv4Addr>)> {
    let code = message.get(3)? & 0xf;
    let count = usize::from(u16::from_be_bytes(message.get(6..8)?.try_into().ok()?));
    let mut at = after_name(message, HEADER)? + 4;
    let mut found = Vec::new();
    for _ in 0..count {
        at = after_name(message, at)?;
        let record = message.get(at..)?;
        let length = usize::from(u16::from_be_bytes(record.get(8..10)?.try_into().ok()?));
        if let Ok(octets) = <[u8; 4]>::try_from(record.get(10..10 + length)?) {
            found.push(octets.into());
        }
        at += 10 + length;
    }
    Some((code, found))
}

/// Where a name ends that begins at `at`: labels up to the empty one, or up to a pointer to the rest (RFC 1035).
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, kind: &str) -> Question {
        Question::parse(&query(name, kind).unwrap()).unwrap()
    }

    #[test]
    fn an_answer_holds_the_addresses_of_the_asked_type() {
        let both = Lookup::Addresses(vec!["198.51.100.131".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        let question = ask("CaSe.example", "A");
        assert_eq!((question.name.as_str(), question.what().as_str()), ("CaSe.example", "A"));
        let read = read_answer(&question.answer(&both)).unwrap();
        assert_eq!(read, (0, vec!["198.51.100.131".parse().unwrap()]));
        assert_eq!(ask("a.example", "AAAA").answer(&both)[7], 1);
    }

    #[test]
    fn an_answer_whose_owner_is_written_out_is_read_too() {
        let both = Lookup::Addresses(vec!["198.51.100.131".parse().unwrap()]);
        let question = query("a.example", "A").unwrap();
        let mut answer = Question::parse(&question).unwrap().answer(&both);
        let owner: Vec<u8> = question[HEADER..question.len() - 4].to_vec();
        let pointer = answer.len() - 16;
        answer.splice(pointer..pointer + 2, owner);
        assert_eq!(read_answer(&answer), Some((0, vec!["198.51.100.131".parse().unwrap()])));
    }

    #[test]
    fn no_data_and_no_such_name_are_told_apart() {
        let v4 = Lookup::Addresses(vec!["198.51.100.131".parse().unwrap()]);
        assert_eq!(read_answer(&ask("a.example", "AAAA").answer(&v4)), Some((0, vec![])));
        assert_eq!(read_answer(&ask("a.example", "TXT").answer(&v4)), Some((0, vec![])));
        assert_eq!(read_answer(&ask("a.example", "A").answer(&Lookup::Missing)), Some((3, vec![])));
    }

    #[test]
    fn an_alias_comes_with_the_addresses_of_its_target() {
        let alias = Lookup::Alias("inner.example".to_owned(), vec!["10.0.0.1".parse().unwrap()]);
        let answer = ask("a.example", "A").answer(&alias);
        assert_eq!(read_answer(&answer), Some((0, vec!["10.0.0.1".parse().unwrap()])));
        let owner = &answer[answer.len() - 16..][..2];
        let at = usize::from(u16::from_be_bytes(owner.try_into().unwrap()) & 0x3fff);
        assert_eq!(&answer[at..at + 15], b"\x05inner\x07example\0");
    }

    #[test]
    fn bytes_that_are_no_question_are_refused_without_a_panic() {
        let whole = query("a.example", "A").unwrap();
        for length in 0..whole.len() {
            assert_eq!(Question::parse(&whole[..length]), None, "{length} bytes");
        }
        let mut looped = whole.clone();
        looped[12] = 0xc0;
        assert_eq!(Question::parse(&looped), None);
        assert!(query("a..example", "A").is_none());
    }
}
