//! The drop on the real kernel: what is left of root in the agent, and in PID 1.
//!
//! The drop can't be undone, so each check runs this very test program again, as the process that drops.

#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::process::{Command, Output, Stdio};

use clawker_init::child::Plan;
use clawker_init::privileges::{self, Identity, PID1_KEEPS, seccomp};

const INNER: &str = "CLAWKER_TEST_INNER";

fn inner() -> Option<String> {
    std::env::var(INNER).ok()
}

/// Runs one test of this program again, as the process that drops.
fn again(test: &str, inner: &str, change: impl FnOnce(&mut Command)) -> Output {
    assert!(nix::unistd::geteuid().is_root(), "these tests need root");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(INNER, inner);
    change(&mut command);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Becomes the agent that runs a shell script; never comes back.
fn become_agent(script: &str) -> ! {
    let command: Vec<OsString> = ["sh", "-c", script].iter().map(OsString::from).collect();
    let environment: Vec<_> = std::env::vars_os().collect();
    let mut plan = Plan::new(&command, &environment).unwrap();
    plan.identity = Some(Identity {
        uid: 1001,
        gid: 1002,
        groups: vec![44, 29],
        filter: seccomp::program(seccomp::Options::default()),
    });
    plan.umask = Some(0o022);
    plan.raise_oom_score_adj(500);
    panic!("{}", plan.exec_here());
}

#[test]
fn nothing_of_root_is_left() {
    if inner().is_some() {
        become_agent(
            "cat /proc/self/status; cat /proc/self/oom_score_adj; id; umask; grep -c . /etc/shadow; \
             perl -MPOSIX -e 'POSIX::setuid(0) and print qq(became root\n)'; exit 0",
        );
    }
    let output = again("nothing_of_root_is_left", "1", |_| {});
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let value = |key: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(":\t"));
        line.unwrap_or_else(|| panic!("no {key} in {out}{err}")).trim().to_owned()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(value(set), "0000000000000000", "{set}");
    }
    assert_eq!(value("Uid"), "1001\t1001\t1001\t1001");
    assert_eq!(value("Gid"), "1002\t1002\t1002\t1002");
    assert_eq!(value("Groups"), "29 44");
    assert_eq!(value("NoNewPrivs"), "1");
    assert_eq!((value("SigBlk"), value("SigIgn")), ("0".repeat(16), "0".repeat(16)));
    assert!(out.contains("\n500\n") && out.contains("\n0022\n"), "{out}");
    assert!(err.contains("/etc/shadow") && !out.contains("became root"), "{out}{err}");
}

#[test]
fn a_set_uid_program_gives_nothing() {
    let scratch = std::env::temp_dir().join(format!("clawker-suid-{}", std::process::id()));
    // Written by another process: what this one holds open for writing, another test's fork would hold, too, and
    // exec says "Text file busy".
    let install = Command::new("install").args(["-m", "4755", "/usr/bin/id"]).arg(&scratch).status();
    assert!(install.unwrap().success());
    // The copy works for a user whose privileges may grow, so the check can fail.
    let free =
        Command::new("setpriv").args(["--reuid", "1001", "--clear-groups"]).arg(&scratch).output().unwrap();
    let fenced = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "inner_suid", "--nocapture"])
        .env(INNER, &scratch)
        .output()
        .unwrap();
    std::fs::remove_file(&scratch).unwrap();
    assert!(text(&free.stdout).contains("euid=0"), "{} {}", text(&free.stdout), text(&free.stderr));
    let out = text(&fenced.stdout);
    assert!(out.contains("uid=1001") && !out.contains("euid=0"), "{out}{}", text(&fenced.stderr));
}

/// Not a check of its own: the process of the one above.
#[test]
fn inner_suid() {
    if let Some(path) = inner() {
        become_agent(&path);
    }
}

#[test]
fn the_drop_fails_where_the_container_gives_too_little() {
    if inner().is_some() {
        become_agent("echo the agent ran");
    }
    let exe = std::env::current_exe().unwrap();
    for missing in ["setpcap", "setuid", "setgid"] {
        let output = Command::new("setpriv")
            .args(["--bounding-set", &format!("-{missing}"), "--inh-caps", &format!("-{missing}")])
            .arg(&exe)
            .args(["--exact", "the_drop_fails_where_the_container_gives_too_little", "--nocapture"])
            .env(INNER, "1")
            .output()
            .unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(!out.contains("the agent ran"), "without {missing}");
        assert!(err.contains("CAP_") && err.contains("Can't start sh"), "{missing}: {err}");
    }
}

