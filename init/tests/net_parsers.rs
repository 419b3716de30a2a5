//! Bytes that no kernel sends: the parsers leave them out and never panic, which would end PID 1.

#![allow(clippy::unwrap_used, missing_docs)]

use clawker_init::netlink::wire::{Writer, attributes, messages};
use clawker_init::nft::read;
use clawker_init::{conntrack, nflog, route, sockdiag};

/// The same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[3]
    }
}

/// Nested attributes with plausible types and now and then a wrong length.
fn attribute_soup(random: &mut Random, to: &mut Writer, depth: u64) {
    for _ in 0..random.below(6) {
        let kind = u16::try_from(random.below(14)).unwrap();
        if depth > 0 && random.below(2) == 0 {
            to.nest(kind, |to| attribute_soup(random, to, depth - 1));
        } else {
            let length = random.below(24);
            let bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
            to.attribute(kind, &bytes);
        }
    }
}

fn feed(bytes: &[u8]) -> usize {
    let mut elements = Vec::new();
    let read = [
        read::table(bytes).is_some(),
        read::chain(bytes).is_some(),
        read::rule(bytes).is_some(),
        read::counter(bytes).is_some(),
        read::elements(bytes, &mut elements),
        conntrack::entry(bytes).is_some(),
        sockdiag::socket(bytes).is_some(),
        route::interface(bytes).is_some(),
        route::address(bytes).is_some(),
        nflog::flow(bytes, None).is_some(),
        nflog::parse(bytes).count() > 0,
        messages(bytes).count() > 0,
        attributes(bytes).count() > 0,
    ];
    read.into_iter().filter(|read| *read).count()
}

#[test]
fn no_bytes_make_a_parser_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut understood = 0;
    for round in 0..40_000u64 {
        let bytes = if round % 2 == 0 {
            (0..random.below(160)).map(|_| random.byte()).collect()
        } else {
            let mut writer = Writer::new();
            writer.raw(&[2, 0, 0, 0]);
            attribute_soup(&mut random, &mut writer, 3);
            let mut bytes = writer.bytes().to_vec();
            for _ in 0..random.below(3) {
                let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
                bytes[at] = random.byte();
            }
            bytes
        };
        understood += feed(&bytes);
    }
    assert!(understood > 1_000, "the soup is too thin to try anything: {understood}");
}
