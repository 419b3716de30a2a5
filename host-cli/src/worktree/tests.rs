//! Real repositories, and the host's part alone.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::workspace::test_folder;

fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=n", "-c", "user.email=e@f", "-c", "init.defaultBranch=main"])
        .args(words)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn repository(name: &str) -> PathBuf {
    let folder = fs::canonicalize(test_folder(name)).unwrap();
    git(&folder, &["init", "-q"]);
    git(&folder, &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&folder, &["branch", "packed"]);
    git(&folder, &["pack-refs", "--all"]);
    folder
}

#[test]
fn references_can_be_packed_through_the_link_and_lie_as_before_afterwards() {
    let folder = repository("packed");
    let root = Beneath::open(&folder).unwrap();
    let before = git(&folder, &["show-ref"]);
    for round in ["first", "second"] {
        share::refs(&root, (0, 0)).unwrap();
        assert_eq!(git(&folder, &["show-ref"]), before, "{round}");
    }
    assert!(fs::symlink_metadata(folder.join(".git/packed-refs")).unwrap().is_symlink());
    git(&folder, &["branch", "other"]);
    git(&folder, &["pack-refs", "--all"]);
    git(&folder, &["branch", "-D", "packed"]);
    assert!(fs::symlink_metadata(folder.join(".git/packed-refs")).unwrap().is_symlink());
    share::put_back(&root).unwrap();
    assert!(folder.join(".git/packed-refs").is_file() && !folder.join(".git/clawker-refs").exists());
    let after = git(&folder, &["show-ref"]);
    assert!(after.contains("other") && !after.contains("packed"), "{after}");
    git(&folder, &["fsck"]);
    // One that was put back by a command which was killed before the end.
    fs::create_dir_all(folder.join(".git/clawker-refs")).unwrap();
    fs::copy(folder.join(".git/packed-refs"), folder.join(".git/clawker-refs/packed-refs")).unwrap();
    share::refs(&root, (0, 0)).unwrap();
    fs::remove_file(folder.join(".git/packed-refs")).unwrap();
    fs::write(folder.join(".git/packed-refs"), "another's").unwrap();
    assert!(share::refs(&root, (0, 0)).is_err(), "two that differ are nobody's to merge");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_repository_that_packs_for_the_first_time_does_it_through_the_link() {
    let folder = fs::canonicalize(test_folder("unpacked")).unwrap();
    git(&folder, &["init", "-q"]);
    git(&folder, &["commit", "-q", "--allow-empty", "-m", "first"]);
    let root = Beneath::open(&folder).unwrap();
    share::refs(&root, (0, 0)).unwrap();
    share::put_back(&root).unwrap();
    assert!(!folder.join(".git/packed-refs").exists(), "there was none");
    share::refs(&root, (0, 0)).unwrap();
    git(&folder, &["pack-refs", "--all"]);
    assert!(folder.join(".git/clawker-refs/packed-refs").is_file());
    share::put_back(&root).unwrap();
    assert!(git(&folder, &["show-ref"]).contains("main"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_link_that_an_agent_put_in_place_of_the_packed_references_is_not_followed() {
    let folder = repository("followed");
    let root = Beneath::open(&folder).unwrap();
    let secret = folder.join("secret");
    fs::write(&secret, "s").unwrap();
    share::refs(&root, (0, 0)).unwrap();
    let packed = folder.join(".git/clawker-refs/packed-refs");
    fs::remove_file(&packed).unwrap();
    std::os::unix::fs::symlink(&secret, &packed).unwrap();
    assert!(share::put_back(&root).is_err());
    fs::remove_file(folder.join(".git/packed-refs")).unwrap();
    std::os::unix::fs::symlink(&secret, folder.join(".git/packed-refs")).unwrap();
    assert!(share::refs(&root, (0, 0)).is_err());
    assert_eq!(fs::read(&secret).unwrap(), b"s");
    fs::remove_dir_all(folder).unwrap();
}

fn paths(folder: &Path) -> Paths {
    let at = |name: &str| folder.join(name);
    Paths { state: at("state"), config: at("config"), cache: at("cache"), instance: None }
}

/// A project with a worktree beside it, as `clawker worktree add x` leaves them.
fn project(name: &str) -> (PathBuf, Paths, Worktree) {
    let folder = fs::canonicalize(test_folder(name)).unwrap();
    let (main, dir) = (folder.join("main"), folder.join("data/x"));
    fs::create_dir_all(&main).unwrap();
    git(&main, &["init", "-q"]);
    git(&main, &["commit", "-q", "--allow-empty", "-m", "first"]);
    fs::write(main.join(".clawker.yaml"), "project: mine\n").unwrap();
    git(&main, &["worktree", "add", "-q", "-b", "x", &dir.to_string_lossy()]);
    let worktree = Worktree {
        project: Name::new("mine").unwrap(),
        project_dir: main,
        branch: Branch::new("x").unwrap(),
        dir,
        git_dir: ".git/worktrees/x".into(),
        made_at: None,
        whole: true,
    };
    let paths = paths(&folder);
    worktree.save(&paths).unwrap();
    (folder, paths, worktree)
}

#[test]
fn what_stands_in_a_worktree_makes_no_project_of_it() {
    let (folder, paths, worktree) = project("mapped");
    let sub = worktree.dir.join("sub");
    fs::create_dir_all(&sub).unwrap();
    let planted = "project: evil\nsecurity:\n  docker_socket: true\n";
    for place in [&worktree.dir, &sub] {
        fs::write(place.join(".clawker.yaml"), planted).unwrap();
    }
    for place in [&worktree.dir, &sub, &worktree.project_dir] {
        let loaded = crate::config::load(place, &paths).unwrap();
        assert_eq!((loaded.project.as_str(), &loaded.dir), ("mine", &worktree.project_dir), "{place:?}");
        assert!(!loaded.config.security.docker_socket);
    }
    worktree.forget(&paths).unwrap();
    let control = crate::config::load(&sub, &paths).unwrap();
    assert_eq!(control.project.as_str(), "evil", "positive control: without the record it is one");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_worktree_that_leads_elsewhere_is_not_intact() {
    let (folder, _, worktree) = project("intact");
    assert!(worktree.is_intact());
    let (link, common) = (worktree.dir.join(".git"), worktree.git_dir().join("commondir"));
    let evil = folder.join("evil");
    fs::create_dir_all(&evil).unwrap();
    for (path, text) in [(&link, format!("gitdir: {}\n", evil.display())), (&common, "../../evil\n".into())] {
        let before = fs::read(path).unwrap();
        fs::write(path, text).unwrap();
        assert!(!worktree.is_intact(), "{path:?}");
        fs::write(path, &before).unwrap();
        assert!(worktree.is_intact());
        fs::rename(path, evil.join("moved")).unwrap();
        std::os::unix::fs::symlink(evil.join("moved"), path).unwrap();
        assert!(!worktree.is_intact(), "{path:?} as a link");
        fs::rename(evil.join("moved"), path).unwrap();
    }
    fs::rename(&worktree.dir, folder.join("data/y")).unwrap();
    assert!(!worktree.is_intact(), "moved");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_branch_brings_and_the_project_has_not_is_new() {
    let (folder, paths, worktree) = project("brought");
    fs::write(worktree.project_dir.join(".gitattributes"), "* filter=lfs\n").unwrap();
    guard::remember(&paths, &worktree.project_dir).unwrap();
    fs::write(worktree.dir.join(".gitattributes"), "* filter=lfs\n*.x filter=evil\n").unwrap();
    for name in ["objects", "refs", "HEAD"] {
        fs::create_dir_all(worktree.dir.join("bare").join(name)).unwrap();
    }
    guard::begin(&paths, &worktree.dir, &worktree.project_dir).unwrap();
    let new = guard::news(&paths, &worktree.dir).unwrap().unwrap();
    let new: Vec<String> = new.keys().map(|finding| format!("{}: {}", finding.path, finding.what)).collect();
    assert_eq!(new, [".gitattributes: filter=evil", "bare: git works in it"]);
    // The file that leads to the repository is clawker's doing, until it leads elsewhere; then it can be put back.
    let link = fs::read(worktree.dir.join(".git")).unwrap();
    fs::write(worktree.dir.join(".git"), "gitdir: bare\n").unwrap();
    assert_eq!(guard::news(&paths, &worktree.dir).unwrap().unwrap().len(), 3);
    guard::set_aside(&paths, &worktree.dir).unwrap();
    assert_eq!(fs::read(worktree.dir.join(".git")).unwrap(), link);
    assert!(guard::news(&paths, &worktree.dir).unwrap().unwrap().is_empty());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn whether_a_worktree_is_dirty_is_asked_without_running_what_is_planted_in_it() {
    let (folder, _, worktree) = project("dirty");
    let (proof, nested) = (folder.join("proof"), worktree.dir.join("nested"));
    let common = share::common(&worktree);
    let host = host::HostGit::new(&worktree.project_dir).unwrap();
    assert!(!host.is_dirty(&worktree, &common).unwrap(), "nothing is new yet");
    fs::create_dir_all(&nested).unwrap();
    git(&nested, &["init", "-q"]);
    git(&nested, &["commit", "-q", "--allow-empty", "-m", "first"]);
    git(&worktree.dir, &["add", "nested"]);
    git(&worktree.dir, &["commit", "-q", "-m", "nested"]);
    let program = format!("touch {} #", proof.display());
    git(&nested, &["config", "core.fsmonitor", &program]);
    git(&worktree.dir, &["status"]);
    assert!(proof.exists(), "positive control: git looks into the nested repository");
    fs::remove_file(&proof).unwrap();
    assert!(!host.is_dirty(&worktree, &common).unwrap());
    // Nor what the main checkout's own configuration was made to say.
    git(&worktree.project_dir, &["config", "core.fsmonitor", &program]);
    git(&worktree.dir, &["status"]);
    assert!(proof.exists(), "positive control");
    fs::remove_file(&proof).unwrap();
    fs::write(worktree.dir.join("new"), "x").unwrap();
    assert!(host.is_dirty(&worktree, &common).unwrap());
    // Nor the repository that a replaced .git leads to.
    fs::write(worktree.dir.join(".git"), "gitdir: nested/.git\n").unwrap();
    git(&worktree.dir, &["status"]);
    assert!(proof.exists(), "positive control");
    fs::remove_file(&proof).unwrap();
    assert!(host.is_dirty(&worktree, &common).unwrap() && !proof.exists());
    fs::remove_dir_all(folder).unwrap();
}
