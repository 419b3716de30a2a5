//! A line of the control socket: what is taken reads the same once written again, and what is refused gets one short
//! line for an answer, whatever was sent.

#![no_main]

use clawker_protocol::control::{holds_secret, parse_request};
use clawker_protocol::secret;
use libfuzzer_sys::fuzz_target;

/// Of an answer that refuses, in bytes.
const SHORT: usize = 1024;

fuzz_target!(|line: &[u8]| {
    match parse_request(line) {
        Ok(request) => {
            let again = serde_json::to_vec(&request).expect("a request is JSON");
            assert_eq!(parse_request(&again).expect("it is still one"), request);
            if !request.secret.is_empty() {
                assert!(holds_secret(line, &secret::hash(&request.secret)));
            }
        }
        Err(response) => {
            let text = serde_json::to_string(&response).expect("an answer is JSON");
            assert!(text.len() <= SHORT, "{} bytes of an answer", text.len());
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
});
