//! The policy's summary, as `clawker-init why` reads it, and what the user types beside it: what was read reads the same
//! once written again.

#![no_main]

use clawker_init::why;
use clawker_protocol::{duration, names::Name, summary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let rules = summary::parse(text);
    assert_eq!(summary::parse(&summary::write(&rules)), rules);
    for rule in rules.iter().take(3) {
        let _ = why::look_up(&rules, &rule.dst, rule.port.parse().ok());
    }
    let _ = why::look_up(&rules, text, Some(443));
    if let Ok(length) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(length)), Ok(length));
    }
    if let Some(name) = Name::from_folder(text) {
        assert_eq!(Name::new(name.as_str()), Ok(name));
    }
});
