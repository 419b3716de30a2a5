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
