//! The draft for projects of every kind, on a machine of the tests' own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clawker_protocol::names::Name;

use super::{Draft, DraftError, Host, Language, Wishes, ignore_file, yaml};
use crate::config::{self, ProjectConfig};

#[derive(Default)]
struct Fake {
    home: PathBuf,
    programs: BTreeMap<&'static str, String>,
    variables: BTreeMap<&'static str, &'static str>,
}

impl Host for Fake {
    fn program(&self, name: &str, _args: &[&str]) -> Option<String> {
        self.programs.get(name).cloned()
    }
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }
    fn home(&self) -> Option<PathBuf> {
        Some(self.home.clone())
    }
}

/// A folder that goes away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("clawker-starter-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        for (file, text) in files {
            let file = dir.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn draft(dir: &Path, wishes: &Wishes, host: &Fake) -> Draft {
    let draft = Draft::of(dir, Name::new("app").unwrap(), wishes, host).unwrap();
    draft.check().unwrap();
    let text = yaml(&draft);
    let read: ProjectConfig = config::parse(Path::new(".clawker.yaml"), &text).unwrap_or_else(|error| {
        panic!("{error}\n{text}");
    });
    let firewall = &read.security.firewall;
    assert_eq!(firewall.add_domains.len() + firewall.rules.len(), draft.lines.len(), "{text}");
    draft
}

/// `host`, `proto host`, `proto host:port`.
fn rules(draft: &Draft) -> Vec<String> {
    let one = |line: &super::Line| {
        let proto = line.rule.proto.as_ref().map(|proto| format!("{proto} ")).unwrap_or_default();
        let port = line.rule.port.map(|port| format!(":{}", port.0.first())).unwrap_or_default();
        format!("{proto}{}{port}", line.rule.dst)
    };
    let mut rules: Vec<_> = draft.lines.iter().map(one).collect();
    rules.sort();
    rules
}

fn of(name: &str, files: &[(&str, &str)], host: Fake) -> Vec<String> {
    let folder = Folder::new(name, files);
    let host = Fake { home: folder.0.join("home"), ..host };
    let draft = draft(&folder.0.join("app"), &Wishes::default(), &host);
    rules(&draft)
}

#[test]
fn without_its_program_a_language_has_its_public_default() {
    for (file, expected) in [
        ("app/package.json", vec!["registry.npmjs.org"]),
        ("app/requirements.txt", vec!["files.pythonhosted.org", "pypi.org"]),
        ("app/Cargo.toml", vec!["index.crates.io", "static.crates.io"]),
        ("app/go.mod", vec!["proxy.golang.org", "sum.golang.org"]),
        ("app/Gemfile", vec!["index.rubygems.org", "rubygems.org"]),
        ("app/pom.xml", vec!["repo.maven.apache.org"]),
        ("app/composer.json", vec!["api.github.com", "codeload.github.com", "repo.packagist.org"]),
        ("app/App.csproj", vec!["api.nuget.org"]),
        ("app/mix.exs", vec!["builds.hex.pm", "repo.hex.pm"]),
        ("app/pubspec.yaml", vec!["pub.dev"]),
        ("app/packages/inner/x", vec![]),
        ("app/web/package.json", vec!["registry.npmjs.org"]),
        ("app/node_modules/package.json", vec![]),
    ] {
        assert_eq!(of("default", &[(file, "")], Fake::default()), expected, "{file}");
    }
}

#[test]
fn npm_says_where_it_and_its_scopes_go_and_the_project_says_it_first() {
    let asked = r#"{"registry":"https://me:s3cret@npm.corp.example:8443/x/","@a:registry":"http://plain.example:4873/",
        "//npm.corp.example/:_authToken":"s3cret","email":"https://no.example"}"#;
    let npm = || Fake { programs: [("npm", asked.to_owned())].into(), ..Fake::default() };
    let expected = ["http plain.example:4873", "npm.corp.example:8443"];
    assert_eq!(of("npm", &[("app/package.json", "")], npm()), expected);
    let npmrc =
        "registry = https://of.project.example/\n@b:registry=\"https://b.example\"\n//x/:_authToken=${T}\n";
    let files = [("app/package.json", ""), ("app/.npmrc", npmrc)];
    assert_eq!(of("npmrc", &files, npm()), ["b.example", "http plain.example:4873", "of.project.example"]);
    let yarn = [
        ("app/package.json", ""),
        ("app/.yarnrc.yml", "yarnPath: x\nnpmRegistryServer: \"https://y.example\"\n"),
    ];
    assert_eq!(of("yarn", &yarn, Fake::default()), ["registry.npmjs.org", "y.example"]);
}

