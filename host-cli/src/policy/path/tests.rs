//! Which paths a rule names, in whatever way they are written.

use super::*;

fn paths(default: &str, rules: &[(&str, &str, &str)]) -> Paths {
    let raw: Vec<RawPathRule> = rules
        .iter()
        .map(|(action, path, methods)| RawPathRule {
            path: (*path).to_owned(),
            methods: methods.split(' ').filter(|method| !method.is_empty()).map(str::to_owned).collect(),
            action: Some((*action).to_owned()),
        })
        .collect();
    Paths::parse(Some(&raw), Some(default)).unwrap().unwrap()
}

fn allows(paths: &Paths, method: &str, path: &str) -> bool {
    paths.decide(method, path).action() == Action::Allow
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let paths =
        paths("deny", &[("allow", "/repos", ""), ("allow", "/orgs/", ""), ("deny", "/repos/evil", "")]);
    for (path, expected) in [
        ("/repos", true),
        ("/repos/", true),
        ("/repos/a/b?x=/repos/evil", true),
        ("/reposx", false),
        ("/Repos", false),
        ("/orgs/x", true),
        ("/orgs", false),
        ("/orgsx", false),
        ("/", false),
        ("/repos/evil", false),
        ("/repos/evil/x", false),
        ("/repos/EVIL/x", false),
        ("/repos/evilx", true),
        ("/repos/a?../../gists", true),
    ] {
        assert_eq!(allows(&paths, "GET", path), expected, "{path}");
    }
}

#[test]
fn no_spelling_of_a_path_gets_round_a_rule() {
    let some = paths("deny", &[("allow", "/repos/", "")]);
    let all_but = paths("allow", &[("deny", "/gists", "")]);
    for path in [
        "/repos/../gists",
        "/repos/%2e%2e/gists",
        "/repos/x//../../../gists",
        "/repos/%2E./gists",
        "/repos/..%2fgists",
        "/repos/..%2Fgists",
        "/repos/..%5cgists",
        "/repos/..\\gists",
        "/repos/%252e%252e/gists",
        "/repos/..%252fgists",
        "/repos/..%25252fgists",
        "/repos/..;/gists",
        "/repos/..;x=1/gists",
        "/repos/.%2e;/gists",
        "/repos/x/../../gists",
        "//gists",
        "/./gists",
        "/gists;x",
        "/%67ists",
        "/%2567ists",
        "/GISTS/x",
        "/gi%53ts",
        "/x/..//gists/",
        "/gists%3fx",
        "/gists%23x",
        "/gists/%ff",
        "/gists%00",
        "/%0a/gists",
        "*",
        "gists",
        "http://x/gists",
        "/%25252525252567ists",
    ] {
        assert!(!allows(&some, "GET", path), "only some: {path}");
        assert!(!allows(&all_but, "GET", path), "all but: {path}");
    }
}

#[test]
fn an_escaped_slash_opens_what_its_decoded_form_does() {
    let paths = paths("deny", &[("allow", "/@scope/", ""), ("deny", "/@scope/secret", "")]);
    assert!(allows(&paths, "GET", "/@scope%2fname"));
    assert!(allows(&paths, "GET", "/@scope%2Fname"));
    assert!(allows(&paths, "GET", "/%40scope/name/-/name-1.0.0.tgz"));
    assert!(!allows(&paths, "GET", "/@scope%2fsecret"));
    assert!(!allows(&paths, "GET", "/@other%2fname"));
}

#[test]
fn a_rule_for_methods_says_nothing_of_others() {
    let paths = paths("allow", &[("deny", "~.*/git-receive-pack", "post"), ("deny", "/api", "DELETE PUT")]);
    assert!(allows(&paths, "GET", "/a/b.git/git-receive-pack"));
    assert!(!allows(&paths, "POST", "/a/b.git/git-receive-pack"));
    assert!(!allows(&paths, "POST", "/a/b.git/Git-Receive-Pack"));
    assert!(!allows(&paths, "post", "/a/b.git/git-receive-pack"));
    assert!(allows(&paths, "POST", "/a/b.git/git-upload-pack"));
    assert!(allows(&paths, "GET", "/api/x") && !allows(&paths, "PUT", "/api/x"));
}

#[test]
fn the_longest_part_wins_and_deny_among_equals() {
    let paths = paths(
        "deny",
        &[
            ("allow", "/a", ""),
            ("deny", "/a/b", ""),
            ("allow", "/a/b/c", ""),
            ("deny", "/a/b/c", "POST"),
            ("allow", "~/x/[0-9]+", ""),
            ("deny", "/x", ""),
            ("deny", "/x/7", ""),
            ("deny", "~/x/6+", ""),
        ],
    );
    for (method, path, expected) in [
        ("GET", "/a/z", true),
        ("GET", "/a/b/z", false),
        ("GET", "/a/b/c/d", true),
        ("POST", "/a/b/c/d", false),
        ("GET", "/x/5", true),
        ("GET", "/x/y", false),
        ("GET", "/x/7", false),
        ("GET", "/x/66", false),
        ("GET", "/x/67", true),
    ] {
        assert_eq!(allows(&paths, method, path), expected, "{method} {path}");
    }
}

#[test]
fn what_can_t_be_meant_is_refused() {
    for path in [
        "", "a", "/a*", "/a%2a", "/a?b", "/a/../b", "/a//b", "/a;b", "/a%252fb", "~", "~(", "/a\n", "/%zz%",
        "/a\\b",
    ] {
        let refused = Pattern::parse(path).is_err();
        assert!(refused || path == "/%zz%", "{path:?}");
    }
    let raw =
        |method: &str| RawPathRule { path: "/".to_owned(), methods: vec![method.to_owned()], action: None };
    assert!(Paths::parse(Some(&[raw("GE T")]), None).is_err());
    assert!(Paths::parse(Some(&[raw("")]), None).is_err());
    assert!(Paths::parse(Some(&vec![raw("GET"); MAX_RULES + 1]), None).is_err());
    assert!(Paths::parse(None, Some("yes")).is_err());
}

#[test]
fn two_rules_for_one_name_open_what_either_does_and_a_denied_path_stays_denied() {
    let mut one = paths("allow", &[("deny", "/public/", "")]);
    one.merge(&paths("allow", &[]));
    assert!(!allows(&one, "GET", "/public/x") && allows(&one, "GET", "/x"));
    let mut two = paths("deny", &[("allow", "/a", "")]);
    two.merge(&paths("deny", &[("allow", "/b", "")]));
    assert!(allows(&two, "GET", "/a") && allows(&two, "GET", "/b") && !allows(&two, "GET", "/c"));
    two.merge(&paths("allow", &[]));
    assert!(allows(&two, "GET", "/c") && !two.narrows());
}
