//! What an agent is lent: git's passwords and the ssh-agent's signatures, for hosts that the policy lists and for no
//! others, each use told; and its own volume, which outlives its container.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clawker_integration::rig::docker::{docker, run_with_input};
use clawker_integration::rig::servers::{SSHD, TOOLS};
use clawker_integration::rig::wait;
use clawker_integration::world::{Said, World};

const PATIENCE: Duration = Duration::from_secs(20);

/// The user's own ssh-agent, with one key in it.
struct Keys {
    child: Child,
    socket: PathBuf,
    public: String,
}

impl Keys {
    fn new(home: &Path) -> Self {
        let ssh = home.join(".ssh");
        fs::create_dir_all(&ssh).unwrap();
        let (key, socket) = (ssh.join("id_ed25519"), home.join("agent.sock"));
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let mut agent = Command::new("ssh-agent");
        let child = agent.arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        assert!(wait(PATIENCE, || socket.exists()), "the user's ssh-agent listens");
        let mut add = Command::new("ssh-add");
        assert!(add.arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket).status().unwrap().success());
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        // Only the agent has it from now on.
        fs::remove_file(key).unwrap();
        Self { child, socket, public }
    }

    fn count(&self) -> usize {
        let list = Command::new("ssh-add").arg("-L").env("SSH_AUTH_SOCK", &self.socket).output().unwrap();
        String::from_utf8(list.stdout).unwrap().lines().filter(|line| line.starts_with("ssh-")).count()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_project(world: &World, more: &str) {
    let rules =
        "- {dst: git-a.test, proto: ssh}\n      - {dst: git-b.test, proto: ssh}\n      - {dst: web.test}";
    let ca = world.rig.ca_pem_path();
    let text = format!(
        "project: demo\nsecurity:\n  extra_ca: [{}]\n{more}  firewall:\n    rules:\n      {rules}\n",
        ca.display()
    );
    world.sandbox.write_project_file(&text).unwrap();
}

fn run(world: &World, keys: Option<&Keys>, more: &[&str]) -> Said {
    let arguments =
        [&["run", "--agent", "dev", "--image", TOOLS, "--detach"], more, &["--", "sleep", "3600"]];
    let mut command = world.sandbox.command(&arguments.concat());
    command.env_remove("SSH_AUTH_SOCK");
    if let Some(keys) = keys {
        command.env("SSH_AUTH_SOCK", &keys.socket);
    }
    command.output().unwrap().into()
}

fn as_agent(world: &World, script: &str) -> Said {
    world.clawker(&["exec", "--agent", "dev", "--", "timeout", "40", "bash", "-c", script]).unwrap()
}

fn log(world: &World) -> String {
    world.must(&["firewall", "log", "--agent", "dev"]).unwrap()
}

#[test]
fn ssh_signs_in_where_the_policy_and_the_user_know_the_host_and_does_nothing_else() {
    let mut world = World::new("lentssh").unwrap();
    let home = world.sandbox.home();
    let keys = Keys::new(&home);
    let names = ["git-a.test", "git-b.test", "git-c.test"];
    let mut known = String::new();
    for (name, last) in names.iter().zip(20..) {
        let server = world.rig.server(name, last, 22, SSHD).unwrap();
        let put = "cat >/home/dev/.ssh/authorized_keys; chown dev: /home/dev/.ssh/authorized_keys";
        run_with_input("docker", &["exec", "-i", &server, "sh", "-c", put], keys.public.as_bytes()).unwrap();
        let key = docker(&["exec", &server, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).unwrap();
        // The user has never been at b.
        if *name != "git-b.test" {
            known.push_str(&format!("{name} {key}\n"));
        }
    }
    let file = home.join(".ssh/known_hosts");
    fs::write(&file, known).unwrap();
    assert!(Command::new("ssh-keygen").args(["-q", "-H", "-f"]).arg(&file).status().unwrap().success());
    fs::remove_file(file.with_extension("old")).unwrap();

    write_project(&world, "  git_credentials: {forward_ssh: true}\n");
    let said = run(&world, Some(&keys), &[]);
    assert!(said.code != 0 && said.err.contains("sign in with your ssh keys"), "it is asked about: {said:?}");
    let said = run(&world, Some(&keys), &["--yes"]);
    assert!(said.code == 0 && said.err.contains("is lent your ssh-agent"), "{said:?}");

    let clone = |name: &str| {
        format!("cd $(mktemp -d) && git clone -q ssh://dev@{name}/home/dev/repo.git r && cat r/README")
    };
    let said = as_agent(&world, &clone("git-a.test"));
    assert_eq!((said.code, said.out.as_str()), (0, "this is git-a.test"), "{said:?}");
    assert!(log(&world).contains("git-a.test:22"), "{}", log(&world));

    // A key whose host the user never met signs nothing, whatever the agent's ssh accepts.
    let open = "ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
    let said = as_agent(&world, &format!("{open} dev@git-b.test hostname"));
    assert!(said.code == 255 && said.err.contains("Permission denied"), "{said:?}");
    // Nor one that the policy does not list, while the firewall is off.
    world.must(&["firewall", "disable", "--agent", "dev"]).unwrap();
    let said = as_agent(&world, &format!("{open} dev@git-c.test hostname"));
    assert!(said.code == 255 && said.err.contains("Permission denied"), "{said:?}");
    // Nothing but a sign-in is signed, and nothing is changed.
    let said = as_agent(
        &world,
        "cd $(mktemp -d) && ssh-add -L >key.pub && echo text >text && ssh-keygen -Y sign -n git -f key.pub text",
    );
    assert!(said.code != 0 && !said.out.contains("SIGNATURE"), "{said:?}");
    let said = as_agent(
        &world,
        "ssh-add -D; ssh-keygen -q -t ed25519 -N '' -f ~/k; ssh-add ~/k; ssh-add -x </dev/null; ssh-add -l",
    );
    assert_eq!(said.out.lines().filter(|line| line.contains("ED25519")).count(), 1, "{said:?}");
    assert_eq!(keys.count(), 1, "the user's agent is as it was");
    // Passed on to a host that is listed, it serves nobody there.
    let said =
        as_agent(&world, &format!("{open} -A dev@git-a.test 'echo there; {open} dev@git-a.test hostname'"));
    assert!(said.code != 0 && said.out == "there", "{said:?}");
    world.must(&["firewall", "enable", "--agent", "dev"]).unwrap();

    // Positive control: what was refused works once it is listed, or known.
    world.must(&["firewall", "add", "git-c.test", "--proto", "ssh"]).unwrap();
    assert!(wait(PATIENCE, || as_agent(&world, "cat /run/clawker-lent/known_hosts")
        .out
        .contains("git-c.test")));
    assert_eq!(as_agent(&world, &clone("git-c.test")).out, "this is git-c.test");
    let denied = log(&world);
    for why in ["no host is named", "does not list"] {
        assert!(denied.contains(why), "{why}: {denied}");
    }

    // The helper goes with the container, and comes with it.
    let helper = format!("lend\0{}", id(&world));
    assert_eq!(running(&helper), 1);
    world.must(&["stop", "dev"]).unwrap();
    assert!(wait(PATIENCE, || running(&helper) == 0), "the helper ends with the container");
    let mut start = world.sandbox.command(&["start", "dev"]);
    assert!(start.env("SSH_AUTH_SOCK", &keys.socket).status().unwrap().success());
    assert_eq!(as_agent(&world, &clone("git-a.test")).out, "this is git-a.test");
    world.must(&["rm", "-f", "dev"]).unwrap();
    assert!(wait(PATIENCE, || running(&helper) == 0));
}

fn id(world: &World) -> String {
    let container = world.sandbox.agent_container("dev");
    docker(&["inspect", "--format", "{{index .Config.Labels \"clawker.id\"}}", &container]).unwrap()
}

/// Processes whose command line holds this.
fn running(what: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(what)).count()
}

#[test]
fn git_has_passwords_for_listed_hosts_and_the_user_s_name_and_stores_nothing() {
    let world = World::new("lenthttps").unwrap();
    let home = world.sandbox.home();
    let store = home.join(".git-credentials");
    let saved = "https://ada:one@web.test\nhttps://ada:two@other.test\nhttps://ada:three@web.test:8443\n";
    fs::write(&store, saved).unwrap();
    fs::set_permissions(&store, Permissions::from_mode(0o600)).unwrap();
    fs::write(
        home.join(".gitconfig"),
        "[user]\n\tname = Ada L\n\temail = ada@example.test\n[credential]\n\thelper = store\n[alias]\n\tx = !id\n",
    )
    .unwrap();
    let fill = |of: &str| {
        let ask =
            format!("printf 'protocol=https\\nhost={of}\\n\\n' | GIT_TERMINAL_PROMPT=0 git credential fill");
        as_agent(&world, &ask)
    };

    // Off by default, but for the name.
    write_project(&world, "");
    assert_eq!(run(&world, None, &["--yes"]).code, 0);
    let said = as_agent(&world, "git config user.name; git config user.email; git config alias.x");
    assert_eq!(said.out, "Ada L\nada@example.test", "{said:?}");
    assert!(!fill("web.test").out.contains("password"));
    world.must(&["rm", "-f", "dev"]).unwrap();

    write_project(&world, "  git_credentials: {forward_https: true}\n");
    let said = run(&world, None, &[]);
    assert!(said.code != 0 && said.err.contains("your passwords and tokens"), "{said:?}");
    let said = run(&world, None, &["--yes"]);
    assert!(said.code == 0 && said.err.contains("is lent your git credentials"), "{said:?}");
    assert!(fill("web.test").out.contains("password=one"), "{:?}", fill("web.test"));
    for other in ["other.test", "web.test:8443", "api.anthropic.com"] {
        let said = fill(other);
        assert!(said.code != 0 && !said.out.contains("password="), "{other}: {said:?}");
    }
    let approve = "printf 'protocol=https\\nhost=web.test\\nusername=ada\\npassword=evil\\n\\n' | git credential approve";
    let reject =
        "printf 'protocol=https\\nhost=web.test\\nusername=ada\\npassword=one\\n\\n' | git credential reject";
    assert_eq!(as_agent(&world, &format!("{approve}; {reject}")).code, 0);
    assert_eq!(fs::read_to_string(&store).unwrap(), saved, "nothing is stored or erased");
    let log = log(&world);
    assert!(log.contains("web.test:443") && log.contains("other.test:443"), "{log}");
    // Positive control: once it is listed.
    world.must(&["firewall", "add", "other.test"]).unwrap();
    assert!(fill("other.test").out.contains("password=two"));

    // What is its own outlives the container, and goes when that is asked for.
    let keep = "mkdir -p $CLAUDE_CONFIG_DIR && echo token >$CLAUDE_CONFIG_DIR/x && echo ls >$HISTFILE";
    assert_eq!(as_agent(&world, keep).code, 0, "{:?}", as_agent(&world, keep));
    world.must(&["rm", "-f", "dev"]).unwrap();
    assert_eq!(run(&world, None, &["--yes"]).code, 0);
    assert_eq!(as_agent(&world, "cat $CLAUDE_CONFIG_DIR/x $HISTFILE").out, "token\nls");
}
