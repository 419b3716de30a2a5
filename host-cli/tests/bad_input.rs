//! What a mistake looks like from outside: the real binary, one clear sentence on stderr that says what to do
//! next, the right exit code, no backtrace, and no state left behind.

#![allow(clippy::unwrap_used, reason = "a test that can't be set up has failed")]

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Folders of one test's own, gone at its end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("clawker-bad-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("project")).unwrap();
        Self(std::fs::canonicalize(folder).unwrap())
    }

    fn project(&self) -> PathBuf {
        self.0.join("project")
    }

    /// Runs clawker in the project, with a Docker that isn't there unless `docker` names one.
    fn run(&self, docker: &str, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_clawker"))
            .args(words)
            .current_dir(self.project())
            .env("HOME", &self.0)
            .env("XDG_STATE_HOME", self.0.join("state"))
            .env("XDG_CONFIG_HOME", self.0.join("config"))
            .env("XDG_CACHE_HOME", self.0.join("cache"))
            .env("CLAWKER_INSTANCE", "badinput")
            .env("DOCKER_HOST", docker)
            .env("RUST_BACKTRACE", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The exit code and the one line on stderr.
    fn told(&self, words: &[&str]) -> (i32, String) {
        let docker = format!("unix://{}/none.sock", self.0.display());
        let output = self.run(&docker, words);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
        assert!(stderr.starts_with("clawker: "), "{words:?}: {stderr}");
        assert!(!stderr.contains("panicked") && !stderr.contains("stack backtrace"), "{words:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{words:?}: {:?}", output.stdout);
        (output.status.code().unwrap(), stderr)
    }

    fn agents_left(&self) -> usize {
        std::fs::read_dir(self.0.join("state/clawker-badinput/agents")).map_or(0, Iterator::count)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn each_mistake_is_one_sentence_with_the_right_code() {
    let place = Place::new("each");
    for (line, code, says) in [
        ("firewall bypass soon --agent dev", 2, "like 30s, 10m or 1h30m"),
        ("firewall bypass 30 --agent dev", 2, "not a duration"),
        ("firewall disable --agent nobody", 1, "No agent \"nobody\""),
        ("firewall enable --agent nobody", 1, "clawker ps -a"),
        ("firewall bypass 30s --agent nobody", 1, "No agent \"nobody\""),
        ("firewall bypass --stop --agent nobody", 1, "No agent \"nobody\""),
        ("stop nobody", 1, "No agent \"nobody\""),
        ("exec nobody true", 125, "No agent \"nobody\""),
        ("exec nobody", 125, "Nothing to run"),
        ("attach nobody", 125, "No agent \"nobody\""),
        ("shell nobody", 125, "No agent \"nobody\""),
        ("run --frob", 125, "--frob"),
        ("run --memory lots", 125, "512m or 4g"),
        ("run --publish 99999", 125, "8080:80"),
        ("run --mode copy", 125, "snapshot"),
        ("frob", 2, "clawker frob"),
        ("ps", 1, "Docker isn't running"),
        ("run --image x -- true", 125, "Docker isn't running"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let (got, text) = place.told(&words);
        assert_eq!(got, code, "{line}: {text}");
        assert!(text.contains(says), "{line}: {text}");
    }
    assert_eq!(place.agents_left(), 0);
}

#[test]
fn a_name_with_a_space_is_refused_by_every_verb() {
    let place = Place::new("space");
    for words in [
        &["run", "--agent", "my agent", "--image", "x", "--", "true"][..],
        &["stop", "my agent"],
        &["firewall", "disable", "--agent", "my agent"],
        &["firewall", "bypass", "30s", "--agent", "my agent"],
    ] {
        let (code, text) = place.told(words);
        assert!([1, 2, 125].contains(&code), "{words:?}: {code}");
        assert!(text.contains("\"my agent\" is not a valid name"), "{words:?}: {text}");
    }
}

#[test]
fn a_malformed_project_file_is_named_with_its_line() {
    let place = Place::new("yaml");
    std::fs::write(place.project().join(".clawker.yaml"), "project: p\nsecurity:\n  firewal: {}\n").unwrap();
    let (code, text) = place.told(&["run", "--image", "x", "--", "true"]);
    assert_eq!(code, 125);
    assert!(text.contains(".clawker.yaml:3"), "{text}");
}

#[test]
fn something_that_is_not_docker_is_not_taken_for_it() {
    use std::io::{Read, Write};
    let place = Place::new("other");
    let socket = place.0.join("other.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 512]);
        let _ = stream.write_all(b"220 mail ready\r\n\r\n");
    });
    let output = place.run(&format!("unix://{}", socket.display()), &["ps"]);
    server.join().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("is not Docker; check DOCKER_HOST"), "{stderr}");
}

#[test]
fn a_project_that_holds_clawker_s_own_state_is_refused() {
    let place = Place::new("own");
    let output = Command::new(env!("CARGO_BIN_EXE_clawker"))
        .args(["run", "--image", "x", "--", "true"])
        .current_dir(&place.0)
        .env("HOME", &place.0)
        .env("XDG_STATE_HOME", place.0.join("state"))
        .env("XDG_CONFIG_HOME", place.0.join("config"))
        .env("CLAWKER_INSTANCE", "badinput")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr.contains("can't be a project"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new("pipe");
    let mut child = Command::new(env!("CARGO_BIN_EXE_clawker"))
        .arg("--help")
        .current_dir(place.project())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
