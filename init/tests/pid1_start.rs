//! What a command inherits from init, and what init says when there is none to run.

#![allow(clippy::unwrap_used)]

mod common_pid1;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common_pid1::{Around, Init, MOMENT, Scratch, Space};

/// PID 1 execs the init with HUP and PIPE ignored, TERM blocked, and descriptor 9 open.
const DIRTY: [&str; 3] = [
    "perl",
    "-e",
    r#"use POSIX; $SIG{$_} = 'IGNORE' for qw(HUP PIPE);
       sigprocmask(SIG_BLOCK, POSIX::SigSet->new(SIGTERM)); POSIX::dup2(0, 9); exec @ARGV"#,
];

fn signals_of_child(init: Init, wrapper: &[&str]) -> (String, String) {
    let command = ["grep", "-E", "SigBlk|SigIgn", "/proc/self/status"];
    let (out, err, code) = Space::start_in(init, &command, Around { wrapper, ..Around::default() }).finish();
    assert_eq!(code, 0, "{err}");
    let value = |key: &str| out.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    (value("SigBlk:"), value("SigIgn:"))
}

const NONE: &str = "0000000000000000";

#[test]
fn the_child_blocks_and_ignores_nothing() {
    assert_eq!(signals_of_child(Init::Ours, &[]), (NONE.into(), NONE.into()));
    assert_ne!(
        signals_of_child(Init::Catatonit, &[]).0,
        NONE,
        "catatonit's child blocks TSTP, TTIN and TTOU"
    );
}

#[test]
fn what_init_inherited_blocked_or_ignored_is_reset_in_the_child() {
    assert_eq!(signals_of_child(Init::Ours, &DIRTY), (NONE.into(), NONE.into()));
    let (blocked, ignored) = signals_of_child(Init::Tini, &DIRTY);
    assert!(blocked != NONE && ignored != NONE, "tini hands both down: {blocked} {ignored}");
}

#[test]
fn exit_codes_survive_an_inherited_ignored_sigchld() {
    let code = |init| {
        let wrapper = ["perl", "-e", "$SIG{CHLD} = 'IGNORE'; exec @ARGV"];
        let around = Around { wrapper: &wrapper, ..Around::default() };
        Space::start_in(init, &["sh", "-c", "exit 7"], around).wait_code(MOMENT * 2)
    };
    assert_eq!(code(Init::Ours), Some(7));
    assert_eq!(code(Init::Tini), None, "the kernel collects tini's child, and it waits for ever");
}

#[test]
fn inherited_descriptors_reach_neither_init_nor_child() {
    let open = |init| {
        let command = [
            "perl",
            "-e",
            r#"sleep 1; print "child\n" if -e "/proc/self/fd/9"; print "init\n" if -l "/proc/1/fd/9""#,
        ];
        Space::start_in(init, &command, Around { wrapper: &DIRTY, ..Around::default() }).finish().0
    };
    assert_eq!(open(Init::Ours), "");
    assert_eq!(open(Init::Tini), "child\ninit\n");
}

#[test]
fn the_child_has_the_three_standard_descriptors_and_no_more() {
    let list = r#"opendir(my $d, "/proc/self/fd"); print join(" ", sort grep { /\d/ && -e "/proc/self/fd/$_" } readdir $d)"#;
    // perl's own folder handle is the one that is gone or 3.
    let (out, _, _) = Space::start(Init::Ours, &["perl", "-e", list]).finish();
    assert!(out == "0 1 2 3" || out == "0 1 2", "{out}");
}

fn code(init: Init, command: &[&str]) -> i32 {
    Space::start(init, command).code()
}

#[test]
fn exit_codes_are_the_commands_own() {
    for (script, wanted) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
    ] {
        assert_eq!(code(Init::Ours, &["sh", "-c", script]), wanted, "{script}");
    }
}

#[test]
fn a_program_that_cannot_run_is_127_or_126_and_named() {
    let scratch = Scratch::new();
    let plain = scratch.file("plain");
    fs::write(&plain, "x").unwrap();
    let orphan = scratch.file("orphan");
    fs::write(&orphan, "#!/nonexistent/interpreter\n").unwrap();
    fs::set_permissions(&orphan, fs::Permissions::from_mode(0o755)).unwrap();
    for (command, wanted) in
        [("no-such-command", 127), ("/no/such/file", 127), (&plain, 126), ("/tmp", 126), (&orphan, 127)]
    {
        let (_, err, code) = Space::start(Init::Ours, &[command]).finish();
        assert_eq!(code, wanted, "{command}: {err}");
        assert!(
            err.starts_with("clawker-init: ") && err.contains(command) && err.lines().count() == 1,
            "{err}"
        );
    }
    assert_eq!(code(Init::Tini, &["no-such-command"]), 127);
    assert_ne!(code(Init::DumbInit, &["no-such-command"]), 127);
    assert_ne!(code(Init::Catatonit, &[&plain]), 126);
}

