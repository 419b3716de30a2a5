//! The lines that `clawker firewall log` reads from init, CoreDNS and Envoy: all hold text of an agent's choice, and none
//! of it steers the terminal, in columns or as JSON.

#![no_main]

use std::net::Ipv4Addr;

use clawker::{flowlog, output};
use clawker_protocol::event::Event;
use libfuzzer_sys::fuzz_target;

const AGENT: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 9);

fuzz_target!(|text: &str| {
    if let Ok(event) = serde_json::from_str::<Event>(text) {
        let again = serde_json::to_string(&event).expect("an event is JSON");
        assert_eq!(serde_json::from_str::<Event>(&again).expect("it is still one"), event);
    }
    let entries = [flowlog::of_init(text), flowlog::of_dns(text, AGENT), flowlog::of_proxy(text, AGENT)];
    for entry in entries.into_iter().flatten() {
        for cell in entry.cells() {
            harmless(&output::escape(&cell));
        }
        harmless(&output::json(&entry).expect("an entry is JSON"));
    }
    let shown = output::escape(text);
    harmless(&shown);
    assert_eq!(output::escape(&shown), shown);
    harmless(&output::escape_lines(text).replace('\n', ""));
    let json = output::json(text).expect("a text is JSON");
    harmless(&json);
    assert_eq!(serde_json::from_str::<String>(&json).expect("it is one text"), text);
});

/// Control characters, and those that are not seen and change how others are (Unicode's Cf, and line separators).
fn harmless(text: &str) {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!text.contains(steers), "{text:?}");
}
