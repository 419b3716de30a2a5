//! Where the project's git goes. The remotes are read by `git config --file`, which looks at nothing else of the
//! repository and runs nothing that stands in it.

use std::path::{Path, PathBuf};

use super::endpoint::Endpoint;
use super::{DraftError, Host, Wishes};
use crate::policy::Proto;

/// The rules for the host that is named, else for the remotes.
pub(super) fn rules(
    dir: &Path,
    wishes: &Wishes,
    host: &dyn Host,
) -> Result<Vec<(Endpoint, String)>, DraftError> {
    let mut rules = Vec::new();
    let remotes = remotes(dir, host);
    let named = wishes.vcs.as_deref().map(named).transpose()?;
    let places: Vec<(Endpoint, String)> = match named {
        Some(place) => vec![(place, "--vcs".to_owned())],
        None => remotes.iter().map(|(name, place)| (place.clone(), format!("git remote {name}"))).collect(),
    };
    if wishes.ssh && places.is_empty() {
        return Err(DraftError::SshOfNothing);
    }
    for (place, why) in places {
        let web = match place.proto {
            Proto::Ssh | Proto::Tcp => Endpoint::tls(web_host(&place.host)),
            Proto::Tls | Proto::Http => place.clone(),
        };
        let companions = companions(&web.host).iter().map(|host| (Endpoint::tls(host), why.clone()));
        let companions: Vec<_> = companions.collect();
        rules.push((web, why.clone()));
        rules.extend(companions);
        if wishes.ssh {
            // The remote's own port, where it has one.
            let port = remotes
                .iter()
                .chain([(String::new(), place.clone())].iter())
                .find(|(_, one)| one.proto == Proto::Ssh && one.host == place.host)
                .map_or(22, |(_, one)| one.port);
            rules.push((Endpoint { host: place.host, port, proto: Proto::Ssh }, format!("{why}, --ssh")));
        }
    }
    Ok(rules)
}

/// What `--vcs` says.
fn named(text: &str) -> Result<Endpoint, DraftError> {
    let host = match text {
        "github" => return Ok(Endpoint::tls("github.com")),
        "gitlab" => return Ok(Endpoint::tls("gitlab.com")),
        "bitbucket" => return Ok(Endpoint::tls("bitbucket.org")),
        host => host,
    };
    let url = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
    let place = Endpoint::of_url(&url).map_err(|error| DraftError::Vcs(error.to_string()))?;
    // A word without a dot is a slip of the finger sooner than a host.
    let is_host = place.host.contains(['.', ':']);
    if is_host { Ok(place) } else { Err(DraftError::Vcs("that is neither".to_owned())) }
}

/// Where a host that answers ssh answers https.
fn web_host(host: &str) -> &str {
    match host {
        "ssh.github.com" => "github.com",
        "altssh.gitlab.com" => "gitlab.com",
        "altssh.bitbucket.org" => "bitbucket.org",
        other => other,
    }
}

/// What else a forge's own command-line tool needs.
fn companions(host: &str) -> &'static [&'static str] {
    match host {
        "github.com" => &["api.github.com", "codeload.github.com"],
        "bitbucket.org" => &["api.bitbucket.org"],
        _ => &[],
    }
}

/// The remotes' names and places; what can't be read is left out.
fn remotes(dir: &Path, host: &dyn Host) -> Vec<(String, Endpoint)> {
    let Some(file) = dir.ancestors().find_map(config_file) else { return Vec::new() };
    let file = file.to_string_lossy();
    let args = ["config", "--file", &file, "--no-includes", "-z", "--get-regexp", r"^remote\..*\.url$"];
    let text = host.program("git", &args).unwrap_or_default();
    text.split('\0').filter_map(remote).collect()
}

fn remote(entry: &str) -> Option<(String, Endpoint)> {
    let (key, url) = entry.split_once('\n')?;
    let name = key.strip_prefix("remote.")?.strip_suffix(".url")?;
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_./".contains(*c)).collect();
    Some((name, Endpoint::of_url(url).ok()?))
}

/// The git configuration of the repository whose folder this is: also of a worktree, whose `.git` is a file.
fn config_file(dir: &Path) -> Option<PathBuf> {
    let git = dir.join(".git");
    let kind = std::fs::metadata(&git).ok()?;
    if kind.is_dir() {
        return Some(git.join("config")).filter(|file| file.is_file());
    }
    let text = super::host::text(&git)?;
    let folder = dir.join(text.strip_prefix("gitdir:")?.trim());
    let common = super::host::text(&folder.join("commondir"));
    let common = common.map_or_else(|| folder.clone(), |common| folder.join(common.trim()));
    Some(common.join("config")).filter(|file| file.is_file())
}
