//! What is asked about, and what is not.

use std::path::Path;

use super::*;
use crate::config;
use crate::lock::StateLock;
use crate::paths::Paths;

struct Folder(Paths, PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("clawker-accepted-{name}-{}", std::process::id()));
        let paths = Paths {
            state: root.join("state"),
            config: root.join("config"),
            cache: root.join("cache"),
            instance: None,
        };
        std::fs::create_dir_all(&paths.state).unwrap();
        std::fs::create_dir_all(root.join("project")).unwrap();
        Self(paths, root)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.1.join("project").join(name), text).unwrap();
    }

    fn loaded(&self) -> Loaded {
        config::load(&self.1.join("project"), &self.0).unwrap()
    }

    /// What was asked about, or the error's text.
    fn accept(&self, answer: bool) -> Result<Vec<String>, String> {
        let lock = StateLock::acquire(&self.0).unwrap();
        let mut asked = Vec::new();
        let outcome = accept(&self.project(), &self.loaded(), &mut |widening| {
            asked.extend(widening.lines.clone());
            Ok(answer)
        });
        if let Some(project) = outcome.map_err(|failure| failure.message)? {
            project.save(&self.0, &lock).unwrap();
        }
        Ok(asked)
    }

    fn project(&self) -> Project {
        Project::load(&self.0, &self.loaded().dir).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

const RULES: &str = "security:\n  firewall:\n    add_domains: [a.test, api.anthropic.com]\n    rules:\n      - {dst: .b.test, action: deny}\n";

#[test]
fn only_what_widens_is_asked_about() {
    let folder = Folder::new("asked");
    assert_eq!(folder.accept(false), Ok(vec![]), "no file asks for nothing");
    folder.write(config::FILE, RULES);
    assert!(folder.accept(false).unwrap_err().contains("still is"));
    assert_eq!(folder.project().accepted, Some(Accepted::default()), "a refusal leaves what was");
    assert_eq!(folder.accept(true), Ok(vec!["+ allow tls a.test port 443".to_owned()]));
    assert_eq!(folder.accept(false), Ok(vec![]), "accepted once");
    folder.write(config::FILE, "security: {firewall: {add_domains: [a.test]}}\n");
    assert_eq!(folder.accept(true), Ok(vec!["- deny tls .b.test port 443".to_owned()]), "a deny that goes");
    folder.write(config::FILE, "");
    assert_eq!(folder.accept(false), Ok(vec![]), "narrowing");
    folder.write(config::FILE, "security: {firewall: {upstream_dns: [198.51.100.10]}}\n");
    assert!(folder.accept(false).is_err());
}

#[test]
fn certificates_are_asked_about_by_content() {
    let folder = Folder::new("ca");
    let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
    folder.write("ca.pem", &pem("AAAA"));
    folder.write(config::FILE, "security: {extra_ca: [ca.pem]}\n");
    assert_eq!(folder.accept(true), Ok(vec!["+ trust the certificates of ca.pem".to_owned()]));
    folder.write("ca.pem", &pem("BBBB"));
    assert!(folder.accept(false).is_err());
    let accepted = folder.project().accepted.unwrap();
    assert!(accepted.extra_ca[0].pem.contains("AAAA"), "the accepted text stays");
    folder.write("ca.pem", "-----BEGIN PRIVATE KEY-----\n");
    assert!(folder.accept(true).unwrap_err().contains("private key"));
}

#[test]
fn a_rule_that_can_t_be_enforced_names_its_line_and_changes_nothing() {
    let folder = Folder::new("line");
    for (text, expected) in [
        (
            "security:\n  firewall:\n    rules:\n      - {dst: a.test}\n      - {dst: .b.test, proto: ssh}\n",
            ":5:9: rules: A wildcard",
        ),
        (
            "security:\n  firewall:\n    add_domains:\n      - a b\n",
            ":4:9: add_domains: \"a b\" is not a name",
        ),
        (
            "security:\n  firewall:\n    add_domains:\n      - a.test\n      - A.test.\n",
            ".clawker.yaml:5: a.test:tls:443 is listed at .clawker.yaml:4 already",
        ),
        ("security:\n  firewall:\n    add_domains: [10.0.0.0/8]\n", "takes names"),
    ] {
        folder.write(config::FILE, text);
        let message = folder.accept(true).unwrap_err();
        assert!(message.contains(expected), "{text}: {message}");
    }
    assert!(!Path::new(&folder.0.projects()).exists());
}

#[test]
fn a_file_that_is_planted_below_opens_nothing() {
    let folder = Folder::new("planted");
    folder.write(config::FILE, "security: {firewall: {add_domains: [a.test]}}\n");
    assert_eq!(folder.accept(true), Ok(vec!["+ allow tls a.test port 443".to_owned()]));
    std::fs::create_dir_all(folder.1.join("project/sub")).unwrap();
    let planted = "security: {userns: true, firewall: {add_domains: [evil.test]}}\n";
    for name in [config::LOCAL, "sub/.clawker.yaml", "sub/.clawker.local.yaml"] {
        folder.write(name, planted);
        let loaded = config::load(&folder.1.join("project/sub"), &folder.0).unwrap();
        let mut asked = Vec::new();
        let outcome = accept(&folder.project(), &loaded, &mut |widening| {
            assert!(widening.to_string().contains(name), "{widening}");
            asked.extend(widening.lines.clone());
            Ok(false)
        });
        assert!(outcome.is_err());
        assert_eq!(asked.len(), 2, "{asked:?}");
        assert_eq!(asked[0], "+ allow tls evil.test port 443");
        std::fs::remove_file(folder.1.join("project").join(name)).unwrap();
    }
}

#[test]
fn what_only_the_host_knows_is_asked_about() {
    let folder = Folder::new("secrets");
    let secret = folder.1.join("secret").canonicalize().unwrap_or(folder.1.join("secret"));
    std::fs::write(&secret, "S=1\n").unwrap();
    let secret = secret.canonicalize().unwrap();
    folder.write(config::FILE, "agent: {from_env: [TOKEN], env_file: [.env], env: {A: b}, post_init: ls}\n");
    folder.write(".env", "");
    let asked = folder.accept(true).unwrap();
    assert_eq!(asked[0], "+ give the agent this machine's variable TOKEN");
    assert!(asked[1].ends_with("/project/.env") && asked.len() == 2, "{asked:?}");
    assert_eq!(folder.accept(false), Ok(vec![]));
    // A link in the place of what was accepted is another file.
    std::fs::remove_file(folder.1.join("project/.env")).unwrap();
    std::os::unix::fs::symlink(&secret, folder.1.join("project/.env")).unwrap();
    assert_eq!(
        folder.accept(true),
        Ok(vec![format!("+ give the agent the variables in {}", secret.display())])
    );
    // The user's own settings are not asked about.
    folder.write(config::FILE, "");
    std::fs::create_dir_all(&folder.0.config).unwrap();
    std::fs::write(folder.0.config.join(config::SETTINGS), "agent: {from_env: [OTHER]}\n").unwrap();
    assert_eq!(folder.accept(false), Ok(vec![]));
    assert_eq!(folder.loaded().config.agent.from_env, ["OTHER"]);
}

#[test]
fn a_rule_whose_time_is_up_is_not_there_and_the_next_change_forgets_it() {
    let folder = Folder::new("grants");
    let (lock, now) = (StateLock::acquire(&folder.0).unwrap(), crate::grant::now());
    let rule = |dst: &str, expires| crate::project::CliRule {
        rule: config::RawRule { dst: dst.to_owned(), ..Default::default() },
        agent: None,
        expires,
    };
    let mut project = folder.project();
    project.cli =
        vec![rule("lasting.test", None), rule("over.test", Some(now)), rule("once.test", Some(now + 60_000))];
    project.save(&folder.0, &lock).unwrap();
    let project = folder.project();
    let names: Vec<&str> = project.cli.iter().map(|rule| rule.rule.dst.as_str()).collect();
    assert_eq!(names, ["lasting.test", "once.test"]);
    assert_eq!(project.policy(&folder.loaded().settings, None).unwrap().grants().len(), 1);
    let file = folder.0.projects().join(format!("{}.json", crate::project::id(&project.dir)));
    let stored = || std::fs::read_to_string(&file).unwrap();
    assert!(stored().contains("over.test"));
    project.save(&folder.0, &lock).unwrap();
    assert!(!stored().contains("over.test"));
}