#[test]
fn a_script_without_an_interpreter_line_runs_in_the_shell() {
    let scratch = Scratch::new();
    let script = scratch.file("script");
    fs::write(&script, "echo \"$0 $1\"; exit 5\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let (out, _, code) = Space::start(Init::Ours, &[&script, "word"]).finish();
    assert_eq!((out, code), (format!("{script} word\n"), 5));
}

#[test]
fn environment_umask_and_directory_pass_through() {
    let scratch = Scratch::new();
    let wrapper = [
        "sh",
        "-c",
        r#"cd "$0" && umask 027 && RAW=$(printf '\377') exec "$@""#,
        scratch.path().to_str().unwrap(),
    ];
    let command = ["sh", "-c", r#"umask; pwd; printf "$RAW" | od -An -tx1"#];
    let (out, _, _) =
        Space::start_in(Init::Ours, &command, Around { wrapper: &wrapper, ..Around::default() }).finish();
    assert_eq!(out, format!("0027\n{}\n ff\n", scratch.path().display()));
}

#[test]
fn the_containers_limits_pass_through() {
    let limits = |wrapper: &[&str]| {
        let around = Around { wrapper, ..Around::default() };
        Space::start_in(Init::Ours, &["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -Sc"], around).finish().0
    };
    assert_eq!(limits(&["prlimit", "--nofile=77:99", "--core=4096:8192"]), "77\n99\n8\n");
    assert_ne!(limits(&[]), "77\n99\n8\n");
}

#[test]
fn only_pid_1_boots() {
    for args in [&["--config", "/dev/null"][..], &["--profile", "gateway"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_clawker-init")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains("not PID 1") && err.contains("was not started"), "{err}");
    }
}

#[test]
fn init_itself_keeps_no_folder_busy() {
    let scratch = Scratch::new();
    let wrapper = ["sh", "-c", r#"cd "$0" && exec "$@""#, scratch.path().to_str().unwrap()];
    let space =
        Space::start_in(Init::Ours, &["sleep", "60"], Around { wrapper: &wrapper, ..Around::default() });
    space.agent();
    common_pid1::wait_for("init's move to /", || {
        fs::read_link(format!("/proc/{}/cwd", space.pid1)).is_ok_and(|path| path.as_os_str() == "/")
    });
}

#[test]
fn variables_that_announce_closed_descriptors_go() {
    let wrapper = ["env", "LISTEN_FDS=1", "LISTEN_PID=1", "LISTEN_FDNAMES=x"];
    let command = ["sh", "-c", "env | grep -c ^LISTEN"];
    let (out, _, _) =
        Space::start_in(Init::Ours, &command, Around { wrapper: &wrapper, ..Around::default() }).finish();
    assert_eq!(out, "0\n");
}

#[test]
fn supervise_does_not_run_where_a_firewall_is_asked_for() {
    // Also where the config can't be put into force: a gateway's names a network that is not there.
    let hash = "0".repeat(64);
    let gateway = format!(
        r#"{{"v":1,"gateway":{{"subnet":"172.20.0.0/16"}},"secret_sha256":"{hash}","run":{{"uid":1,"gid":1,"command":["echo","ran"]}}}}"#
    );
    for (file, text, why) in [
        ("boot.json", "", "boot.json"),
        ("gateway.json", "", "gateway.json"),
        ("gateway.json", gateway.as_str(), "not on 172.20.0.0/16"),
    ] {
        let prepare = format!(
            "mount -t tmpfs none /run && mkdir -p /run/clawker/host && \
             printf %s '{text}' > /run/clawker/host/{file} && exec \"$@\""
        );
        let wrapper = ["unshare", "--mount", "--net", "sh", "-c", &prepare, "sh"];
        let (out, err, code) =
            Space::start_in(Init::Ours, &["echo", "ran"], Around { wrapper: &wrapper, ..Around::default() })
                .finish();
        assert_eq!((out.as_str(), code), ("", 125), "{file}: {err}");
        assert!(err.contains(why), "{file}: {err}");
    }
}

#[test]
fn mistakes_in_the_arguments_are_125() {
    for args in [&["supervise"][..], &["supervise", "--sesion", "x"], &["supervise", "--grace", "8", "x"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_clawker-init")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(125), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{args:?}");
    }
}
