//! What the user asked for besides the fence: limits, mounts, labels, graphics cards. Put into the request after
//! everything that fences the container was, and over none of it.

use std::collections::HashMap;
use std::path::PathBuf;

use bollard::models::{ContainerCreateBody, DeviceRequest, HostConfig, Mount, MountType, ResourcesUlimits};

use crate::cli::PassedArgs;
use crate::limits::Limits;
use crate::passed::Gpus;
use crate::volume::{Source, Volume};

/// The label that says which of the host's folders were mounted with `-v`, as a JSON list: to be looked at again
/// before each start.
pub const VOLUMES_LABEL: &str = "clawker.volumes";

/// What the user asked for.
#[derive(Debug, Clone, Default)]
pub struct Extras {
    /// How much of the machine it may eat.
    pub limits: Limits,
    /// Mounts, checked, with canonical paths.
    pub volumes: Vec<Volume>,
    /// Options that are passed on; its own list of volumes is not looked at.
    pub passed: PassedArgs,
}

impl Extras {
    /// Adds all of it to a request.
    pub fn add_to(&self, body: &mut ContainerCreateBody) {
        let labels = body.labels.get_or_insert_default();
        let typed = self.passed.label.iter().cloned();
        labels.extend(typed.filter(|(name, _)| !name.starts_with("clawker.")));
        let sources = self.host_sources();
        if !sources.is_empty() {
            labels.insert(VOLUMES_LABEL.to_owned(), serde_json::json!(sources).to_string());
        }
        if let Some(dir) = &self.passed.workdir {
            body.working_dir = Some(dir.clone());
        }
        body.hostname.clone_from(&self.passed.hostname);
        self.add_to_host(body.host_config.get_or_insert_default());
    }

    fn add_to_host(&self, host: &mut HostConfig) {
        let limit = |number: i64| (number > 0).then_some(number);
        host.memory = limit(self.limits.memory);
        // No swap besides: a machine whose agent is killed stays usable, one whose agent swaps doesn't.
        host.memory_swap = limit(self.limits.memory);
        host.nano_cpus = limit(self.limits.nano_cpus);
        host.pids_limit = limit(self.limits.pids);
        host.mounts.get_or_insert_default().extend(self.volumes.iter().map(mount));
        let tmpfs = host.tmpfs.get_or_insert_default();
        tmpfs.extend(self.passed.tmpfs.iter().cloned());
        host.shm_size = self.passed.shm_size;
        host.extra_hosts = some(self.passed.add_host.clone());
        host.ulimits = some(
            self.passed
                .ulimit
                .iter()
                .map(|one| ResourcesUlimits {
                    name: Some(one.name.clone()),
                    soft: Some(one.soft),
                    hard: Some(one.hard),
                })
                .collect(),
        );
        host.device_requests = self.passed.gpus.as_ref().map(|gpus| vec![request(gpus)]);
    }

    fn host_sources(&self) -> Vec<PathBuf> {
        let path = |volume: &'_ Volume| match &volume.source {
            Source::Host(path) => Some(path.clone()),
            Source::Volume(_) => None,
        };
        self.volumes.iter().filter_map(path).collect()
    }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn mount(volume: &Volume) -> Mount {
    let (typ, source) = match &volume.source {
        Source::Host(path) => (MountType::BIND, Some(path.to_string_lossy().into_owned())),
        Source::Volume(name) => (MountType::VOLUME, name.clone()),
    };
    Mount {
        typ: Some(typ),
        source,
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        ..Mount::default()
    }
}

fn request(gpus: &Gpus) -> DeviceRequest {
    let (count, device_ids) = match gpus {
        Gpus::Count(count) => (Some(*count), None),
        Gpus::Devices(ids) => (None, Some(ids.clone())),
    };
    DeviceRequest {
        count,
        device_ids,
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        driver: None,
        options: Some(HashMap::new()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::docker::create::tests::spec;

    fn passed(line: &str) -> PassedArgs {
        let cli = Cli::try_parse_from(["clawker", "run"].into_iter().chain(line.split(' '))).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        args.passed
    }

    #[test]
    fn what_is_passed_on_reaches_docker_and_leaves_the_fence_alone() {
        let plain = serde_json::to_value(spec().body()).unwrap();
        let mut spec = spec();
        let line = "-l team=a --gpus device=0 --add-host db:10.1.2.3 --shm-size 1g --hostname h -w /srv \
                    --ulimit nofile=9 --tmpfs /scratch:size=1m";
        spec.extras.passed = passed(line);
        spec.extras.volumes = vec![
            Volume { source: Source::Host("/data".into()), target: "/d".into(), read_only: true },
            Volume { source: Source::Volume(Some("cache".into())), target: "/c".into(), read_only: false },
        ];
        let body = spec.body();
        assert_eq!((body.hostname.as_deref(), body.working_dir.as_deref()), (Some("h"), Some("/srv")));
        let labels = body.labels.clone().unwrap();
        assert_eq!(labels[VOLUMES_LABEL], "[\"/data\"]");
        assert_eq!(labels["team"], "a");
        let host = body.host_config.clone().unwrap();
        assert_eq!(host.shm_size, Some(1 << 30));
        assert_eq!(host.extra_hosts, Some(vec!["db:10.1.2.3".into()]));
        assert_eq!(host.tmpfs.as_ref().unwrap()["/scratch"], "size=1m");
        assert_eq!(host.ulimits.as_ref().unwrap()[0].hard, Some(9));
        assert_eq!(host.device_requests.as_ref().unwrap()[0].device_ids, Some(vec!["0".into()]));
        let mounts = host.mounts.unwrap();
        assert_eq!((mounts[6].source.as_deref(), mounts[6].read_only), (Some("/data"), Some(true)));
        assert_eq!((mounts[7].typ, mounts[7].target.as_deref()), (Some(MountType::VOLUME), Some("/c")));
        let with = serde_json::to_value(spec.body()).unwrap();
        for key in
            ["CapAdd", "CapDrop", "SecurityOpt", "Privileged", "Init", "NetworkMode", "Dns", "RestartPolicy"]
        {
            assert!(!plain["HostConfig"][key].is_null(), "{key}");
            assert_eq!(plain["HostConfig"][key], with["HostConfig"][key], "{key}");
        }
        for key in ["User", "Entrypoint", "Healthcheck", "NetworkingConfig"] {
            assert_eq!(plain[key], with[key], "{key}");
        }
    }

    #[test]
    fn no_limit_is_no_number() {
        let mut spec = spec();
        spec.extras.limits = Limits::default();
        let host = spec.body().host_config.unwrap();
        assert_eq!(
            (host.memory, host.memory_swap, host.nano_cpus, host.pids_limit),
            (None, None, None, None)
        );
    }
}
