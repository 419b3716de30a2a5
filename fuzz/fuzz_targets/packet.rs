//! A refused packet, of which every byte is the agent's own: the name in it has no character but those of names and of
//! escapes, and is no longer than its bytes can be.

#![no_main]

use clawker_init::nflog;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| {
    let Some(flow) = nflog::flow(packet, Some(1001)) else { return };
    assert!(flow.proto.len() <= 6, "{}", flow.proto);
    assert!(flow.destination.parse::<std::net::IpAddr>().is_ok(), "{}", flow.destination);
    if let Some(name) = flow.question {
        assert_eq!((flow.proto.as_str(), flow.port), ("udp", Some(53)));
        assert!(name.len() <= 4 * packet.len());
        assert!(name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.\\".contains(&c)), "{name}");
    }
});
