//! The files are as written down.

use crate::plan::tests::{expected, plan};

#[test]
fn the_files_are_as_written_down() {
    let plan = plan(&["allow .example.com tls", "deny shut.example.com tls", "allow git.test ssh"]);
    for (name, actual) in [("Corefile", super::corefile([&plan])), ("policy.zone", super::zone(&plan))] {
        assert_eq!(actual, expected(name, &actual), "{name} changed");
    }
}
