//! Cloning from a host allowed and pushing to it refused, by one rule: real git on both ends, over HTTPS.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::servers::TOOLS;
use clawker_integration::world::{Said, World};

const HOST: &str = "code.test";
/// A repository that takes pushes, and a certificate of an authority of the server's own.
const SERVER: &str = "\
    mkdir -p /srv/tls /srv/git/me; cd /srv/tls
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=The code host' \
        -keyout ca.key -out ca.pem 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout key.pem -out csr.pem 2>/dev/null
    echo \"subjectAltName=DNS:$1\" >names
    openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out leaf.pem 2>/dev/null
    cd /srv; git config --system safe.directory '*'; git -c init.defaultBranch=main init -q work
    echo 'this is code' >work/README; head -c 3000000 /dev/urandom >work/blob; git -C work add .
    git -C work -c user.name=dev -c user.email=dev@$1 commit -qm first
    git clone -q --bare work git/me/repo.git; git -C git/me/repo.git config http.receivepack true
    printf '%s' \"$PROGRAM\" >server.py; exec python3 server.py /srv/git tls/leaf.pem tls/key.pem";
/// The rule, as the guide has it.
const ALL_BUT_PUSHING: &str =
    "{dst: code.test, path_default: allow, path_rules: [{path: \"~.*/git-receive-pack\", action: deny}]}";

fn write_rule(world: &World, rule: &str) {
    let roots = world.sandbox.project().join("code-ca.pem");
    world
        .sandbox
        .write_project_file(&format!(
            "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    rules:\n      - {rule}\n",
            roots.display()
        ))
        .unwrap();
}

fn git(world: &World, script: &str) -> Said {
    let script = format!("export GIT_TERMINAL_PROMPT=0; set -e; cd /home/dev; {script}");
    world.clawker(&["exec", "--agent", "dev", "--", "timeout", "60", "bash", "-c", &script]).unwrap()
}

/// What the server's repository has at a branch.
fn branch(server: &str, name: &str) -> Option<String> {
    docker(&["exec", server, "git", "-C", "/srv/git/me/repo.git", "rev-parse", "--verify", "-q", name]).ok()
}

#[test]
fn a_host_may_be_cloned_from_and_not_be_pushed_to() {
    let mut world = World::new("push").unwrap();
    let program = include_str!("../tools/git_server.py");
    let script = format!("PROGRAM=$(cat <<'PYTHON'\n{program}\nPYTHON\n)\n{SERVER}");
    let server = world.rig.server(HOST, 30, 443, &script).unwrap();
    let root = docker(&["exec", &server, "cat", "/srv/tls/ca.pem"]).unwrap();
    std::fs::write(world.sandbox.project().join("code-ca.pem"), root + "\n").unwrap();
    write_rule(&world, ALL_BUT_PUSHING);
    world
        .must(&["run", "--agent", "dev", "--image", TOOLS, "--detach", "--yes", "--", "sleep", "3600"])
        .unwrap();

    for version in ["2", "1", "0"] {
        let clone = format!(
            "rm -rf repo; git -c protocol.version={version} clone -q https://{HOST}/me/repo.git repo; cat repo/README"
        );
        let said = git(&world, &clone);
        assert_eq!((said.code, said.out.as_str()), (0, "this is code"), "version {version}: {said:?}");
    }
    // A commit that is larger than what git sends in one piece: the rest of it goes in chunks.
    let commit = "cd repo; git config user.name dev; git config user.email dev@example.com
        head -c 2500000 /dev/urandom >more; echo changed >>README; git add .; git commit -qm second";
    assert_eq!(git(&world, commit).code, 0);
    let before = branch(&server, "main").unwrap();
    for way in [
        "push -q origin HEAD:main",
        "push -q -f origin HEAD:other",
        "push -q origin HEAD~1:refs/heads/small",
        "push -q origin HEAD~1:refs/tags/v1",
        "push -q --atomic origin HEAD:main HEAD:other",
        "-c http.version=HTTP/1.1 push -q origin HEAD:other",
        "-c http.postBuffer=100000000 push -q origin HEAD:other",
        "push -q https://code.test/me/./repo.git HEAD:other",
        "push -q https://code.test//me/repo.git HEAD:other",
        "push -q https://CODE.test./me/repo.git HEAD:other",
    ] {
        let said = git(&world, &format!("cd repo; git {way}"));
        assert_ne!(said.code, 0, "git {way}: {said:?}");
    }
    // Whoever sends hears of the refusal, and not of a stream that broke.
    for _ in 0..10 {
        let said = git(&world, "cd repo; git push origin HEAD:main");
        assert!(said.err.contains("403"), "git says what it met: {said:?}");
        let post = "head -c 65000 /dev/zero | curl -sS -w '%{http_version} %{http_code}' --data-binary @- https://code.test/me/git-receive-pack";
        let said = git(&world, post);
        assert!(said.out.contains("a rule denies this path") && said.out.ends_with("2 403"), "{said:?}");
    }
    assert_eq!(branch(&server, "main"), Some(before.clone()));
    for name in ["other", "small", "v1"] {
        assert_eq!(branch(&server, name), None, "{name}");
    }
    // What is refused is told, with the rule; and fetching goes on.
    let why = world
        .clawker(&["firewall", "why", "code.test/me/repo.git/git-receive-pack", "--method", "POST"])
        .unwrap();
    assert!(why.out.contains("git-receive-pack"), "{why:?}");
    let log = world.must(&["firewall", "log", "--agent", "dev", "--denied"]).unwrap();
    assert!(log.contains("git-receive-pack"), "{log}");
    assert_eq!(git(&world, "cd repo; git fetch -q").code, 0);

    // The control: without that rule the same pushes arrive.
    write_rule(&world, "{dst: code.test, inspect: true}");
    world.must(&["firewall", "reload", "--yes"]).unwrap();
    let said = git(&world, "cd repo; git push -q origin HEAD:main HEAD:other HEAD~1:refs/heads/small");
    assert_eq!(said.code, 0, "{said:?}");
    assert_ne!(branch(&server, "main"), Some(before));
    assert!(branch(&server, "other").is_some() && branch(&server, "small").is_some());
}
