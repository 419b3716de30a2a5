//! A newer clawker meets agents of an older one: it says so, what both know goes on working, and what the older init does
//! not know is refused in words. The older init is this one with another version and without one operation.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;

use clawker_integration::rig::docker::docker;
use clawker_integration::world::World;

/// Puts bytes of the same length in a place of others, wherever they are.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) -> usize {
    assert_eq!(from.len(), to.len());
    let mut count = 0;
    for at in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            count += 1;
        }
    }
    count
}

/// The init that this clawker gave its agents.
fn init_of(world: &World) -> PathBuf {
    let folder = fs::read_dir(world.state_folder().join("init")).unwrap().next().unwrap().unwrap();
    folder.path().join("clawker-init")
}

#[test]
fn an_agent_of_an_older_release_is_named_and_goes_on_behind_its_rules() {
    let world = World::new("upgrade").unwrap();
    world.agent("dev").unwrap();
    world.must(&["stop", "dev", "-t", "1"]).unwrap();
    // Beside and renamed: the stack runs the old file on, and the container mounts this path when it starts.
    let path = init_of(&world);
    let mut bytes = fs::read(&path).unwrap();
    let ours = env!("CARGO_PKG_VERSION");
    let older = format!("0.0.{}", &ours[4..]);
    assert!(replace(&mut bytes, ours.as_bytes(), older.as_bytes()) > 0, "no version in init");
    assert!(replace(&mut bytes, b"bypass_stop", b"bypass_halt") > 0, "no such operation in init");
    let beside = path.with_extension("older");
    fs::write(&beside, &bytes).unwrap();
    fs::set_permissions(&beside, fs::metadata(&path).unwrap().permissions()).unwrap();
    fs::rename(&beside, &path).unwrap();
    docker(&["start", &world.container("dev")]).unwrap();

    // It is named, wherever one looks, with what renews it.
    let doctor = world.clawker(&["doctor"]).unwrap();
    let told = format!("runs the init of clawker {older}");
    assert!(doctor.out.contains(&told) && doctor.out.contains("clawker run --agent dev"), "{doctor:?}");
    let listed = world.clawker(&["ps"]).unwrap();
    assert!(listed.err.contains(&told), "{listed:?}");

    // What both know works.
    assert_eq!(world.state("dev").unwrap(), "enforcing");
    let refused = world.probe("dev", &["tcp", "198.51.100.133:4444", "older-shut"]).unwrap();
    assert_ne!(refused.code, 0, "{refused:?}");
    world.must(&["firewall", "bypass", "60s", "--agent", "dev", "--detach"]).unwrap();
    world.probe("dev", &["tcp", "198.51.100.133:4444", "older-open"]).unwrap();
    assert!(world.rig.waits_for("older-open", std::time::Duration::from_secs(10)), "positive control");
    assert!(world.rig.saw("older-shut").is_empty());

    // What the older one does not know is refused, and nothing has changed.
    let stop = world.clawker(&["firewall", "bypass", "--stop", "--agent", "dev"]).unwrap();
    assert!(stop.code == 1 && stop.err.contains("bypass_stop") && !stop.err.contains("panicked"), "{stop:?}");
    assert_eq!(world.state("dev").unwrap(), "bypass");
    world.must(&["firewall", "enable", "--agent", "dev"]).unwrap();
    assert_eq!(world.state("dev").unwrap(), "enforcing");
    world.must(&["firewall", "add", "later.example"]).unwrap();
    let why = world.sh("dev", "clawker-init why later.example").unwrap();
    assert!(why.out.contains("later.example: allowed"), "{why:?}");
}
