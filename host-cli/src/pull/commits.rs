//! The agent's branches, as `clawker/AGENT/BRANCH` in the host's repository: the agent's git packs them in its container,
//! as the agent; the host's git takes the pack as data, checks every object, and runs no hook.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde::Serialize;

use super::fetch::Careful;
use super::whose::Whose;
use crate::commands::exec::entering;
use crate::context::Context;
use crate::demux::Stream;
use crate::docker::Engine;
use crate::exec::{self, Quiet};
use crate::exit::{Failure, OK, Outcome};
use crate::output::escape;
use crate::workspace::guard;
use crate::{ours, store};

/// A longer pack is not taken.
const MAX_PACK: u64 = 4 << 30;
/// As much is kept of what the agent's git complains about.
const MAX_COMPLAINT: usize = 4 << 10;

/// What holds for the host's git: no hook, no program, no other place than the pack, every object checked.
const CAREFUL: [&str; 8] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "fetch.fsckObjects=true",
    "transfer.fsckObjects=true",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "gc.auto=0",
    "maintenance.auto=false",
];
/// Variables that lead git elsewhere.
const ELSEWHERE: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_COMMON_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
];

/// A branch that is here now.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Branch {
    name: String,
    commit: String,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    agent: &'a str,
    branches: Vec<Branch>,
}

/// Brings them.
///
/// # Errors
/// When the agent doesn't run, there is no repository, or either git refuses.
pub async fn bring(ctx: &Context, engine: &Engine, whose: &Whose, careful: &Careful) -> Outcome {
    let (agent, dir) = (&whose.agent, &whose.dir);
    careful.end_at_once(true);
    let again = match &whose.record {
        Some(_) => format!("clawker start {agent}"),
        None => format!("clawker run --mode snapshot --agent {agent}"),
    };
    let running = match &whose.record {
        Some(record) => ours::running(engine, record).await.ok(),
        None => None,
    };
    let container = running.ok_or_else(|| {
        Failure::new(format!(
            "Agent {agent} doesn't run, and its own git has to pack its commits; start it ({again}) and try again. \
             Files come without it: clawker pull {agent}"
        ))
    })?;
    if std::fs::symlink_metadata(dir.join(".git")).is_err() {
        return Err(Failure::new(format!("{} is no git repository", dir.display())));
    }
    // Another agent may share the project itself.
    if guard::news(&ctx.paths, dir)?.is_some_and(|new| !new.is_empty()) {
        return Err(Failure::new(
            "Something is new in the project that the host's git would run: clawker workspace",
        ));
    }
    let pack = pack(ctx, engine, whose, &container.id).await?;
    fetch(dir, agent.as_str(), &pack)?;
    let branches = branches(dir, agent.as_str())?;
    if ctx.output.json {
        ctx.output.value(&Report { agent: agent.as_str(), branches })?;
        return Ok(OK);
    }
    for branch in &branches {
        ctx.output.line(&format!("{} {}", escape(&branch.commit), escape(&branch.name)))?;
    }
    ctx.output
        .note("Look before you merge: git log -p HEAD..BRANCH. A merge brings files that pull holds back");
    Ok(OK)
}

/// Has the agent's git pack its branches into a file without a name.
async fn pack(ctx: &Context, engine: &Engine, whose: &Whose, container: &str) -> Result<File, Failure> {
    let mut file = unnamed(&ctx.paths.state.join("snapshots"))?;
    let dir = whose.dir.to_string_lossy();
    let command = ["git", "-C", &*dir, "bundle", "create", "-", "--branches"].map(str::to_owned);
    let run = Quiet { container, command: entering(&[], &command), env: Vec::new(), stdin: Vec::new() };
    let (mut left, mut complaint) = (MAX_PACK, Vec::new());
    let code = exec::each(engine, run, |stream, bytes| {
        match stream {
            Stream::Out => {
                left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
                    Failure::new(format!("Agent {}'s commits are more than 4 GB", whose.agent))
                })?;
                file.write_all(bytes)?;
            }
            Stream::Err => {
                let room = MAX_COMPLAINT.saturating_sub(complaint.len());
                complaint.extend(bytes.iter().take(room));
            }
        }
        Ok::<_, Failure>(())
    });
    match code.await? {
        Some(0) => Ok(file),
        _ => Err(refused(&format!("Agent {}'s git did not pack its commits", whose.agent), &complaint)),
    }
}

