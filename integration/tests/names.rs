//! SSH and TCP true to the name: real OpenSSH and PostgreSQL, two servers of each on one port, and a client that reaches
//! the one that it named. What one rule opens or shuts leaves the others alone.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use clawker_integration::rig::docker::{docker, run_with_input};
use clawker_integration::rig::servers::{SSHD, TOOLS};
use clawker_integration::rig::wait;
use clawker_integration::world::{Said, World};

/// A database of the server's own name.
const POSTGRES: &str = "\
    cd /usr/lib/postgresql/*/bin; data=/tmp/data
    as() { setpriv --reuid postgres --regid postgres --clear-groups \"$@\"; }
    as ./initdb -D $data -A trust --no-sync >/dev/null
    echo 'host all all 0.0.0.0/0 trust' >>$data/pg_hba.conf
    echo \"CREATE DATABASE \\\"$1\\\"\" | as ./postgres --single -D $data postgres >/dev/null
    exec setpriv --reuid postgres --regid postgres --clear-groups ./postgres -D $data -k /tmp -c listen_addresses='*' -c fsync=off";
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

fn world(instance: &str, rules: &[&str]) -> World {
    let world = World::new(instance).unwrap();
    let rules: String = rules.iter().map(|rule| format!("      - {{{rule}}}\n")).collect();
    world
        .sandbox
        .write_project_file(&format!(
            "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    rules:\n{rules}",
            world.rig.ca_pem_path().display()
        ))
        .unwrap();
    world
}

fn agent(world: &World) {
    world
        .must(&["run", "--agent", "dev", "--image", TOOLS, "--detach", "--yes", "--", "sleep", "3600"])
        .unwrap();
}

fn as_agent(world: &World, script: &str) -> Said {
    world.clawker(&["exec", "--agent", "dev", "--", "timeout", "30", "bash", "-c", script]).unwrap()
}

fn address(world: &World, name: &str) -> String {
    let found = as_agent(world, &format!("getent ahostsv4 {name}"));
    found.out.split_whitespace().next().unwrap_or_default().to_owned()
}

/// A program that stays, spoken to line by line.
struct Session {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Session {
    fn open(world: &World, script: &str) -> Self {
        let mut command =
            world.sandbox.command(&["exec", "-i", "--agent", "dev", "--", "bash", "-c", script]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { input: child.stdin.take().unwrap(), child, lines }
    }

    /// The answer to a line, `None` where there is none any more.
    fn say(&mut self, line: &str) -> Option<String> {
        writeln!(self.input, "{line}").and_then(|()| self.input.flush()).ok()?;
        self.lines.recv_timeout(PATIENCE).ok()
    }
}

impl Session {
    /// Whether the program saw its connection end, and ended.
    fn has_ended(&mut self) -> bool {
        wait(PATIENCE, || self.child.try_wait().is_ok_and(|code| code.is_some()))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ssh_reaches_the_host_that_was_named_and_no_third_one() {
    let mut world = world("ssh", &["dst: git-a.test, proto: ssh", "dst: git-b.test, proto: ssh"]);
    let names = ["git-a.test", "git-b.test", "git-c.test"];
    let servers: Vec<String> =
        names.iter().zip(20..).map(|(name, last)| world.rig.server(name, last, 22, SSHD).unwrap()).collect();
    agent(&world);
    let key =
        as_agent(&world, "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519; cat ~/.ssh/id_ed25519.pub")
            .out;
    let mut host_keys = Vec::new();
    for server in &servers {
        let put = "cat >/home/dev/.ssh/authorized_keys; chown dev: /home/dev/.ssh/authorized_keys";
        run_with_input("docker", &["exec", "-i", server, "sh", "-c", put], key.as_bytes()).unwrap();
        host_keys.push(docker(&["exec", server, "cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).unwrap());
    }
    let know = |order: [usize; 3]| {
        let known = names.iter().zip(order).map(|(name, key)| format!("{name} {}\n", host_keys[key]));
        let file = world.sandbox.project().join("known_hosts");
        std::fs::write(file, known.collect::<String>()).unwrap();
    };
    let ssh = format!(
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ConnectTimeout=10 -o UserKnownHostsFile={}",
        world.sandbox.project().join("known_hosts").display()
    );
    know([0, 1, 2]);
    for name in &names[..2] {
        let said = as_agent(&world, &format!("{ssh} {name} hostname"));
        assert_eq!((said.code, said.out.as_str()), (0, *name), "{said:?}");
        let clone = format!(
            "cd $(mktemp -d); GIT_SSH_COMMAND='{ssh}' git clone -q ssh://{name}/home/dev/repo.git r && cat r/README"
        );
        assert_eq!(as_agent(&world, &clone).out, format!("this is {name}"));
    }
    assert_ne!(address(&world, names[0]), address(&world, names[1]));

    // The third one is there, and is not reached: not by name, not by its address, not by another one's.
    let third = as_agent(&world, &format!("{ssh} git-c.test hostname"));
    assert!(third.code == 255 && third.err.contains("resolve"), "{third:?}");
    let third = as_agent(
        &world,
        &format!("{ssh} -o HostName=198.51.100.22 -o HostKeyAlias=git-c.test git-c.test hostname"),
    );
    assert!(third.code == 255 && third.out.is_empty(), "{third:?}");
    // Whatever name it says it wants, an address leads to its own host.
    let first = address(&world, names[0]);
    let crossed = as_agent(
        &world,
        &format!("{ssh} -o HostName={first} -o HostKeyAlias=git-b.test git-b.test hostname"),
    );
    assert!(crossed.code == 255 && crossed.err.contains("Host key verification failed"), "{crossed:?}");
    // And the keys do tell hosts apart.
    know([1, 0, 2]);
    let swapped = as_agent(&world, &format!("{ssh} git-a.test hostname"));
    assert!(swapped.code == 255 && swapped.err.contains("Host key verification failed"), "{swapped:?}");

    // Positive control: what was refused works once it is listed.
    know([0, 1, 2]);
    world.must(&["firewall", "add", "git-c.test", "--proto", "ssh"]).unwrap();
    assert_eq!(as_agent(&world, &format!("{ssh} git-c.test hostname")).out, "git-c.test");
}

#[test]
fn databases_on_one_port_are_kept_apart_and_a_removed_rule_cuts_only_its_own_session() {
    let mut world = world("psql", &["dst: db-a.test, proto: tcp, port: 5432"]);
    let names = ["db-a.test", "db-b.test", "db-c.test"];
    for (name, last) in names.iter().zip(20..) {
        world.rig.server(name, last, 5432, POSTGRES).unwrap();
    }
    agent(&world);
    let query = |host: &str, database: &str| {
        as_agent(
            &world,
            &format!(
                "PGCONNECT_TIMEOUT=10 psql -h {host} -U postgres -d {database} -Atc 'select current_database()'"
            ),
        )
    };
    let opened =
        |name: &str| world.must(&["firewall", "add", name, "--proto", "tcp", "--port", "5432"]).unwrap();
    let closed = query("db-b.test", "db-b.test");
    assert!(closed.code == 2 && closed.err.contains("could not translate host name"), "{closed:?}");
    opened("db-b.test");
    for name in &names[..2] {
        assert_eq!(query(name, name).out, *name);
    }
    // Each has its own database and not the other's.
    for (host, other) in [(names[0], names[1]), (names[1], names[0])] {
        let said = query(host, other);
        assert!(said.err.contains(&format!("database \"{other}\" does not exist")), "{said:?}");
    }
    assert_ne!(query("198.51.100.22", "db-c.test").code, 0, "unlisted, by its address");

    let session = |name: &str| {
        Session::open(&world, &format!("psql -h {name} -U postgres -d {name} -At -v ON_ERROR_STOP=1"))
    };
    let (mut kept, mut cut) = (session("db-a.test"), session("db-b.test"));
    let backend = kept.say("select pg_backend_pid();").unwrap();
    assert!(cut.say("select 1;").is_some());
    let before = address(&world, "db-a.test");
    world.must(&["firewall", "remove", "db-b.test", "--proto", "tcp", "--port", "5432"]).unwrap();
    assert_eq!(address(&world, "db-a.test"), before);
    assert_eq!(kept.say("select pg_backend_pid();"), Some(backend), "the session is not the same");
    assert_eq!(cut.say("select 2;"), None, "a session outlived its rule");
    assert!(cut.has_ended(), "psql was not told that its connection is gone");
    assert_eq!(address(&world, "db-b.test"), "");
    assert_eq!(query("db-a.test", "db-a.test").out, "db-a.test");
    // Back again, at the address that it had: one is never given to another name.
    opened("db-c.test");
    opened("db-b.test");
    assert_eq!(query("db-b.test", "db-b.test").out, "db-b.test");
    assert_eq!(query("db-c.test", "db-c.test").out, "db-c.test");
    assert_eq!(address(&world, "db-a.test"), before);
}
