//! Which keys the user knows a host by: what `ssh-keygen -F` finds in their known hosts, hashed lines among them.

use std::process::Stdio;

use tokio::process::Command;

/// A host and its keys, as lines of a known_hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `type base64`.
    pub keys: Vec<String>,
}

impl Known {
    /// Its lines, its name in the clear.
    pub fn lines(&self) -> String {
        let name = pattern(&self.host, self.port);
        self.keys.iter().map(|key| format!("{name} {key}\n")).collect()
    }
}

/// Looks hosts up; one that the user does not know has no keys.
pub async fn look_up(hosts: &[(String, u16)]) -> Vec<Known> {
    let mut known = Vec::new();
    for (host, port) in hosts {
        let name = pattern(host, *port);
        let mut keys = Vec::new();
        let of_user =
            std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".ssh/known_hosts"));
        for file in of_user.into_iter().chain(["/etc/ssh/ssh_known_hosts".into()]) {
            let mut command = Command::new("ssh-keygen");
            command.arg("-F").arg(&name).arg("-f").arg(&file).current_dir("/");
            command.stdin(Stdio::null()).stderr(Stdio::null());
            if let Ok(output) = command.output().await {
                keys.extend(parse(&String::from_utf8_lossy(&output.stdout)));
            }
        }
        known.push(Known { host: host.clone(), port: *port, keys });
    }
    known
}

fn pattern(host: &str, port: u16) -> String {
    if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") }
}

/// Keys out of known_hosts lines. One that is revoked, or an authority's, is no key of the host's.
fn parse(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '@']));
    let key = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        Some(format!("{} {}", words.next()?, words.next()?))
    };
    lines.filter_map(key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_what_is_none() {
        let text = "# Host a.test found: line 1 \n|1|x=|y= ssh-ed25519 AAAA comment\n@revoked a.test ssh-rsa BBBB\n\
                    @cert-authority * ssh-rsa CCCC\na.test ecdsa-sha2-nistp256 DDDD\nbroken\n";
        assert_eq!(parse(text), ["ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 DDDD"]);
        let known = Known { host: "a.test".into(), port: 2222, keys: parse(text) };
        assert_eq!(known.lines().lines().next(), Some("[a.test]:2222 ssh-ed25519 AAAA"));
    }
}
