use std::os::unix::fs::{PermissionsExt, chown};

use clawker_protocol::names::Name;

use super::*;
use crate::workspace::test_folder;

#[test]
fn root_and_the_agent_change_places_and_everybody_else_stays() {
    assert_eq!(swap(1001), "0 1001 1\n1 1 1000\n1001 0 1\n1002 1002 4294966293\n");
    assert_eq!(swap(1), "0 1 1\n1 0 1\n2 2 4294967293\n");
    assert_eq!(swap(u32::MAX - 1), format!("0 {0} 1\n1 1 {1}\n{0} 0 1\n", u32::MAX - 1, u32::MAX - 2));
}

/// A workspace of root's with a file in it, and an agent for it; `None` where the tests don't run as root.
fn workspace(name: &str) -> Option<(PathBuf, Paths, AgentRecord)> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not tried: only root can mount");
        return None;
    }
    let folder = test_folder(name);
    let (state, project) = (folder.join("state"), folder.join("project"));
    for part in [&state, &project] {
        fs::create_dir_all(part).unwrap();
    }
    fs::write(project.join("file"), "mine").unwrap();
    let paths = Paths { state: state.clone(), config: state.clone(), cache: state, instance: None };
    let run = serde_json::json!({"uid": 1001, "gid": 1001, "command": ["true"], "idmapped": project});
    let record = AgentRecord {
        id: "0123abcd".to_owned(),
        project: Name::new("p").unwrap(),
        project_dir: project,
        agent: Name::new("dev").unwrap(),
        container: String::new(),
        made_as: None,
        was: None,
        secret: String::new(),
        address: std::net::Ipv4Addr::LOCALHOST,
        published: Vec::new(),
        run: serde_json::from_value(run).unwrap(),
        image: String::new(),
        created: 0,
        docker_socket: false,
        worktree: None,
        mounted: Vec::new(),
    };
    Some((folder, paths, record))
}

#[test]
fn one_holder_s_end_does_not_wait_for_another_s() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("not tried: only root can mount");
    }
    let (one, two) = (sys::Holder::new().unwrap(), sys::Holder::new().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(one);
        sender.send(())
    });
    receiver.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
    assert!(Path::new(&two.file("ns/user")).exists(), "the other one is still there");
}

fn owner(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

#[test]
fn a_mount_shows_root_s_files_as_the_agent_s_and_is_gone_with_its_last_user() {
    let Some((folder, paths, record)) = workspace("idmap") else { return };
    chown(record.project_dir.join("file"), Some(0), Some(0)).unwrap();
    for other in [1000, 1001] {
        let path = record.project_dir.join(other.to_string());
        fs::write(&path, "").unwrap();
        chown(&path, Some(other), Some(other)).unwrap();
    }
    let one = Placed::place(&paths, &record, true).unwrap().unwrap();
    let two = Placed::place(&paths, &record, false).unwrap().unwrap();
    let at = paths.mounts().join(&record.id);
    assert_eq!([".", "file", "1000", "1001"].map(|name| owner(&at.join(name))), [1001, 1001, 1000, 0]);
    drop(one);
    sweep(&paths);
    assert_eq!(owner(&at.join("file")), 1001, "another uses it still");
    fs::write(at.join("by-root"), "").unwrap();
    assert_eq!(owner(&record.project_dir.join("by-root")), 1001, "root there is nobody's root here");
    drop(two);
    assert!(!at.exists());
    assert_eq!(fs::read(record.project_dir.join("file")).unwrap(), b"mine");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_killed_command_left_is_swept_and_the_workspace_stays() {
    let Some((folder, paths, record)) = workspace("idmap-killed") else { return };
    let at = paths.mounts().join(&record.id);
    let tree = detached(&record.project_dir, (1001, 1001)).unwrap();
    // As a killed command leaves it: mounted, twice even, and nobody holds the lock.
    drop(lock_file(&at));
    fs::create_dir(&at).unwrap();
    move_mount(&tree, c"", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
    let again = detached(&record.project_dir, (1001, 1001)).unwrap();
    move_mount(&again, c"", CWD, &at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
    assert!(at.join("file").exists(), "it is there");
    sweep(&paths);
    assert_eq!(
        fs::read_dir(paths.mounts()).unwrap().count(),
        0,
        "the agent has no record: its lock goes too"
    );
    assert_eq!(fs::read(record.project_dir.join("file")).unwrap(), b"mine");
    fs::remove_dir_all(folder).unwrap();
}

fn lock_file(at: &Path) -> Flock<File> {
    lock(at).unwrap()
}

#[test]
fn a_file_system_that_can_not_and_a_workspace_that_is_not_root_s_any_more_are_refused() {
    let Some((folder, paths, record)) = workspace("idmap-refused") else { return };
    let none: Option<&str> = None;
    nix::mount::mount(none, &record.project_dir, Some("ramfs"), nix::mount::MsFlags::empty(), none).unwrap();
    let told = Placed::place(&paths, &record, true).map(drop);
    umount2(&record.project_dir, MntFlags::MNT_DETACH).unwrap();
    assert!(told.unwrap_err().message.contains("--mode snapshot"));
    drop(Placed::place(&paths, &record, true).unwrap().unwrap());
    chown(&record.project_dir, Some(1000), Some(1000)).unwrap();
    assert!(Placed::place(&paths, &record, true).unwrap_err().message.contains("make it again"));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_program_that_would_run_as_root_keeps_the_agent_from_starting() {
    let Some((folder, paths, record)) = workspace("idmap-set-id") else { return };
    let deep = record.project_dir.join("a/b");
    fs::create_dir_all(&deep).unwrap();
    // A folder's bit is inherited, and runs nothing.
    fs::set_permissions(&deep, PermissionsExt::from_mode(0o2755)).unwrap();
    let file = deep.join("tool\u{1b}");
    fs::write(&file, "").unwrap();
    let place = || Placed::place(&paths, &record, true).map(drop);
    place().unwrap();
    for mode in [0o4755, 0o2755, 0o4644] {
        fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let told = place().unwrap_err().message;
        assert!(told.contains("a/b/tool\\u{1b}"), "{mode:o}: {told}");
    }
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    place().unwrap();
    // VFS_CAP_REVISION_2, effective, CAP_NET_RAW.
    let capabilities = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let create = rustix::fs::XattrFlags::CREATE;
    rustix::fs::lsetxattr(&file, "security.capability", &capabilities, create).unwrap();
    assert!(place().unwrap_err().message.contains("a/b/tool"));
    rustix::fs::lremovexattr(&file, "security.capability").unwrap();
    place().unwrap();
    fs::remove_dir_all(folder).unwrap();
}
