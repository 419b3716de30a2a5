//! Which files are found, what they come to together, and what a planted one can't do.

use std::path::PathBuf;

use super::*;

struct Folder(Paths, PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("clawker-config-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let (state, config, cache) =
            (root.join("home/state"), root.join("home/config"), root.join("home/cache"));
        let paths = Paths { state, config, cache, instance: None };
        std::fs::create_dir_all(root.join("home/p/sub/deep")).unwrap();
        std::fs::create_dir_all(&paths.state).unwrap();
        std::fs::create_dir_all(&paths.config).unwrap();
        Self(paths, root.canonicalize().unwrap().join("home"))
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.1.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        file
    }

    fn load(&self, folder: &str) -> Result<Loaded, String> {
        load(&self.1.join(folder), &self.0).map_err(|error| crate::exit::chain(&error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.1.parent().unwrap());
    }
}

#[test]
fn the_nearest_value_wins_and_rules_are_joined() {
    let folder = Folder::new("merge");
    folder.write(
        "config/settings.yaml",
        "agent: {env: {EDITOR: vi, FAR: user}}\nbuild: {image: user:1}\nfirewall: {bypass_default: 1m}\n",
    );
    folder.write(
        "p/.clawker.yaml",
        "project: web\nagent:\n  env: {FAR: root, MODE: far}\n  command: [a, b]\nsecurity:\n  userns: true\n  extra_ca: [ca.pem]\n  \
         firewall:\n    inspect: true\n    add_domains: [a.test, b.test]\n    rules:\n      - {dst: c.test}\n",
    );
    folder.write("p/.clawker.local.yaml", "agent: {env: {MODE: local}}\n");
    folder.write(
        "p/sub/.clawker.yaml",
        "agent: {command: [c]}\nsecurity:\n  userns: false\n  firewall:\n    add_domains: [b.test, d.test]\n    \
         rules:\n      - {dst: c.test, action: deny}\n",
    );
    folder.write("p/sub/.clawker.local.yaml", "security: {extra_ca: [own.pem]}\n");
    let loaded = folder.load("p/sub/deep").unwrap();
    let config = &loaded.config;
    assert_eq!((loaded.project.as_str(), &loaded.dir), ("web", &folder.1.join("p")));
    assert_eq!(loaded.files.len(), 4);
    let env: Vec<_> = config.agent.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["EDITOR=vi", "FAR=root", "MODE=local"]);
    assert_eq!(config.agent.command, ["c"]);
    assert_eq!(config.build.image.as_deref(), Some("user:1"));
    assert_eq!(config.security.extra_ca, [PathBuf::from("sub/own.pem")]);
    assert!(!config.security.userns, "the nearer false");
    assert!(config.security.firewall.inspect, "a nearer file that says nothing");
    let names: Vec<_> = config.security.firewall.add_domains.iter().map(|name| name.value.as_str()).collect();
    assert_eq!(names, ["a.test", "b.test", "d.test"]);
    let places: Vec<_> = config.security.firewall.rules.iter().map(|rule| rule.place(&loaded.dir)).collect();
    assert_eq!(places, [".clawker.yaml:12", "sub/.clawker.yaml:7"]);
    assert_eq!(loaded.origins["agent.env.MODE"], [folder.1.join("p/.clawker.local.yaml")]);
    assert_eq!(loaded.origins["security.firewall.add_domains"].len(), 2);
    // From the root the files below are not seen.
    assert!(folder.load("p").unwrap().config.security.userns);
    folder.write("p/sub/own.pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    let accepted = crate::project::Accepted::wanted(&loaded).unwrap();
    assert_eq!(accepted.rules.len(), 5);
    let dst =
        |rules: &[crate::project::FileRule]| rules.iter().filter(|one| one.rule.dst == "c.test").count();
    assert_eq!(dst(&accepted.rules), 2, "one allows, one denies: the deny decides");
}

#[test]
fn a_planted_file_makes_no_project_out_of_what_lies_above() {
    let folder = Folder::new("root");
    let root =
        |from: &str| folder.load(from).map(|loaded| loaded.dir.strip_prefix(&folder.1).unwrap().to_owned());
    assert_eq!(root("p/sub"), Ok("p/sub".into()), "no file at all");
    folder.write(".clawker.yaml", "security: {userns: true}\n");
    let loaded = folder.load("p/sub").unwrap();
    assert!(!loaded.config.security.userns && loaded.dir.ends_with("p/sub"), "a home folder is no project");
    assert!(loaded.warnings[0].contains("home/.clawker.yaml is not used"), "{:?}", loaded.warnings);
    std::fs::remove_file(folder.1.join(".clawker.yaml")).unwrap();

    folder.write("p/.clawker.yaml", "");
    assert_eq!(root("p/sub/deep"), Ok("p".into()));
    folder.write("p/sub/.clawker.yaml", "");
    assert_eq!(root("p/sub/deep"), Ok("p".into()));
    folder.write("p/sub/.git/HEAD", "");
    assert_eq!(root("p/sub/deep"), Ok("p/sub".into()), "a repository with a file");
    std::fs::remove_dir_all(folder.1.join("p/sub/.git")).unwrap();
    folder.write("p/sub/.clawker.local.yaml", "project: inner\n");
    assert_eq!(root("p/sub/deep"), Ok("p/sub".into()), "a project with a name");
    std::fs::remove_file(folder.1.join("p/sub/.clawker.local.yaml")).unwrap();

    let lock = crate::lock::StateLock::acquire(&folder.0).unwrap();
    let project = crate::project::Project { dir: folder.1.join("p/sub"), ..Default::default() };
    project.save(&folder.0, &lock).unwrap();
    let loaded = folder.load("p/sub/deep").unwrap();
    assert_eq!(loaded.dir, folder.1.join("p/sub"), "what the host remembers does not grow upwards");
    assert!(loaded.warnings[0].contains("p/.clawker.yaml is not used"), "{:?}", loaded.warnings);
    std::fs::remove_file(folder.1.join("p/sub/.clawker.yaml")).unwrap();
    assert_eq!(root("p/sub"), Ok("p/sub".into()), "nor when its file is taken away");
}

#[test]
fn what_is_no_file_is_an_error_and_not_left_out() {
    let folder = Folder::new("no-file");
    folder.write("p/.clawker.yaml", "project: outer\n");
    assert!(folder.load("p/sub").is_ok());
    for name in [FILE, LOCAL] {
        let file = folder.1.join("p/sub").join(name);
        std::os::unix::fs::symlink("/nonexistent/x", &file).unwrap();
        assert!(folder.load("p/sub").is_err(), "a link to nowhere hid in the outer file");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        let message = folder.load("p/sub").map(drop).unwrap_err();
        assert!(message.ends_with("not a file; remove it or write one in its place"), "{message}");
        std::fs::remove_dir(&file).unwrap();
    }
    folder.write("p/sub/.clawker.local.yaml", "securty: {}\n");
    let message = folder.load("p/sub/deep").map(drop).unwrap_err();
    assert!(message.ends_with("p/sub/.clawker.local.yaml:1:1: unknown key securty: did you mean security?"));
}

#[test]
fn an_image_s_parts_come_from_the_nearest_file_and_its_paths_start_there() {
    let folder = Folder::new("build");
    folder.write(
        "config/settings.yaml",
        "build: {image: user:1, instructions: {copy: [{src: mine, dest: /m}], env: {A: user, B: user}}}\n",
    );
    folder.write("p/.clawker.yaml", "project: web\nbuild: {dockerfile: Dockerfile, packages: [jq]}\n");
    let loaded = folder.load("p").unwrap();
    let build = &loaded.config.build;
    assert_eq!((build.image.as_deref(), build.dockerfile.as_deref()), (None, Some(Path::new("Dockerfile"))));
    assert_eq!(build.instructions.copy[0].src, "mine");
    let copy = "build.instructions.copy";
    assert!(loaded.is_of_user(copy) && !loaded.is_of_user("build.dockerfile"));

    folder.write(
        "p/sub/.clawker.yaml",
        "build: {image: near:1, instructions: {copy: [{src: ./tool, dest: /t}], env: {A: near}}}\n",
    );
    let loaded = folder.load("p/sub").unwrap();
    let build = &loaded.config.build;
    assert_eq!((build.image.as_deref(), build.dockerfile.as_deref()), (Some("near:1"), None));
    assert_eq!((build.packages[0].as_str(), build.instructions.copy.len()), ("jq", 1));
    assert_eq!(Path::new(&build.instructions.copy[0].src), Path::new("sub/tool"));
    let env: Vec<_> = build.instructions.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(env, ["A=near", "B=user"]);
    assert!(loaded.is_of_user("build.instructions.env.B") && !loaded.is_of_user("build.instructions.env.A"));
    assert!(!loaded.is_of_user(copy) && !loaded.origins.contains_key("build.dockerfile"));
    folder.write("p/sub/.clawker.yaml", "build: {dockerfile: D}\n");
    let build = folder.load("p/sub").unwrap().config.build;
    assert_eq!(build.dockerfile.as_deref(), Some(Path::new("sub/D")));
}
