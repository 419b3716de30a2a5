//! Files of the agent's image that init reads as root: accounts, bundles, trust stores, and `resolv.conf`, which Docker
//! made of the host's. And `/proc/PID/status`, in which a process is named as it likes.

#![no_main]

use std::net::Ipv4Addr;

use clawker_init::truststore::{Entries, certificates};
use clawker_init::{ca, identity, resolv, shutdown};
use libfuzzer_sys::fuzz_target;

const OURS: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 3);

fuzz_target!(|bytes: &[u8]| {
    trust(bytes);
    let text = String::from_utf8_lossy(bytes);
    let _ = shutdown::ignores(&text, 15);
    let account = identity::account_in(&text, &text, 1001, "/tmp");
    assert!(!account.groups.contains(&0));
    let written = resolv::rewrite(&text, &[OURS]);
    assert_eq!(resolv::rewrite(&written, &[OURS]), written);
    let servers = written.lines().filter(|line| line.trim_start().starts_with("nameserver"));
    let other = servers.skip(1).find(|line| line.split_whitespace().next() == Some("nameserver"));
    assert_eq!(other, None);
});

/// A store is never much larger than what it was made of, and reads the same once written again.
fn trust(bytes: &[u8]) {
    if let Some(mut entries) = Entries::read(bytes) {
        let store = entries.write();
        assert!(store.len() <= 100 + 4 * bytes.len(), "{} bytes of {}", store.len(), bytes.len());
        assert_eq!(Entries::read(&store).as_ref(), Some(&entries));
        entries.add("clawker", b"certificate");
        assert!(entries.write().len() > store.len());
    }
    let text = String::from_utf8_lossy(bytes);
    assert!(certificates(&text).map(|one| one.len()).sum::<usize>() <= text.len());
    assert!(ca::join(&text, "ours").ends_with("ours"));
}
