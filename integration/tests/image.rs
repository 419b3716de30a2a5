//! A project's own image: asked about, built once, and what agents run in. Its steps need no network.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use clawker_integration::rig::docker::docker;
use clawker_integration::world::World;

/// The images that this test built, which go with it.
struct Built;

impl Drop for Built {
    fn drop(&mut self) {
        let ids = docker(&["image", "ls", "-q", "clawker-imagetest"]).unwrap_or_default();
        for id in ids.lines() {
            let _ = docker(&["image", "rm", "-f", id]);
        }
    }
}

fn images() -> usize {
    docker(&["image", "ls", "-q", "clawker-imagetest"]).unwrap().lines().count()
}

fn file(root_run: &str) -> String {
    format!(
        "project: imagetest
agent:
  command: [sh, -c, 'cat /etc/built /opt/tool ~/made; id -u']
build:
  instructions:
    args: {{WHO: world}}
    copy: [{{src: tool, dest: /opt/}}]
    root_run: [\"{root_run}\"]
    user_run: ['id -u > ~/made']
"
    )
}

#[test]
fn a_project_s_image_is_asked_about_built_once_and_run() {
    let world = World::new("image").unwrap();
    let _built = Built;
    let tool = world.project().join("tool");
    fs::write(&tool, "one\n").unwrap();
    world.write_project_file(&file("echo $WHO > /etc/built")).unwrap();

    let printed = world.must(&["build", "--print"]).unwrap();
    assert!(printed.starts_with("FROM ") && printed.contains("\nARG WHO=\"world\"\n"), "{printed}");

    // Nothing is built before the answer, neither by build nor by run, nor by what attacks a twin.
    for args in [&["build"][..], &["run", "--detach"]] {
        let said = world.clawker(args).unwrap();
        assert!(said.code != 0 && said.err.contains("+ run in the build as root: echo $WHO"), "{said:?}");
        assert!(said.err.contains("+ copy tool into the image"), "{said:?}");
    }
    let said = world.clawker(&["prove"]).unwrap();
    assert!(said.code != 0 && said.err.contains("not accepted"), "{said:?}");
    assert_eq!(images(), 0);

    // Another agent than Claude, by its command alone.
    let said = world.clawker(&["run", "--rm", "--yes"]).unwrap();
    let uid = said.out.lines().last().unwrap_or_default().to_owned();
    assert_eq!(said.out, format!("world\none\n1001\n{uid}"), "{said:?}");
    assert_eq!(images(), 1);

    let first = world.must(&["build", "--json"]).unwrap();
    assert!(first.contains("\"built\":false") && first.contains("\"clawker-imagetest:"), "{first}");
    assert_eq!(images(), 1, "the same is built once");

    // A file that the agent changed is another image, which nobody accepted.
    fs::write(&tool, "two\n").unwrap();
    let said = world.clawker(&["run", "--detach"]).unwrap();
    assert!(said.code != 0 && said.err.contains("(changed"), "{said:?}");
    assert_eq!(images(), 1);
    let said = world.clawker(&["run", "--rm", "--yes"]).unwrap();
    assert!(said.out.starts_with("world\ntwo\n"), "{said:?}");
    assert_eq!(images(), 2);

    let other = world.must(&["build", "--build-arg", "WHO=you", "-t", "clawker-imagetest:other"]).unwrap();
    assert!(other.starts_with("clawker-imagetest:"), "{other}");
    let said = world.clawker(&["run", "--rm", "--yes", "--image", "clawker-imagetest:other"]).unwrap();
    assert!(said.out.starts_with("you\ntwo\n"), "{said:?}");
    let said = world.clawker(&["build", "--build-arg", "NOBODY=you"]).unwrap();
    assert!(said.code == 1 && said.err.contains("NOBODY"), "{said:?}");
}

#[test]
fn a_step_that_fails_is_shown_last_with_what_it_said() {
    let world = World::new("imgfail").unwrap();
    let _built = Built;
    fs::write(world.project().join("tool"), "one\n").unwrap();
    world.write_project_file(&file("for i in $(seq 40); do echo line $i; done; exit 7")).unwrap();
    for args in [&["build", "--yes", "--quiet"][..], &["run", "--detach", "--quiet"]] {
        let said = world.clawker(args).unwrap();
        let lines: Vec<&str> = said.err.lines().collect();
        let shown: Vec<String> = (21..=40).map(|number| format!("clawker:   line {number}")).collect();
        let (last, before) = lines.split_last().unwrap();
        assert!(said.code != 0, "{said:?}");
        assert!(last.contains("build.instructions.root_run[0] failed with exit code 7"), "{said:?}");
        assert!(before.ends_with(&shown.iter().map(String::as_str).collect::<Vec<_>>()), "{said:?}");
    }
    assert_eq!(images(), 0);
}

#[test]
fn a_dockerfile_of_the_project_s_own_is_asked_about_by_what_it_says() {
    let world = World::new("imgown").unwrap();
    let _built = Built;
    let base = world.must(&["build", "--yes"]).unwrap();
    let dockerfile = world.project().join("Dockerfile");
    fs::create_dir_all(world.project().join("sub")).unwrap();
    fs::write(world.project().join("sub/file"), "F\n").unwrap();
    fs::write(&dockerfile, format!("FROM {base}\nCOPY sub/file /etc/own\n")).unwrap();
    world
        .write_project_file(
            "project: imagetest\nbuild:\n  dockerfile: Dockerfile\n  instructions:\n    copy: [{src: sub, dest: /etc/sub}]\n",
        )
        .unwrap();
    let said = world.clawker(&["build"]).unwrap();
    assert!(said.code == 1 && said.err.contains("+ build from Dockerfile (content"), "{said:?}");
    let said = world.clawker(&["run", "--rm", "--yes", "--", "cat", "/etc/own", "/etc/sub/file"]).unwrap();
    assert_eq!(said.out, "F\nF", "{said:?}");
    fs::write(&dockerfile, format!("FROM {base}\nRUN id\n")).unwrap();
    let said = world.clawker(&["build"]).unwrap();
    assert!(said.code == 1 && said.err.contains("+ build from Dockerfile (changed"), "{said:?}");
}
