//! The completions in a shell that is there: what bash puts onto the line.

#![allow(clippy::unwrap_used)]

use std::process::Command;

/// What bash would offer for a line, in a state folder without agents.
fn offered(line: &str) -> Vec<String> {
    let state = std::env::temp_dir().join(format!("clawker-completions-{}", std::process::id()));
    std::fs::create_dir_all(&state).unwrap();
    let binary = env!("CARGO_BIN_EXE_clawker");
    // The words as bash breaks them, at : and =.
    let script = format!(
        "source <({binary} completions bash) || exit 3\nCOMP_LINE=$LINE COMP_POINT=${{#LINE}}\n\
         _clawker; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &script])
        .env("LINE", format!("{binary} {line}"))
        .env("XDG_STATE_HOME", &state)
        .current_dir(&state)
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&state);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn bash_offers_what_can_stand_there_and_only_the_part_that_it_puts_back() {
    assert_eq!(offered("fire"), ["firewall"]);
    assert_eq!(offered("firewall add x --action "), ["allow", "deny"]);
    assert_eq!(offered("firewall add x --action=d"), ["deny"]);
    assert!(offered("nonsense ").is_empty());
}
