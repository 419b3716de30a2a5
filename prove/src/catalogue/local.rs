//! The container itself: what would make the agent root, or show or change what is init's.

use super::{Arrival, Attack, Control, Family, Who, attack};

const fn a(id: &'static str, title: &'static str) -> Attack {
    attack(Family::Local, (Who::Agent, Control::Beside, Arrival::Effect), id, title)
}

pub(super) const ALL: &[Attack] = &[
    a("local-setuid", "Become uid 0"),
    a("local-capabilities", "Hold any capability, or have one in reach"),
    a("local-gain", "Gain privileges by a set-uid program"),
    a("local-chown", "Give a file to root"),
    a("local-mount", "Mount a file system"),
    a("local-hostname", "Change the host's name"),
    a("local-chroot", "Change the root"),
    a("local-mknod", "Make a device"),
    a("local-userns", "Make a user namespace"),
    a("local-netns", "Make a network namespace"),
    a("local-setns", "Enter PID 1's network namespace by its file"),
    a("local-kill", "Send a signal to PID 1"),
    a("local-ptrace", "Trace PID 1"),
    a("local-pid1-memory", "Open PID 1's memory"),
    a("local-pid1-environ", "Read PID 1's environment"),
    a("local-pid1-root", "Walk through PID 1's root"),
    a("local-pid1-fds", "List PID 1's descriptors"),
    a("local-pidfd", "Take a descriptor of PID 1's"),
    a("local-resolv-conf", "Write resolv.conf"),
    a("local-hosts", "Write the hosts file"),
    a("local-sysctl", "Write a setting of the network"),
    a("local-etc", "Make a file in /etc"),
    a("local-low-port", "Write the range of privileged ports"),
];
