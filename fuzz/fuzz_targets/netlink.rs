//! What the kernel sends over netlink: framing, nf_tables, conntrack, sockets, interfaces, routes. Attributes that are
//! read read the same once written again.

#![no_main]

use clawker_init::netlink::wire::{Writer, attributes, messages};
use clawker_init::nft::read;
use clawker_init::{conntrack, nflog, route, sockdiag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = nflog::parse(bytes).count();
    let mut whole = 0;
    for message in messages(bytes) {
        whole += message.payload.len() + 16;
        payload(message.payload);
        let _ = read::cause(&message);
    }
    assert!(whole <= bytes.len());
    payload(bytes);
});

fn payload(bytes: &[u8]) {
    let mut elements = Vec::new();
    read::elements(bytes, &mut elements);
    let _ = (read::table(bytes), read::chain(bytes), read::rule(bytes), read::counter(bytes));
    let _ = (conntrack::entry(bytes), sockdiag::socket(bytes));
    let _ = (route::interface(bytes), route::address(bytes), route::network(bytes), route::gateway(bytes));
    let read: Vec<_> = attributes(bytes).collect();
    let mut writer = Writer::new();
    read.iter().for_each(|(kind, value)| writer.attribute(*kind, value));
    assert!(writer.len() <= bytes.len().next_multiple_of(4));
    assert_eq!(attributes(writer.bytes()).collect::<Vec<_>>(), read);
}
