use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::workspace::test_folder;

fn file() -> Node {
    Node::File { hash: [1; 32], len: 1, mode: 0o644 }
}

fn link(target: &str) -> Option<Node> {
    Some(Node::Link(target.into()))
}

#[test]
fn what_the_host_would_run_or_trust_stays_where_it_is() {
    let folder = test_folder("hold");
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::create_dir_all(folder.join("fixture/objects")).unwrap();
    fs::create_dir_all(folder.join("fixture/refs")).unwrap();
    fs::write(folder.join(".clawkerignore"), ".env\nsecrets/\n").unwrap();
    fs::write(folder.join("sub/.clawkerignore"), "*.pem\n!public.pem\n").unwrap();
    let host = Beneath::open(&folder).unwrap();
    let agent: Tree =
        ["bare", "bare/HEAD", "bare/objects", "bare/refs", "bare/config", "bare/hooks/x", "bare/notes"]
            .map(|path| (PathBuf::from(path), file()))
            .into();
    let was_hidden = BTreeSet::from([PathBuf::from("was")]);
    let patterns = ["*.key".to_owned()];
    let mut strict = Holder::new(&host, &agent, &was_hidden, &patterns, false);
    let mut lax = Holder::new(&host, &agent, &was_hidden, &patterns, true);
    let here = Some(file());
    for (path, node, expected, expected_lax) in [
        ("src/main.rs", here.clone(), None, None),
        ("src/gone.rs", None, None, None),
        (".github/x", here.clone(), None, None),
        (".gitignore", here.clone(), None, None),
        (".git", here.clone(), Some(Held::Git), Some(Held::Git)),
        ("sub/.git/hooks/pre-commit", here.clone(), Some(Held::Git), Some(Held::Git)),
        ("sub/.GIT/config", here.clone(), Some(Held::Git), Some(Held::Git)),
        ("sub/.g\u{200c}it/config", here.clone(), Some(Held::Git), Some(Held::Git)),
        ("git~1/config", here.clone(), Some(Held::Git), Some(Held::Git)),
        (".git", None, Some(Held::Git), Some(Held::Git)),
        ("bare/HEAD", here.clone(), Some(Held::Repository), Some(Held::Repository)),
        ("bare/config", here.clone(), Some(Held::Repository), Some(Held::Repository)),
        ("bare/hooks/x", here.clone(), Some(Held::Repository), Some(Held::Repository)),
        ("bare/notes", here.clone(), None, None),
        // What makes the host's own folder one.
        ("fixture/HEAD", here.clone(), None, None),
        ("plain/HEAD", here.clone(), None, None),
        (".clawker.yaml", here.clone(), Some(Held::Config), None),
        ("sub/.clawker.local.yaml", here.clone(), Some(Held::Config), None),
        (".clawkerignore", None, Some(Held::Config), None),
        ("sub/.gitattributes", here.clone(), Some(Held::Config), None),
        (".gitmodules", here.clone(), Some(Held::Config), None),
        (".env", here.clone(), Some(Held::Hidden), Some(Held::Hidden)),
        ("deep/.env", here.clone(), Some(Held::Hidden), Some(Held::Hidden)),
        ("secrets/new", here.clone(), Some(Held::Hidden), Some(Held::Hidden)),
        ("sub/x.pem", here.clone(), Some(Held::Hidden), Some(Held::Hidden)),
        ("sub/public.pem", here.clone(), None, None),
        ("x.pem", here.clone(), None, None),
        ("a.key", here.clone(), Some(Held::Hidden), Some(Held::Hidden)),
        ("was/x", here.clone(), Some(Held::Hidden), Some(Held::Hidden)),
        ("pipe", Some(Node::Other), Some(Held::Special), Some(Held::Special)),
        ("sub/l", link("../src/main.rs"), None, None),
        ("sub/l", link("./x"), None, None),
        ("l", link("/etc/passwd"), Some(Held::LeadsOut), Some(Held::LeadsOut)),
        ("l", link("../x"), Some(Held::LeadsOut), Some(Held::LeadsOut)),
        ("sub/l", link("x/../../y"), Some(Held::LeadsOut), Some(Held::LeadsOut)),
        ("sub/l", link("../.git/config"), Some(Held::LeadsOut), Some(Held::LeadsOut)),
        ("sub/l", link("../secrets"), Some(Held::LeadsOut), Some(Held::LeadsOut)),
        ("sub/l", link("../secrets/key"), Some(Held::LeadsOut), Some(Held::LeadsOut)),
    ] {
        let change = Change { path: path.into(), base: Some(Node::Folder), agent: node };
        assert_eq!(strict.held(&change).unwrap(), expected, "{path} {:?}", change.agent);
        assert_eq!(lax.held(&change).unwrap(), expected_lax, "{path} with config");
    }
    // With the agent's HEAD it is one.
    let agent: Tree = [(PathBuf::from("fixture/HEAD"), file())].into();
    let mut holder = Holder::new(&host, &agent, &was_hidden, &patterns, true);
    assert_eq!(holder.by_name(Path::new("fixture/HEAD"), false).unwrap(), Some(Held::Repository));

    // Patterns that can't be read hide everything rather than nothing.
    fs::remove_file(folder.join(".clawkerignore")).unwrap();
    symlink("/dev/null", folder.join(".clawkerignore")).unwrap();
    let mut holder = Holder::new(&host, &agent, &was_hidden, &patterns, true);
    assert!(holder.by_name(Path::new("x"), false).is_err());
    fs::remove_dir_all(folder).unwrap();
}
