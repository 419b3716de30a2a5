//! The container itself: what would make the agent root, or show or change what is init's.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str, source: &'static str) -> Attack {
    attack(Family::Local, (Who::Agent, Control::Beside, Arrival::Effect), id, title, source)
}

pub(super) const ALL: &[Attack] = &[
    a("local-setuid", "Become uid 0", "MITRE ATT&CK T1548.001"),
    a("local-capabilities", "Hold any capability, or have one in reach", "MITRE ATT&CK T1548.001"),
    a("local-gain", "Gain privileges by a set-uid program", "MITRE ATT&CK T1548.001"),
    a("local-chown", "Give a file to root", "chown(2)"),
    a("local-mount", "Mount a file system", "CVE-2022-0185"),
    a("local-hostname", "Change the host's name", "sethostname(2)"),
    a("local-chroot", "Change the root", "chroot(2)"),
    a("local-mknod", "Make a device", "mknod(2); CDK, mknod escape"),
    a("local-userns", "Make a user namespace", "CVE-2022-0185"),
    a("local-netns", "Make a network namespace", "CVE-2024-1086"),
    a("local-setns", "Enter PID 1's network namespace by its file", "setns(2); CDK"),
    a("local-kill", "Send a signal to PID 1", "kill(2)"),
    a("local-ptrace", "Trace PID 1", "ptrace(2); MITRE ATT&CK T1055.008"),
    a("local-pid1-memory", "Open PID 1's memory", "CVE-2012-0056, Mempodipper"),
    a("local-pid1-environ", "Read PID 1's environment", "proc(5); MITRE ATT&CK T1552.001"),
    a("local-pid1-root", "Walk through PID 1's root", "proc(5); MITRE ATT&CK T1552.001"),
    a("local-pid1-fds", "List PID 1's descriptors", "CVE-2019-5736; CVE-2024-21626"),
    a("local-pidfd", "Take a descriptor of PID 1's", "pidfd_getfd(2)"),
    a("local-resolv-conf", "Write resolv.conf", "MITRE ATT&CK T1565.001"),
    a("local-hosts", "Write the hosts file", "MITRE ATT&CK T1565.001"),
    a("local-sysctl", "Write a setting of the network", "CVE-2022-0811, cr8escape"),
    a("local-etc", "Make a file in /etc", "CWE-732"),
    attack(
        Family::Local,
        (Who::Agent, Control::Host, Arrival::Effect),
        "local-ca-key",
        "Find a private key where the gateway's and init's files are",
        "MITRE ATT&CK T1552.004",
    ),
    a("local-low-port", "Write the range of privileged ports", "CVE-2022-0811, cr8escape"),
];