#[test]
fn pip_takes_the_index_that_counts_and_every_extra_one() {
    let asked = "global.index-url='https://global.example/simple'\n\
        :env:.index-url='https://u:s3cret@env.example:444/simple'\n\
        global.extra-index-url='https://one.example/\\nhttp://two.example/'\nglobal.timeout='60'\n";
    let pip = Fake { programs: [("pip3", asked.to_owned())].into(), ..Fake::default() };
    let files = [("app/requirements.txt", "x\n--extra-index-url https://extra.example/simple\n")];
    assert_eq!(
        of("pip", &files, pip),
        ["env.example:444", "extra.example", "http two.example", "one.example"]
    );
    let toml = "[[tool.uv.index]]\nname='a'\nurl='https://uv.example/simple'\ndefault=true\n";
    assert_eq!(of("uv", &[("app/pyproject.toml", toml)], Fake::default()), ["uv.example"]);
    let variable =
        Fake { variables: [("PIP_INDEX_URL", "https://pypi.org/simple")].into(), ..Fake::default() };
    let files = [("app/requirements.txt", "x\n")];
    assert_eq!(of("pypi", &files, variable), ["files.pythonhosted.org", "pypi.org"]);
}

#[test]
fn cargo_follows_what_replaces_crates_io() {
    let config = "[source.crates-io]\nreplace-with='a'\n[source.a]\nreplace-with='b'\n\
        [source.b]\nregistry='sparse+https://u:s3cret@mirror.example:8443/index/'\n\
        [registries.own]\nindex='ssh://git@own.example/index.git'\n";
    let files = [("app/Cargo.toml", ""), ("home/.cargo/config.toml", config)];
    assert_eq!(of("cargo", &files, Fake::default()), ["mirror.example:8443", "ssh own.example"]);
    let vendored = "[source.crates-io]\nreplace-with='v'\n[source.v]\ndirectory='vendor'\n";
    let files =
        [("app/Cargo.toml", ""), ("app/.cargo/config.toml", vendored), ("home/.cargo/config.toml", config)];
    assert_eq!(of("vendored", &files, Fake::default()), ["ssh own.example"], "the nearest counts");
    let circle = "[source.crates-io]\nreplace-with='a'\n[source.a]\nreplace-with='crates-io'\n";
    assert!(
        of("circle", &[("app/Cargo.toml", ""), ("app/.cargo/config", circle)], Fake::default()).is_empty()
    );
}

#[test]
fn go_takes_each_of_its_proxies_and_no_word_for_a_host() {
    let asked = r#"{"GOPROXY":"https://u:p@goproxy.example|http://10.0.0.7:3000,direct","GOSUMDB":"sums.example+ab+cd"}"#;
    let go = Fake { programs: [("go", asked.to_owned())].into(), ..Fake::default() };
    assert_eq!(of("go", &[("app/go.mod", "")], go), ["goproxy.example", "sums.example", "tcp 10.0.0.7:3000"]);
    let asked = r#"{"GOPROXY":"off","GOSUMDB":"off"}"#;
    let go = Fake { programs: [("go", asked.to_owned())].into(), ..Fake::default() };
    assert!(of("go-off", &[("app/go.mod", "")], go).is_empty());
}

#[test]
fn files_of_the_others_are_read() {
    let settings =
        "<mirrors><mirror><mirrorOf>*</mirrorOf><url>https://mvn.example:8443/r</url></mirror></mirrors>";
    let pom = "<project><url>https://no.example</url><repository><url>https://repo.example/r</url></repository></project>";
    let files = [("app/pom.xml", pom), ("home/.m2/settings.xml", settings)];
    assert_eq!(of("maven", &files, Fake::default()), ["mvn.example:8443", "repo.example"]);
    let gradle = "plugins { id 'java' }\nrepositories { maven { url 'https://m.example/x' }\n google() }";
    let wrapper = "distributionUrl=https\\://services.example/gradle.zip\n";
    let files = [("app/build.gradle", gradle), ("app/gradle/wrapper/gradle-wrapper.properties", wrapper)];
    let expected = [
        "dl.google.com",
        "m.example",
        "plugins-artifacts.gradle.org",
        "plugins.gradle.org",
        "repo.maven.apache.org",
        "services.example",
    ];
    assert_eq!(of("gradle", &files, Fake::default()), expected);
    let files = [("app/Gemfile", "source \"https://u:p@gems.example\"\ngem 'x'\n")];
    assert_eq!(of("gem", &files, Fake::default()), ["gems.example"]);
    let composer =
        r#"{"repositories":[{"type":"composer","url":"https://php.example"},{"packagist.org":false}]}"#;
    assert_eq!(of("php", &[("app/composer.json", composer)], Fake::default()), ["php.example"]);
    let nuget = "<configuration><packageSources><clear/><add key=\"a\" value=\"https://nu.example/v3/index.json\" />\
        </packageSources></configuration>";
    assert_eq!(
        of("nuget", &[("app/a.sln", ""), ("app/nuget.config", nuget)], Fake::default()),
        ["nu.example"]
    );
}

