//! Docker, as far as agents depend on it.

use bollard::models::SystemInfo;

use super::Check;
use crate::docker::Engine;

/// The oldest API that is known to work (Docker 20.10).
const OLDEST_API: (usize, usize) = (1, 41);

/// The API version that both sides speak.
pub fn api(engine: &Engine, info: &SystemInfo) -> Check {
    const NAME: &str = "docker";
    let version = (engine.version.major_version, engine.version.minor_version);
    let server = info.server_version.clone().unwrap_or_default();
    let seen = format!("{server}, API {}.{}, at {}", version.0, version.1, engine.address);
    if version < OLDEST_API {
        Check::fail(NAME, seen, "Update Docker to 20.10 or newer")
    } else {
        Check::ok(NAME, seen)
    }
}

/// Whether the engine changes who root is.
pub fn users(info: &SystemInfo) -> Check {
    const NAME: &str = "user namespaces";
    let options = info.security_options.clone().unwrap_or_default();
    let has = |what: &str| options.iter().any(|option| option.contains(what));
    if has("name=rootless") {
        Check::warn(
            NAME,
            "Docker is rootless: not tried yet, and files in the project appear under other owners",
            "Use a Docker that runs as root",
        )
    } else if has("name=userns") {
        Check::warn(
            NAME,
            "Docker maps users (userns-remap): init can't reach its folder on the host",
            "Take userns-remap out of /etc/docker/daemon.json and restart Docker",
        )
    } else {
        Check::ok(NAME, "root is root")
    }
}

/// Limits need the cgroup controllers.
pub fn cgroup(info: &SystemInfo) -> Check {
    const NAME: &str = "cgroup";
    let version = info.cgroup_version.as_ref().map(ToString::to_string).unwrap_or_else(|| "?".to_owned());
    let missing: Vec<&str> =
        [("memory", info.memory_limit), ("cpu", info.cpu_cfs_quota), ("pids", info.pids_limit)]
            .into_iter()
            .filter_map(|(name, has)| (has == Some(false)).then_some(name))
            .collect();
    if missing.is_empty() {
        Check::ok(NAME, format!("version {version}"))
    } else {
        let seen = format!("version {version}, without limits on {}", missing.join(", "));
        Check::warn(
            NAME,
            seen,
            "Enable these controllers in the kernel; --memory and --cpus have no effect until then",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn an_engine_that_maps_users_is_named() {
        let with = |option: &str| SystemInfo {
            security_options: Some(vec![option.to_owned()]),
            ..Default::default()
        };
        assert_eq!(users(&with("name=seccomp,profile=default")).verdict, Verdict::Ok);
        assert_eq!(users(&with("name=userns")).verdict, Verdict::Warn);
        assert_eq!(users(&with("name=rootless")).verdict, Verdict::Warn);
    }

    #[test]
    fn a_missing_controller_is_named() {
        let info = SystemInfo { memory_limit: Some(false), ..Default::default() };
        assert!(cgroup(&info).seen.contains("memory"));
    }
}
