//! The folder that an agent sees at `/run/clawker-lent`, read-only: git's configuration, the hosts that ssh knows, a
//! stand-in for `xdg-open`, and the sockets.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clawker_protocol::places;

use super::{Lending, Lent};
use crate::store::{self, StoreError};

/// A browser that is none: who sits at the terminal opens the address, or doesn't.
const XDG_OPEN: &str = "#!/bin/sh
# Nothing in an agent's container opens anything on the host.
address=$(printf '%s' \"${1-}\" | tr -cd '\\40-\\176')
say() { printf '\\r\\nOpen this on your machine, if you trust it: %s\\r\\n' \"$address\"; }
{ say >/dev/tty; } 2>/dev/null || say >&2
";

/// Writes it.
///
/// # Errors
/// [`StoreError`].
pub fn make(folder: &Path, lent: &Lent) -> Result<(), StoreError> {
    store::make_folder(folder)?;
    let bin = folder.join("bin");
    store::make_folder(&bin)?;
    for dir in [folder, &bin] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir, open).map_err(|source| StoreError::io(dir, source))?;
    }
    store::write_atomically(&bin.join("xdg-open"), XDG_OPEN.as_bytes(), 0o755)?;
    store::write_atomically(&folder.join("gitconfig"), git_config(lent).as_bytes(), 0o644)
}

/// What the agent finds of it in its environment; `path` is the image's.
pub fn variables(lent: &Lent, path: Option<&str>) -> BTreeMap<String, String> {
    let at = |name: &str| format!("{}/{name}", places::LENT);
    let mut variables = BTreeMap::from([
        ("GIT_CONFIG_SYSTEM".to_owned(), at("gitconfig")),
        ("BROWSER".to_owned(), at("bin/xdg-open")),
    ]);
    if lent.has(Lending::GitSsh) {
        variables.insert("SSH_AUTH_SOCK".to_owned(), at("ssh.sock"));
    }
    // Behind the image's own folders: a program of the image's stays what it is.
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        variables.insert("PATH".to_owned(), format!("{path}:{}", at("bin")));
    }
    variables
}

/// The lowest level of git's configuration, so that whatever an agent sets for itself wins.
fn git_config(lent: &Lent) -> String {
    let mut text = "[include]\n\tpath = /etc/gitconfig\n".to_owned();
    for (key, value) in &lent.identity {
        if let Some((section, name)) = key.split_once('.') {
            text.push_str(&format!("[{section}]\n\t{name} = {}\n", quoted(value)));
        }
    }
    if lent.has(Lending::GitHttps) {
        text.push_str(&format!("[credential]\n\thelper = {} git-credential\n", places::INIT));
    }
    if lent.has(Lending::GitSsh) {
        let known = format!("/etc/ssh/ssh_known_hosts {}/known_hosts", places::LENT);
        let command = format!("ssh -o \"GlobalKnownHostsFile {known}\"");
        text.push_str(&format!("[core]\n\tsshCommand = {}\n", quoted(&command)));
    }
    text
}

/// A value in git's quotes.
fn quoted(value: &str) -> String {
    let mut text = "\"".to_owned();
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            c if c.is_control() => {}
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn lent() -> Lent {
        Lent {
            things: vec![Lending::GitHttps, Lending::GitSsh],
            identity: BTreeMap::from([
                ("user.email".to_owned(), "ada@example.test".to_owned()),
                ("user.name".to_owned(), "Ada \"the\" L\\ ; # \n[core]\nfsmonitor=x".to_owned()),
            ]),
        }
    }

    #[test]
    fn git_reads_what_was_written() {
        let folder = std::env::temp_dir().join(format!("clawker-lent-{}", std::process::id()));
        make(&folder, &lent()).unwrap();
        let get = |key: &str| {
            let mut git = Command::new("git");
            git.args(["config", "--file"]).arg(folder.join("gitconfig")).args(["--get", key]);
            String::from_utf8(git.output().unwrap().stdout).unwrap().trim_end().to_owned()
        };
        assert_eq!(get("user.name"), "Ada \"the\" L\\ ; # \n[core]\nfsmonitor=x");
        assert_eq!(get("core.fsmonitor"), "", "a name breaks out of nothing");
        assert_eq!(get("credential.helper"), "/usr/local/bin/clawker-init git-credential");
        assert_eq!(
            get("core.sshCommand"),
            "ssh -o \"GlobalKnownHostsFile /etc/ssh/ssh_known_hosts /run/clawker-lent/known_hosts\""
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_address_steers_no_terminal() {
        let folder = std::env::temp_dir().join(format!("clawker-open-{}", std::process::id()));
        make(&folder, &Lent::default()).unwrap();
        let output = Command::new("setsid")
            .arg(folder.join("bin/xdg-open"))
            .arg("https://a.test/?x=1\u{1b}[2J\n\u{202e}y")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("https://a.test/?x=1[2Jy"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_what_is_lent_is_named() {
        let names = |lent: &Lent, path| variables(lent, path).into_keys().collect::<Vec<_>>();
        assert_eq!(names(&Lent::default(), None), ["BROWSER", "GIT_CONFIG_SYSTEM"]);
        assert_eq!(names(&lent(), Some("/bin")), ["BROWSER", "GIT_CONFIG_SYSTEM", "PATH", "SSH_AUTH_SOCK"]);
        assert_eq!(variables(&lent(), Some("/bin"))["PATH"], "/bin:/run/clawker-lent/bin");
        assert!(!git_config(&Lent::default()).contains("credential"));
    }
}
