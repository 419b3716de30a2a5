//! What of an image is asked about, what its hash heeds, and what of the builder's words is told.

use std::path::PathBuf;

use super::engine::{Heard, reason};
use super::*;
use crate::config;

struct Folder(Paths, PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("clawker-build-{name}-{}", std::process::id()));
        let paths = Paths {
            state: root.join("state"),
            config: root.join("config"),
            cache: root.join("cache"),
            instance: None,
        };
        std::fs::create_dir_all(root.join("project/sub")).unwrap();
        std::fs::create_dir_all(&paths.config).unwrap();
        Self(paths, root)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.1.join("project").join(name), text).unwrap();
    }

    fn loaded(&self) -> Loaded {
        config::load(&self.1.join("project"), &self.0).unwrap()
    }

    fn asked(&self) -> Result<Vec<Asked>, String> {
        let loaded = self.loaded();
        let sources = Sources::read(&loaded).map_err(|error| crate::exit::chain(&error))?;
        Ok(wanted(&loaded, &sources))
    }

    fn lines(&self, old: &[Asked]) -> Vec<String> {
        widening(old, &self.asked().unwrap())
    }

    /// The hash of all that its image is made of.
    fn hash(&self, base: &str, args: &[(&str, &str)]) -> String {
        let loaded = self.loaded();
        let sources = Sources::read(&loaded).unwrap();
        let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        hash(&sources.recipe(&loaded, "alpine").unwrap(), base, &args, &sources)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

const FULL: &str = "build:
  image: alpine
  packages: [jq]
  instructions:
    args: {VERSION: '1'}
    labels: {team: us}
    env: {A: b}
    copy: [{src: tool, dest: /opt/}, {src: sub, dest: /sub, chown: '1001'}]
    root_run: [\"echo a\\nid\", echo b]
    user_run: [echo c]
";

#[test]
fn each_step_is_asked_about_and_files_by_what_they_hold() {
    let folder = Folder::new("asked");
    folder.write("tool", "1");
    folder.write("sub/file", "1");
    folder.write(config::FILE, FULL);
    let old = folder.asked().unwrap();
    let lines = folder.lines(&[]);
    let short = |line: &str| line.split(" (content").next().unwrap().to_owned();
    let plain: Vec<String> = lines.iter().map(|line| short(line)).collect();
    assert_eq!(
        plain,
        [
            "+ base image alpine",
            "+ build argument VERSION=1",
            "+ label team=us",
            "+ variable of the image A=b",
            "+ package jq",
            "+ copy tool into the image as /opt/tool, owned by root",
            "+ copy sub into the image as /sub, owned by 1001",
            "+ run in the build as root: echo a\\nid",
            "+ run in the build as root: echo b",
            "+ run in the build as the agent: echo c",
        ]
    );
    assert_eq!(folder.lines(&old), Vec::<String>::new());
    folder.write("sub/file", "2");
    let changed = folder.lines(&old);
    assert!(
        changed.len() == 1 && changed[0].contains("copy sub") && changed[0].contains("changed"),
        "{changed:?}"
    );
    folder.write("sub/file", "1");
    folder.write(config::FILE, &FULL.replace("echo b", "").replace(", ]", "]"));
    assert_eq!(folder.lines(&old), ["- run in the build as root: echo b"]);
    folder.write(config::FILE, &FULL.replace("[\"echo a\\nid\", echo b]", "[echo b, \"echo a\\nid\"]"));
    assert_eq!(folder.lines(&old), ["+ the steps of the build in another order, or more often"]);
    folder.write(config::FILE, &FULL.replace("[jq]", "[]"));
    assert_eq!(folder.lines(&old), Vec::<String>::new(), "narrowing");
    folder.write(config::FILE, "");
    assert_eq!(folder.lines(&old), Vec::<String>::new(), "no build at all");
}

#[test]
fn the_user_s_own_values_are_not_asked_about_but_what_the_project_puts_into_them_is() {
    let folder = Folder::new("user");
    folder.write("tool", "1");
    std::fs::write(folder.0.config.join("Own"), "FROM alpine\n").unwrap();
    let settings = "build: {dockerfile: Own, packages: [jq], instructions: {copy: [{src: tool, dest: /t}], root_run: [sh /t]}}\n";
    std::fs::write(folder.0.config.join(config::SETTINGS), settings).unwrap();
    let asked = folder.asked().unwrap();
    assert!(asked.len() == 1 && asked[0].what.starts_with("copy tool"), "{asked:?}");
    folder.write("tool", "2");
    assert!(folder.lines(&asked)[0].contains("changed"));
    // The nearer file's are.
    folder.write(config::FILE, "build: {packages: [git]}\n");
    assert!(folder.lines(&asked).contains(&"+ package git".to_owned()));
}

#[test]
fn only_files_of_the_project_are_read() {
    let folder = Folder::new("inside");
    std::fs::write(folder.1.join("secret"), "s3cret").unwrap();
    std::os::unix::fs::symlink("../secret", folder.1.join("project/link")).unwrap();
    std::os::unix::fs::symlink("..", folder.1.join("project/out")).unwrap();
    std::os::unix::fs::symlink("../../secret", folder.1.join("project/sub/link")).unwrap();
    let absolute = folder.1.join("secret").display().to_string();
    for src in
        ["../secret", absolute.as_str(), "link", "out/secret", "out", "sub/../../secret", "", "missing"]
    {
        folder.write(
            config::FILE,
            &format!("build: {{image: a, instructions: {{copy: [{{src: '{src}', dest: /a}}]}}}}\n"),
        );
        let error = folder.asked().unwrap_err();
        assert!(error.contains("build.instructions.copy[0]"), "{src:?}: {error}");
        folder.write(config::FILE, &format!("build: {{dockerfile: '{src}'}}\n"));
        assert!(folder.asked().unwrap_err().contains("build.dockerfile"), "{src:?}");
    }
    // In a folder a link stays one.
    folder.write(
        config::FILE,
        "build: {image: a, instructions: {copy: [{src: sub, dest: /a}, {src: ., dest: /b}]}}\n",
    );
    let sources = Sources::read(&folder.loaded()).unwrap();
    let context = sources.context("FROM a\n").unwrap();
    assert!(!String::from_utf8_lossy(&context).contains("s3cret"));
    assert!(String::from_utf8_lossy(&context).contains("../../secret"), "positive control");
}

#[test]
fn the_hash_heeds_all_that_goes_in_and_nothing_else() {
    let folder = Folder::new("hash");
    folder.write("tool", "1");
    folder.write("sub/file", "1");
    folder.write(config::FILE, FULL);
    let first = folder.hash("id", &[]);
    // A fresh clone, and what isn't copied.
    let old = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::open(folder.1.join("project/tool")).unwrap().set_modified(old).unwrap();
    folder.write("other", "1");
    assert_eq!(folder.hash("id", &[]), first);
    let mut seen = vec![first, folder.hash("id2", &[]), folder.hash("id", &[("VERSION", "2")])];
    folder.write("tool", "2");
    seen.push(folder.hash("id", &[]));
    folder.write("sub/file2", "");
    seen.push(folder.hash("id", &[]));
    folder.write(config::FILE, &FULL.replace("echo c", "echo d"));
    seen.push(folder.hash("id", &[]));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[test]
fn a_dockerfile_of_the_project_s_own_finds_what_copy_names() {
    let folder = Folder::new("own");
    folder.write("sub/file", "1");
    folder.write("Dockerfile", "FROM alpine\nCOPY sub/file /x\n");
    folder.write(
        config::FILE,
        "build: {dockerfile: Dockerfile, instructions: {copy: [{src: sub, dest: /s}]}}\n",
    );
    let sources = Sources::read(&folder.loaded()).unwrap();
    let context = sources.context("FROM alpine\n").unwrap();
    let mut archive = tar::Archive::new(context.as_slice());
    let names: Vec<String> =
        archive.entries().unwrap().map(|one| one.unwrap().path().unwrap().display().to_string()).collect();
    let names: Vec<&str> =
        names.iter().map(|name| name.trim_start_matches("./").trim_end_matches('/')).collect();
    assert_eq!(names, ["Dockerfile", "copy/0", "copy/0/file", "sub", "sub/file"]);
    let old = folder.asked().unwrap();
    folder.write("Dockerfile", "FROM alpine\nRUN evil\n");
    assert!(folder.lines(&old)[0].starts_with("+ build from Dockerfile (changed"));
    folder.write(config::FILE, "build: {image: a, dockerfile: Dockerfile}\n");
    assert!(folder.asked().unwrap_err().contains("both"));
}

#[test]
fn a_failed_step_is_told_by_its_key_and_last_lines() {
    let keys = ["build.image", "build", "build.instructions.root_run[0]", "build"].map(str::to_owned);
    let mut heard = Heard::default();
    let mut told = Vec::new();
    heard.put("Step 1/6 : FROM a\n ---> 12\nStep 5/6 : RUN [\"x\"]\n", &keys, |line| {
        told.push(line.to_owned())
    });
    for number in 0..30 {
        heard.put(&format!("line {number}\r"), &keys, |_| ());
        heard.put("\n", &keys, |line| told.push(line.to_owned()));
    }
    assert_eq!(heard.name(&keys), "build.instructions.root_run[0]");
    assert_eq!(heard.tail(), (10..30).map(|number| format!("line {number}")).collect::<Vec<_>>());
    assert_eq!(told.len(), 32);
    assert_eq!(told[1], "Step 5/6: build.instructions.root_run[0]");
    // Before ours come those of the project's own Dockerfile.
    heard.put("Step 2/6 : RUN y\n", &keys, |_| ());
    assert!(heard.name(&keys).contains("the Dockerfile's RUN y"));
    assert_eq!(reason("The command '/bin/sh -c x' returned a non-zero code: 7"), "failed with exit code 7");
}

#[test]
fn every_project_s_name_makes_an_image_s() {
    for (project, image) in [("a", "clawker-a"), ("a__-b_", "clawker-a-b"), ("0-x", "clawker-0-x")] {
        assert_eq!(repository(project), image);
    }
}