fn unnamed(folder: &Path) -> Result<File, Failure> {
    store::make_folder(folder)?;
    let path = folder.join(format!(".pack.{}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

fn refused(what: &str, complaint: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(complaint);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
    Failure::new(format!("{what}: {}", escape(&last)))
}

fn git(dir: &Path, args: &[&str]) -> Result<Output, Failure> {
    let mut command = Command::new("git");
    ELSEWHERE.iter().for_each(|name| {
        command.env_remove(name);
    });
    if let Some(above) = dir.parent() {
        command.env("GIT_CEILING_DIRECTORIES", above);
    }
    command.arg("-C").arg(dir);
    CAREFUL.iter().for_each(|setting| {
        command.args(["-c", setting]);
    });
    let output = command.args(args).stdin(Stdio::null()).output();
    output.map_err(|error| Failure::new(format!("Can't run git on this machine: {error}")))
}

/// Takes the pack into the host's repository.
fn fetch(dir: &Path, agent: &str, pack: &File) -> Result<(), Failure> {
    let place = format!("/proc/{}/fd/{}", std::process::id(), pack.as_raw_fd());
    let branches = format!("+refs/heads/*:refs/remotes/clawker/{agent}/*");
    let options =
        ["--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-gc"];
    let said = git(dir, &[&["fetch"], &options[..], &["--", &place, &branches]].concat())?;
    match said.status.success() {
        true => Ok(()),
        false => Err(refused("The host's git did not take the commits", &said.stderr)),
    }
}

fn branches(dir: &Path, agent: &str) -> Result<Vec<Branch>, Failure> {
    let of = format!("refs/remotes/clawker/{agent}/");
    let said = git(dir, &["for-each-ref", "--format=%(objectname:short) %(refname:lstrip=2)", &of])?;
    if !said.status.success() {
        return Err(refused("The host's git does not list the branches", &said.stderr));
    }
    let text = String::from_utf8_lossy(&said.stdout);
    let branch = |(commit, name): (&str, &str)| Branch { name: name.to_owned(), commit: commit.to_owned() };
    Ok(text.lines().filter_map(|line| line.split_once(' ')).map(branch).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::workspace::test_folder;

    fn plain_git(dir: &Path, args: &[&str]) -> Output {
        let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
        let said = Command::new("git").arg("-C").arg(dir).args(author).args(args).output().unwrap();
        assert!(said.status.success(), "{args:?}: {}", String::from_utf8_lossy(&said.stderr));
        said
    }

    #[test]
    fn branches_come_beside_the_user_s_and_no_hook_runs() {
        let folder = test_folder("commits");
        let (host, copy) = (folder.join("host"), folder.join("copy"));
        for dir in [&host, &copy] {
            std::fs::create_dir(dir).unwrap();
            plain_git(dir, &["init", "-q", "-b", "main"]);
            // What the host has already is not read again.
            plain_git(dir, &["commit", "-q", "--allow-empty", "-m", &dir.to_string_lossy()]);
        }
        plain_git(&copy, &["branch", "side/one"]);
        plain_git(&copy, &["tag", "v1"]);
        let bundle = folder.join("bundle");
        plain_git(&copy, &["bundle", "create", "-q", &bundle.to_string_lossy(), "--branches", "--tags"]);
        // What is no bundle, or a part of one.
        let whole = std::fs::read(&bundle).unwrap();
        for bytes in [&whole[..whole.len() - 30], b"x"] {
            let part = folder.join("part");
            std::fs::write(&part, bytes).unwrap();
            assert!(fetch(&host, "dev", &File::open(&part).unwrap()).is_err());
        }
        let hook = host.join(".git/hooks/reference-transaction");
        std::fs::write(&hook, format!("#!/bin/sh\ntouch {}/ran\n", folder.display())).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();

        let before = plain_git(&host, &["rev-parse", "main"]).stdout;
        let _ = std::fs::remove_file(folder.join("ran"));
        fetch(&host, "dev", &File::open(&bundle).unwrap()).unwrap();
        let names: Vec<_> = branches(&host, "dev").unwrap().into_iter().map(|branch| branch.name).collect();
        assert_eq!(names, ["clawker/dev/main", "clawker/dev/side/one"]);
        assert_eq!(plain_git(&host, &["rev-parse", "main"]).stdout, before, "the user's own branch");
        assert!(plain_git(&host, &["tag"]).stdout.is_empty(), "no tag");
        assert!(!folder.join("ran").exists(), "no hook");
        plain_git(&host, &["update-ref", "refs/heads/other", "main"]);
        assert!(folder.join("ran").exists(), "which runs otherwise");

        std::fs::remove_dir_all(folder).unwrap();
    }
}
