//! An agent's own volume, which outlives its container: Claude's folder with its login, and the shell's history. An
//! agent of the same name finds it again.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::Docker;
use bollard::models::{Mount, MountType, VolumeCreateRequest};
use bollard::query_parameters::{RemoveVolumeOptions, UploadToContainerOptions};
use clawker_protocol::places;
use serde_json::{Value, json};

use crate::docker::DockerError;
use crate::exit::Failure;
use crate::lent::{Lending, Lent};
use crate::paths::Paths;
use crate::store::{self, AgentRecord};

/// What is copied of the user's settings of Claude Code: no history, no login, no project's memory.
const SETTINGS: [&str; 8] = [
    "settings.json",
    "CLAUDE.md",
    "keybindings.json",
    "agents",
    "commands",
    "skills",
    "output-styles",
    "rules",
];
/// More than that is a mistake.
const MAX_LEN: usize = 64 << 20;
/// The mark of a volume that was not filled yet, in the agent's folder.
const UNFILLED: &str = "kept.unfilled";

/// A volume's name.
pub fn name(container: &str) -> String {
    format!("{container}.kept")
}

/// The mount.
pub fn mount(container: &str) -> Mount {
    Mount {
        source: Some(name(container)),
        target: Some(places::KEPT.to_owned()),
        typ: Some(MountType::VOLUME),
        ..Mount::default()
    }
}

/// What the agent finds of it in its environment.
pub fn variables() -> BTreeMap<String, String> {
    let at = |name: &str| format!("{}/{name}", places::KEPT);
    BTreeMap::from([
        ("CLAUDE_CONFIG_DIR".to_owned(), at("claude")),
        ("HISTFILE".to_owned(), at("shell/history")),
    ])
}

