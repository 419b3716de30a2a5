//! Paths inside a container that init runs in, fixed for both sides.

/// A tmpfs that only root may traverse; init makes it 0700 at every start.
pub const RUN_DIR: &str = "/run/clawker";
/// The host's per-agent folder, bind-mounted below [`RUN_DIR`].
pub const HOST_DIR: &str = "/run/clawker/host";
/// The boot config, mounted read-only over the same name in [`HOST_DIR`].
pub const BOOT_CONFIG: &str = "/run/clawker/host/boot.json";
/// The gateway's config in its own container, likewise.
pub const GATEWAY_CONFIG: &str = "/run/clawker/host/gateway.json";
/// The control socket.
pub const CONTROL_SOCKET: &str = "/run/clawker/host/control.sock";
/// The capped event log, JSON lines.
pub const EVENTS: &str = "/run/clawker/host/events.jsonl";
/// Exists once the rules are installed and read back; `enter` refuses to run before.
pub const READY: &str = "/run/clawker/ready";
/// What the user lends the agent, read-only: git's configuration, sockets of the helper on the host.
pub const LENT: &str = "/run/clawker-lent";
/// The agent's own volume, which outlives its container: Claude's folder, the shell's history.
pub const KEPT: &str = "/var/lib/clawker";
/// A root-owned tmpfs that everybody may read: CA bundle and policy summary.
pub const PUBLIC_DIR: &str = "/run/clawker-pub";
/// The image's trust roots and ours, in one file.
pub const CA_BUNDLE: &str = "/run/clawker-pub/ca-bundle.pem";
/// Only our own roots (for `NODE_EXTRA_CA_CERTS`).
pub const CA_EXTRA: &str = "/run/clawker-pub/ca-extra.pem";
/// The image's settings of `wget`, and where the bundle is: some of its builds ask no variable.
pub const WGETRC: &str = "/run/clawker-pub/wgetrc";
/// The image's Java roots and ours, where it has a JRE; a number follows for each further set of roots.
pub const JAVA_CACERTS: &str = "/run/clawker-pub/java-cacerts";
/// What the agent may know of its policy, read by `clawker-init why`.
pub const POLICY_SUMMARY: &str = "/run/clawker-pub/policy";
/// Where the host mounts the static init, read-only, in every agent container.
pub const INIT: &str = "/usr/local/bin/clawker-init";
