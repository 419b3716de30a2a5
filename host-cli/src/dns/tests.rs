//! The files are as written down.

use crate::plan::tests::plan;

#[test]
fn the_files_are_as_written_down() {
    let plan = plan(&["allow .example.com tls", "deny shut.example.com tls", "allow git.test ssh"]);
    assert_eq!(super::corefile([&plan]), include_str!("../../tests/expected/Corefile"));
    assert_eq!(super::zone(&plan), include_str!("../../tests/expected/policy.zone"));
}