/// Whether an agent has one already.
///
/// # Errors
/// [`DockerError`].
pub async fn exists(docker: &Docker, container: &str) -> Result<bool, DockerError> {
    match docker.inspect_volume(&name(container)).await.map_err(DockerError::from) {
        Ok(_) => Ok(true),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes it where it is missing. Until [`fill`] it counts as not there.
///
/// # Errors
/// When Docker does not do it.
pub async fn make(docker: &Docker, paths: &Paths, record: &AgentRecord) -> Result<(), Failure> {
    if exists(docker, &record.container).await? {
        return Ok(());
    }
    store::write_atomically(&paths.agent_dir(&record.id).join(UNFILLED), b"", 0o600)?;
    let labels = [
        ("clawker.role", "kept".to_owned()),
        ("clawker.instance", paths.instance_label()),
        ("clawker.id", record.id.clone()),
        ("clawker.project", record.project.to_string()),
        ("clawker.agent", record.agent.to_string()),
    ];
    let request = VolumeCreateRequest {
        name: Some(name(&record.container)),
        labels: Some(HashMap::from(labels.map(|(label, value)| (label.to_owned(), value)))),
        ..VolumeCreateRequest::default()
    };
    docker.create_volume(request).await.map_err(DockerError::from)?;
    Ok(())
}

/// Gives a new one to the agent and puts into it what the user lends; through the container, which does not run yet.
///
/// # Errors
/// When something of the user's can't be read, or Docker does not do it.
pub async fn fill(docker: &Docker, paths: &Paths, record: &AgentRecord, lent: &Lent) -> Result<(), Failure> {
    let mark = paths.agent_dir(&record.id).join(UNFILLED);
    if !mark.exists() {
        return Ok(());
    }
    let archive = archive((record.run.uid, record.run.gid), lent, &of_user()?)?;
    let options = UploadToContainerOptions { path: places::KEPT.to_owned(), ..Default::default() };
    let body = bollard::body_full(archive.into());
    docker.upload_to_container(&record.container, Some(options), body).await.map_err(DockerError::from)?;
    Ok(store::remove(&mark)?)
}

/// Takes back one that was made and never filled.
pub async fn unmake(docker: &Docker, paths: &Paths, record: &AgentRecord) {
    if paths.agent_dir(&record.id).join(UNFILLED).exists() {
        let _ = remove(docker, &record.container).await;
    }
}

/// Removes an agent's; that there is none is as good.
///
/// # Errors
/// [`DockerError`].
pub async fn remove(docker: &Docker, container: &str) -> Result<(), DockerError> {
    match docker.remove_volume(&name(container), None::<RemoveVolumeOptions>).await.map_err(DockerError::from)
    {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}

/// The user's folder of Claude Code, and the file beside it.
#[derive(Debug)]
struct OfUser {
    folder: PathBuf,
    file: PathBuf,
}

fn of_user() -> Result<OfUser, Failure> {
    if let Some(folder) = std::env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from) {
        return Ok(OfUser { file: folder.join(".claude.json"), folder });
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).ok_or_else(|| Failure::new("HOME is not set"))?;
    Ok(OfUser { folder: home.join(".claude"), file: home.join(".claude.json") })
}

/// Everything for a new volume, owned by the agent.
fn archive(owner: (u32, u32), lent: &Lent, of_user: &OfUser) -> Result<Vec<u8>, Failure> {
    let mut tar = Tar { builder: tar::Builder::new(Vec::new()), owner, len: 0 };
    for folder in ["claude", "shell"] {
        tar.folder(Path::new(folder))?;
    }
    if lent.has(Lending::ClaudeSettings) {
        for name in SETTINGS {
            tar.copy(&of_user.folder.join(name), &Path::new("claude").join(name))?;
        }
    }
    if lent.has(Lending::ClaudeLogin) {
        let login = of_user.folder.join(".credentials.json");
        let text = fs::read(&login).map_err(|error| {
            Failure::new(format!(
                "No login to Claude in {}: {error}; log in with claude on this machine, or leave \
                 agent.claude_code.use_host_auth out",
                login.display()
            ))
        })?;
        tar.file(Path::new("claude/.credentials.json"), &text, 0o600)?;
        tar.file(Path::new("claude/.claude.json"), account(&of_user.file).to_string().as_bytes(), 0o600)?;
    }
    Ok(tar.builder.into_inner()?)
}

/// Whose login it is; of all else that the file remembers nothing goes along.
fn account(file: &Path) -> Value {
    let all: Value =
        fs::read(file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let mut account = json!({ "hasCompletedOnboarding": true });
    if let Some(of) = all.get("oauthAccount") {
        account["oauthAccount"] = of.clone();
    }
    account
}

struct Tar {
    builder: tar::Builder<Vec<u8>>,
    owner: (u32, u32),
    len: usize,
}

impl Tar {
    fn header(&self, kind: tar::EntryType, mode: u32, len: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(self.owner.0.into());
        header.set_gid(self.owner.1.into());
        header.set_size(len as u64);
        header
    }

    fn folder(&mut self, path: &Path) -> io::Result<()> {
        let mut header = self.header(tar::EntryType::Directory, 0o700, 0);
        self.builder.append_data(&mut header, path, io::empty())
    }

    fn file(&mut self, path: &Path, text: &[u8], mode: u32) -> Result<(), Failure> {
        self.len += text.len();
        if self.len > MAX_LEN {
            return Err(Failure::new(
                "Your settings of Claude Code are larger than 64 MiB; set strategy: fresh",
            ));
        }
        let mut header = self.header(tar::EntryType::Regular, mode, text.len());
        Ok(self.builder.append_data(&mut header, path, text)?)
    }

    /// A file or a folder with all below it, links followed as Claude does; what is not there is left out.
    fn copy(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        let unread = |error| Failure::new(format!("Can't read {}: {error}", from.display()));
        match fs::metadata(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unread(error)),
            Ok(metadata) if metadata.is_dir() => {
                self.folder(to)?;
                // A link that leads to a folder above it would never end.
                if to.components().count() > 16 {
                    return Ok(());
                }
                for entry in fs::read_dir(from).map_err(unread)? {
                    let name = entry.map_err(unread)?.file_name();
                    self.copy(&from.join(&name), &to.join(&name))?;
                }
                Ok(())
            }
            Ok(metadata) if metadata.is_file() => {
                let executable = std::os::unix::fs::MetadataExt::mode(&metadata) & 0o111 != 0;
                self.file(to, &fs::read(from).map_err(unread)?, if executable { 0o700 } else { 0o600 })
            }
            Ok(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn entries(archive: &[u8]) -> BTreeMap<String, (u64, String)> {
        let mut entries = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let mut entry = entry.unwrap();
            let (path, uid) = (entry.path().unwrap().display().to_string(), entry.header().uid().unwrap());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            entries.insert(path, (uid, text));
        }
        entries
    }

    #[test]
    fn only_what_is_lent_goes_along() {
        let home = std::env::temp_dir().join(format!("clawker-kept-{}", std::process::id()));
        let user = OfUser { folder: home.join(".claude"), file: home.join(".claude.json") };
        fs::create_dir_all(home.join(".claude/commands/a")).unwrap();
        fs::create_dir_all(home.join(".claude/projects/secret")).unwrap();
        for (name, text) in [
            (".claude/.credentials.json", "token"),
            (".claude/settings.json", "{}"),
            (".claude/commands/a/b.md", "do"),
            (".claude/history.jsonl", "secret"),
            (".claude.json", r#"{"oauthAccount":{"emailAddress":"a@b"},"projects":{"/x":{}}}"#),
        ] {
            fs::write(home.join(name), text).unwrap();
        }
        let of = |things: &[Lending]| {
            let lent = Lent { things: things.to_vec(), ..Lent::default() };
            entries(&archive((1000, 1001), &lent, &user).unwrap())
        };
        let nothing = of(&[]);
        assert_eq!(nothing.keys().collect::<Vec<_>>(), ["claude", "shell"]);
        assert!(nothing.values().all(|(uid, _)| *uid == 1000));

        let settings = of(&[Lending::ClaudeSettings]);
        assert_eq!(settings["claude/settings.json"].1, "{}");
        assert_eq!(settings["claude/commands/a/b.md"].1, "do");
        assert!(!settings.values().any(|(_, text)| text == "token" || text == "secret"), "{settings:?}");

        let login = of(&[Lending::ClaudeLogin]);
        assert_eq!(login["claude/.credentials.json"].1, "token");
        assert!(login["claude/.claude.json"].1.contains("a@b"));
        assert!(!login["claude/.claude.json"].1.contains("projects"));
        fs::remove_file(home.join(".claude/.credentials.json")).unwrap();
        let lent = Lent { things: vec![Lending::ClaudeLogin], ..Lent::default() };
        let error = archive((1, 1), &lent, &user).unwrap_err().message;
        assert!(error.contains("log in with claude"), "{error}");
        fs::remove_dir_all(home).unwrap();
    }
}
