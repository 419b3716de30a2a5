//! Git's credential protocol: the agent's git asks, the user's own helpers answer, for hosts that the policy lists.
//! Nothing that an agent sends is stored or erased on the host.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::listed;
use super::uses::{Use, Uses, now};
use crate::paths::Paths;
use crate::store::AgentRecord;

/// A longer request is none of git's.
const MAX_LEN: u64 = 16 << 10;
/// How long the user's helpers may take: one of them may ask the user.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Asked {
    /// A name or an address.
    host: String,
    /// The port.
    port: u16,
    /// As the helper is asked: with its port where the agent gave one.
    authority: String,
    path: Option<String>,
    username: Option<String>,
}

/// Answers one request, once the use is written down.
///
/// # Errors
/// When the client breaks off, or the use can't be written down.
pub async fn talk(
    paths: &Paths,
    record: &AgentRecord,
    uses: &Uses,
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
) -> io::Result<()> {
    let mut text = String::new();
    (&mut *stream).take(MAX_LEN).read_to_string(&mut text).await?;
    let (used, found) = answer(paths, record, &text).await;
    uses.note(&used)?;
    stream.write_all(found.as_bytes()).await?;
    stream.shutdown().await
}

/// The use and what git is told: nothing where it is refused.
async fn answer(paths: &Paths, record: &AgentRecord, text: &str) -> (Use, String) {
    let about = |granted, asked: &Asked, detail: &str| Use {
        time: now(),
        granted,
        what: "git-https".to_owned(),
        host: asked.host.clone(),
        port: Some(asked.port).filter(|port| *port > 0),
        detail: detail.to_owned(),
    };
    let refused = |asked: &Asked, why: &str| (about(false, asked, why), String::new());
    let asked = match parse(text) {
        Ok(asked) => asked,
        Err(why) => return refused(&Asked::default(), why),
    };
    match listed::policy(paths, record) {
        Ok(policy) if listed::https(&policy, &asked.host, asked.port) => {}
        Ok(_) => return refused(&asked, "the policy does not list it"),
        Err(failure) => return refused(&asked, &failure.message),
    }
    match fill(&asked).await {
        Ok(found) => (about(true, &asked, ""), found),
        Err(why) => refused(&asked, &why),
    }
}

/// Reads a request; what we don't know is left out, so that nothing of it reaches the host's git.
fn parse(text: &str) -> Result<Asked, &'static str> {
    let mut asked = Asked::default();
    let mut protocol = "";
    for line in text.lines().take_while(|line| !line.is_empty()) {
        let Some((key, value)) = line.split_once('=') else { return Err("not a request of git's") };
        if value.chars().any(char::is_control) {
            return Err("not a request of git's");
        }
        match key {
            "protocol" => protocol = value,
            "host" => value.clone_into(&mut asked.authority),
            "path" => asked.path = Some(value.to_owned()),
            "username" => asked.username = Some(value.to_owned()),
            _ => {}
        }
    }
    if protocol != "https" {
        return Err("passwords go over HTTPS only");
    }
    let (host, port) = match asked.authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| "not a host")?),
        None => (asked.authority.as_str(), 443),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if host.is_empty() || host.starts_with('-') || !host.bytes().all(plain) || port == 0 {
        return Err("not a host");
    }
    (asked.host, asked.port) = (host.to_ascii_lowercase(), port);
    Ok(asked)
}

/// Asks the user's git, outside of every repository and without a prompt of git's own.
async fn fill(asked: &Asked) -> Result<String, String> {
    let mut request = format!("protocol=https\nhost={}\n", asked.authority);
    for (key, value) in [("path", &asked.path), ("username", &asked.username)] {
        if let Some(value) = value {
            request.push_str(&format!("{key}={value}\n"));
        }
    }
    let mut command = Command::new("git");
    command.args(["-c", "core.askPass=", "credential", "fill"]).current_dir("/").kill_on_drop(true);
    command.env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_ASKPASS").env_remove("SSH_ASKPASS");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let failed = |error: io::Error| format!("the host's git: {error}");
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(request.as_bytes()).await.map_err(failed)?;
    }
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.map_err(|_| "the host's git did not answer in time")?.map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = secret(&text);
    match answer {
        Some(answer) if output.status.success() => Ok(answer),
        _ => Err("the host's git has no password for it".to_owned()),
    }
}

/// Name and password out of an answer, and nothing else that a helper said.
fn secret(text: &str) -> Option<String> {
    let value = |key: &str| {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines.filter(|(name, _)| *name == key).map(|(_, value)| value).next_back()
    };
    Some(format!("username={}\npassword={}\n", value("username")?, value("password")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_taken_apart_and_what_is_foreign_stays_out() {
        let asked = parse(
            "protocol=https\nhost=Git.test:8443\nurl=https://evil.test\nusername=ada\nwwwauth[]=x\n\nhost=b",
        )
        .unwrap();
        assert_eq!((asked.host.as_str(), asked.port), ("git.test", 8443));
        assert_eq!((asked.authority.as_str(), asked.username.as_deref()), ("Git.test:8443", Some("ada")));
        for wrong in [
            "",
            "protocol=http\nhost=a.test\n",
            "protocol=https\n",
            "protocol=https\nhost=\n",
            "protocol=https\nhost=a.test/b\n",
            "protocol=https\nhost=x@a.test\n",
            "protocol=https\nhost=-a\n",
            "protocol=https\nhost=a.test:0\n",
            "protocol=https\nhost=a.test:99999\n",
            "protocol=https\nhost=a.test\rhost=b.test\n",
            "protocol=https\nhost=a.test\npath=x\u{0}y\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn only_name_and_password_go_back() {
        let said = "protocol=https\nhost=a\nusername=u\npassword=p=q\npassword_expiry_utc=1\noauth_refresh_token=r\n";
        assert_eq!(secret(said).as_deref(), Some("username=u\npassword=p=q\n"));
        assert_eq!(secret("username=u\n"), None);
    }
}