#[test]
fn pid_1_keeps_two_capabilities() {
    if inner().is_some() {
        privileges::shrink_pid1(&PID1_KEEPS).unwrap();
        privileges::hide().unwrap();
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        println!("{status}dumpable {}", nix::sys::prctl::get_dumpable().unwrap());
        return;
    }
    let output = again("pid_1_keeps_two_capabilities", "1", |_| {});
    let out = text(&output.stdout);
    for (set, mask) in
        [("CapInh", 0), ("CapPrm", 0x1020), ("CapEff", 0x1020), ("CapBnd", 0x1020), ("CapAmb", 0)]
    {
        assert!(out.contains(&format!("{set}:\t{mask:016x}")), "{set}: {out}");
    }
    assert!(out.contains("dumpable false"), "{out}");
}

#[test]
fn pipes_are_given_to_the_agent_and_devices_are_not() {
    if inner().is_some() {
        become_agent("stat -Lc %u /dev/stdin /dev/stdout /dev/stderr; echo opened > /dev/stdout; exit 0");
    }
    let file = std::env::temp_dir().join(format!("clawker-streams-{}", std::process::id()));
    let output = again("pipes_are_given_to_the_agent_and_devices_are_not", "1", |command| {
        command.stdin(Stdio::null()).stderr(std::fs::File::create(&file).unwrap());
    });
    std::fs::remove_file(&file).unwrap();
    let out = text(&output.stdout);
    // /dev/null and the file stay root's.
    assert!(out.ends_with("0\n1001\n0\nopened\n"), "{out}");
}

/// Tries a few calls and prints each with its error number, 0 where it succeeded.
const CALLS: &str = r#"
    my @calls = (
        ['unix',        41, 1, 1, 0],
        ['inet',        41, 2, 1, 0],
        ['inet6',       41, 10, 1, 0],
        ['route',       41, 16, 3, 0],
        ['crypto',      41, 38, 5, 0],
        ['netfilter',   41, 16, 3, 12],
        ['uring',       425, 0, 0, 0],
        ['x32 getpid',  0x40000000 | 39, 0, 0, 0],
        ['key',         250, 0, -2, 0],
        ['clone3',      435, 0, 0, 0],
        ['userns',      272, 0x10000000, 0, 0],
    );
    for (@calls) {
        my ($name, @arguments) = @$_;
        $! = 0;
        my $result = syscall($arguments[0], $arguments[1], $arguments[2], $arguments[3]);
        print "$name=", ($result < 0 ? $!+0 : 0), "\n";
    }
"#;

#[test]
#[cfg(target_arch = "x86_64")]
fn the_kernel_answers_no_call_that_the_filter_refuses() {
    let script = format!("perl -e '{}'", CALLS.replace('\'', "\""));
    if inner().is_some() {
        become_agent(&script);
    }
    let fenced = text(&again("the_kernel_answers_no_call_that_the_filter_refuses", "1", |_| {}).stdout);
    // The same without the filter: what it refuses must be there to be refused.
    let open = text(&Command::new("sh").args(["-c", &script]).output().unwrap().stdout);
    let value = |out: &str, name: &str| {
        let line = out.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("no {name} in {out}")).parse::<i32>().unwrap()
    };
    for name in ["unix", "inet", "inet6", "route"] {
        assert_eq!(value(&fenced, name), 0, "{name}");
    }
    for (name, expected) in [
        ("crypto", libc::EAFNOSUPPORT),
        ("netfilter", libc::EPROTONOSUPPORT),
        ("uring", libc::ENOSYS),
        ("x32 getpid", libc::ENOSYS),
        ("key", libc::EPERM),
        ("clone3", libc::ENOSYS),
        ("userns", libc::EPERM),
    ] {
        assert_eq!(value(&fenced, name), expected, "{name} with the filter");
    }
    for name in ["netfilter", "userns"] {
        assert_eq!(value(&open, name), 0, "{name} without it");
    }
    for name in ["uring", "clone3"] {
        assert!(![libc::ENOSYS].contains(&value(&open, name)), "{name} without it");
    }
}
