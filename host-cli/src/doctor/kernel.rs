//! What the kernel can do. Docker Desktop and remote engines have another kernel than ours, so the engine's
//! release is what counts.

use std::path::Path;

use super::Check;

/// The owner flag of tables (`NFT_TABLE_F_OWNER`).
const OWNER_FLAG: (u32, u32) = (5, 12);
/// The egress hook of netdev tables.
const NETDEV_EGRESS: (u32, u32) = (5, 16);

/// Major and minor of a release like `6.1.0-13-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// What the kernel of this release has.
pub fn features(release: &str) -> Check {
    const NAME: &str = "kernel";
    match version(release) {
        None => Check::warn(
            NAME,
            format!("release {release} not understood"),
            "Check that it is Linux 5.16 or newer",
        ),
        Some(found) if found < OWNER_FLAG => Check::warn(
            NAME,
            format!("{release}: no owner flag for tables (5.12), no egress hook (5.16)"),
            "Update the kernel to 5.16 or newer; until then a watcher stands in for both",
        ),
        Some(found) if found < NETDEV_EGRESS => Check::warn(
            NAME,
            format!("{release}: no egress hook (5.16), so raw frames are not stopped"),
            "Update the kernel to 5.16 or newer",
        ),
        Some(_) => Check::ok(NAME, format!("{release}: tables with an owner, egress hook")),
    }
}

/// Whether nf_tables is there, or can be loaded, on this machine.
pub fn nf_tables(release: &str) -> Check {
    const NAME: &str = "nf_tables";
    if Path::new("/sys/module/nf_tables").exists() {
        return Check::ok(NAME, "loaded");
    }
    // Built in: its functions are among the kernel's own symbols, whose names everybody may read.
    if std::fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| symbols.contains(" nft_do_chain\n")) {
        return Check::ok(NAME, "built in");
    }
    let list =
        |file: &str| std::fs::read_to_string(format!("/lib/modules/{release}/{file}")).unwrap_or_default();
    if list("modules.dep").contains("/nf_tables.ko") {
        return Check::ok(NAME, "can be loaded");
    }
    Check::warn(NAME, "neither loaded nor found among the modules", "modprobe nf_tables")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn releases_are_compared_as_numbers() {
        for (release, verdict) in [
            ("6.18.0", Verdict::Ok),
            ("5.16.1-arch", Verdict::Ok),
            ("5.15.0-91-generic", Verdict::Warn),
            ("5.9.0", Verdict::Warn),
            ("4.19", Verdict::Warn),
            ("nonsense", Verdict::Warn),
        ] {
            assert_eq!(features(release).verdict, verdict, "{release}");
        }
    }
}
