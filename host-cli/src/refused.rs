//! Options of `docker run` and `docker exec` that clawker doesn't have, because each would open the fence or take
//! something from init that it needs. Whoever types one is told why, in one sentence.

/// Options that have the same reason, in all their spellings.
const REFUSED: &[(&[&str], &str)] = &[
    (&["--privileged"], "a privileged container can rewrite the rules that fence it"),
    (
        &["--network", "--net", "--network-alias", "--net-alias", "--ip", "--ip6", "--link", "--mac-address"],
        "the agent's only network is clawker's; open a destination with clawker firewall add",
    ),
    (
        &["--cap-add"],
        "with another capability the agent could change its network or leave its container; it runs with none",
    ),
    (&["--cap-drop"], "the agent has no capability to drop, and init needs the few that it has"),
    (&["--pid"], "in another's process namespace the agent could steer programs outside of its fence"),
    (&["--ipc"], "in another's IPC namespace the agent could steer programs outside of its fence"),
    (&["--uts"], "in the host's UTS namespace the agent could rename the host"),
    (
        &["--security-opt"],
        "no-new-privileges, seccomp and AppArmor stay as they are: the fence stands on them",
    ),
    (
        &["--device", "--device-cgroup-rule", "--device-read-bps", "--device-write-bps"],
        "a device leads past the fence to the host's hardware; --gpus gives the agent graphics cards",
    ),
    (
        &["--userns"],
        "init needs the host's user namespace to install its rules; see security.userns for the agent",
    ),
    (
        &["--cgroupns", "--cgroup-parent"],
        "the agent stays in a control group of its own, where its limits hold",
    ),
    (&["--sysctl"], "kernel settings of its network namespace decide how packets pass; init sets them"),
    (
        &["--dns", "--dns-search", "--dns-option", "--dns-opt"],
        "names are resolved by clawker's policy; set security.firewall.upstream_dns in .clawker.yaml",
    ),
    (
        &["--user", "-u", "--group-add"],
        "init needs root to install its rules and then runs the program as the agent; clawker shell --root is root's",
    ),
    (&["--entrypoint"], "init is the entry point; name the program after --, as in clawker run -- PROGRAM"),
    (&["--init"], "clawker's own init is there already"),
    (&["--restart"], "an agent starts by clawker start alone, behind the policy of that moment"),
    (&["--runtime"], "another runtime need not give init what its rules stand on"),
    (
        &["--volumes-from"],
        "another container's volumes may hold its secrets; name what the agent needs with -v",
    ),
    (&["--mount"], "mounts are written as with -v: SOURCE:TARGET[:ro]"),
    (&["--volume-driver", "--storage-opt", "--isolation"], "clawker uses the engine's own storage"),
    (&["--oom-kill-disable", "--oom-score-adj"], "out of memory the agent has to go, and not the machine"),
    (&["--publish-all", "-P"], "each port that is published is named: -p HOST_PORT:PORT"),
    (&["--name"], "an agent is named with --agent"),
    (
        &["--no-healthcheck", "--health-cmd"],
        "a health check would run as root beside the fence; there is none",
    ),
];

/// Why an option is refused; `None` for one that isn't Docker's, or that we have.
pub fn reason(option: &str) -> Option<&'static str> {
    let option = option.split_once('=').map_or(option, |(name, _)| name);
    REFUSED.iter().find(|(names, _)| names.contains(&option)).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn what_is_refused_is_no_option_of_run_and_has_one_short_sentence() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        for (names, reason) in REFUSED {
            assert!(reason.len() <= 120 && !reason.contains(". "), "{reason}");
            for name in *names {
                let known = run.get_arguments().any(|arg| {
                    arg.get_long().is_some_and(|long| format!("--{long}") == *name)
                        || arg.get_short().is_some_and(|short| format!("-{short}") == *name)
                });
                assert!(!known, "{name} is an option of run");
                assert!(Cli::try_parse_from(["clawker", "run", name]).is_err(), "{name}");
            }
        }
    }

    #[test]
    fn a_value_does_not_hide_an_option() {
        assert_eq!(reason("--net=host"), reason("--net"));
        assert!(reason("--net").is_some());
        assert_eq!(reason("--publish"), None);
    }
}