#[test]
fn git_goes_where_the_remotes_are_or_where_it_is_told() {
    let folder =
        Folder::new("git", &[(".git/config", ""), ("sub/x", ""), ("tree/.git", "gitdir: ../.git\n")]);
    let host = |remotes: &str| Fake { programs: [("git", remotes.to_owned())].into(), ..Fake::default() };
    let go = |vcs: Option<&str>, ssh: bool, remotes: &str| {
        let wishes = Wishes { vcs: vcs.map(str::to_owned), ssh };
        ["sub", "tree"].map(|sub| rules(&draft(&folder.0.join(sub), &wishes, &host(remotes))))
    };
    let github = "remote.origin.url\ngit@github.com:me/x.git\0";
    let own =
        "remote.up.url\nssh://git@git.example:2222/x\0remote.web.url\nhttps://u:s3cret@git.example:8443/x\0";
    let plain = ["api.github.com", "codeload.github.com", "github.com"];
    for (vcs, ssh, remotes, expected) in [
        (None, false, "", vec![]),
        (None, false, github, plain.to_vec()),
        (None, true, github, [plain.as_slice(), &["ssh github.com"]].concat()),
        (None, true, own, vec!["git.example", "git.example:8443", "ssh git.example:2222"]),
        (Some("gitlab"), true, "", vec!["gitlab.com", "ssh gitlab.com"]),
        (Some("bitbucket"), false, github, vec!["api.bitbucket.org", "bitbucket.org"]),
        (Some("git.example:8443"), true, "", vec!["git.example:8443", "ssh git.example"]),
        (Some("git.example"), true, own, vec!["git.example", "ssh git.example:2222"]),
    ] {
        for rules in go(vcs, ssh, remotes) {
            assert_eq!(rules, expected, "{vcs:?} {ssh} {remotes}");
        }
    }
    let refused = |vcs: Option<&str>, ssh| {
        let wishes = Wishes { vcs: vcs.map(str::to_owned), ssh };
        Draft::of(&folder.0, Name::new("app").unwrap(), &wishes, &host("")).unwrap_err()
    };
    assert_eq!(refused(None, true), DraftError::SshOfNothing);
    assert!(matches!(refused(Some("githup"), false), DraftError::Vcs(_)));
}

#[test]
fn no_password_gets_into_the_file() {
    let npm =
        r#"{"registry":"https://me:s3cret@npm.example/s3cret/?s3cret","@a:registry":"https://s3cret@ a"}"#;
    let pip =
        "global.index-url='https://s3cret:s3cret@pip.example/s3cret/'\nglobal.extra-index-url='s3cret://x'\n";
    let programs = [
        ("npm", npm.to_owned()),
        ("pip3", pip.to_owned()),
        ("git", "remote.o.url\nhttps://s3cret:s3cret@git.example/s3cret\0".to_owned()),
    ];
    let folder = Folder::new("secret", &[("package.json", ""), ("setup.py", ""), (".git/config", "")]);
    let host = Fake { programs: programs.into(), ..Fake::default() };
    let draft = draft(&folder.0, &Wishes::default(), &host);
    let text = yaml(&draft);
    assert!(
        text.contains("npm.example") && text.contains("pip.example") && text.contains("git.example"),
        "{text}"
    );
    assert!(text.contains("its address can't be read") && !text.contains("s3cret"), "{text}");
}

#[test]
fn an_odd_name_is_still_that_name_in_the_file() {
    for name in ["123", "null", "true", "1e3", "app", "0x10"] {
        let folder = Folder::new("odd", &[]);
        let draft =
            Draft::of(&folder.0, Name::new(name).unwrap(), &Wishes::default(), &Fake::default()).unwrap();
        let read: ProjectConfig = config::parse(Path::new(".clawker.yaml"), &yaml(&draft)).unwrap();
        assert_eq!(read.project.as_deref(), Some(name));
    }
}

#[test]
fn secrets_are_ignored_and_what_can_be_made_again_only_on_demand() {
    let text = ignore_file(&[Language::JavaScript, Language::Php]);
    let lines: Vec<_> = text.lines().collect();
    assert!(
        lines.contains(&".env") && lines.contains(&"auth.json") && lines.contains(&"# node_modules/"),
        "{text}"
    );
    assert!(!lines.contains(&"node_modules/"));
}
