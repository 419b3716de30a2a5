//! A path as an agent writes it and a rule's, which host and init judge alike: every reading is a plain path that reads
//! as itself, a rule's path reads the same once written again, and what it names of a path is a part of it.

#![no_main]

use clawker::policy::Pattern;
use clawker_protocol::paths::{MAX_READINGS, decode, named_length, readings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (path, rule) = text.split_once('\n').unwrap_or((text, "/a"));
    if let Some(decoded) = decode(path) {
        assert!(decoded.len() <= path.len() && !decoded.bytes().any(|byte| byte < 0x20));
    }
    let list = readings(path).unwrap_or_default();
    assert!(list.len() <= MAX_READINGS);
    for reading in &list {
        assert!(reading.starts_with('/') && reading.len() <= path.len().max(1), "{reading:?}");
        assert!(!reading.contains("//") && !reading.contains('\\'), "{reading:?}");
        assert!(!reading.split('/').any(|segment| matches!(segment, "." | "..")), "{reading:?}");
        for deny in [true, false] {
            assert!(named_length(reading, rule, deny).is_none_or(|length| length <= reading.len()));
        }
        assert!(named_length(reading, reading, false).is_some());
    }
    if let Ok(pattern) = Pattern::parse(rule) {
        assert_eq!(Pattern::parse(&pattern.to_string()).as_ref(), Ok(&pattern));
    }
});
