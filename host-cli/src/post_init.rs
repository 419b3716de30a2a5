//! `agent.post_init`: what runs once in a new container, as the agent and behind its fence, before the agent does.

/// `$1` is the user's script, the rest the agent's program. A script that fails ends the start with its code, and runs
/// again at the next one.
const ONCE: &str = r#"done=/tmp/.clawker-post-init
if [ ! -e "$done" ]; then
    sh -ec "$1" || { code=$?; echo "clawker: agent.post_init failed with code $code" >&2; exit "$code"; }
    : >"$done"
fi
shift
exec "$@""#;

/// The command with the script before it; without one as it is.
pub fn before(script: Option<&str>, command: Vec<String>) -> Vec<String> {
    match script.filter(|script| !script.trim().is_empty()) {
        None => command,
        Some(script) => {
            let shell = ["sh", "-c", ONCE, "clawker-post-init", script].map(str::to_owned);
            shell.into_iter().chain(command).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_script_nothing_changes() {
        let command = vec!["ls".to_owned()];
        assert_eq!(before(None, command.clone()), command);
        assert_eq!(before(Some(" \n"), command.clone()), command);
    }

    #[test]
    fn it_runs_once_and_a_failure_keeps_the_agent_from_starting() {
        let marker = std::env::temp_dir().join(format!("clawker-post-init-{}", std::process::id()));
        let _ = std::fs::remove_file(&marker);
        let run = |script: &str| {
            let mut command = before(Some(script), ["echo", "agent", "a b"].map(str::to_owned).to_vec());
            command[2] = command[2].replace("/tmp/.clawker-post-init", &marker.to_string_lossy());
            let output = std::process::Command::new(&command[0]).args(&command[1..]).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        assert_eq!(run("echo one\nfalse\necho two"), (Some(1), "one\n".to_owned()));
        assert_eq!(run("exit 3"), (Some(3), String::new()));
        assert_eq!(run("echo \"$HOME\" >/dev/null; echo one"), (Some(0), "one\nagent a b\n".to_owned()));
        assert_eq!(run("echo one"), (Some(0), "agent a b\n".to_owned()));
        std::fs::remove_file(&marker).unwrap();
    }
}
