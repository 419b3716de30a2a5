//! The made-up internet of a run: an image of the probe and nothing else, and a container of it on the twin's network.
//! It answers for addresses that no real network carries, and writes down what arrives.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::CreateImageOptions;
use clawker_prove::catalogue::rebind;
use clawker_prove::files;
use clawker_prove::record::{Kind, Record};
use clawker_prove::records;
use futures_util::StreamExt;

use super::place::Place;
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;

/// The probe; empty in a build that was made without it.
const PROBE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prove"));
/// Its name in its image.
pub const ENTRY: &str = "/prove";
/// Where the shared folder is in the container.
const SHARED: &str = "/shared";
/// How long it may take to answer.
const START: Duration = Duration::from_secs(20);

/// It.
#[derive(Debug)]
pub struct Sink {
    folder: PathBuf,
    /// Its address on the twin's network.
    pub address: Ipv4Addr,
    /// Its hardware address there.
    hardware: String,
}

/// Writes the probe into a file that can be run.
///
/// # Errors
/// A build without it, or the file's.
pub fn write_probe(path: &Path) -> Result<(), Failure> {
    if PROBE.is_empty() {
        return Err(Failure::new("This clawker carries no probe; build it with make build"));
    }
    Ok(crate::store::write_atomically(path, PROBE, 0o755)?)
}

/// Makes the image.
///
/// # Errors
/// Docker's.
pub async fn import(engine: &Engine, place: &Place) -> Result<(), Failure> {
    let mut header = tar::Header::new_gnu();
    header.set_size(PROBE.len() as u64);
    header.set_mode(0o755);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, ENTRY.trim_start_matches('/'), PROBE)?;
    let archive = archive.into_inner()?;
    let options = CreateImageOptions {
        from_src: Some("-".to_owned()),
        repo: Some(place.image()),
        ..CreateImageOptions::default()
    };
    let body = bollard::body_full(archive.into());
    let mut said = engine.api.create_image(Some(options), Some(body), None);
    while let Some(one) = said.next().await {
        one.map_err(DockerError::from)?;
    }
    Ok(())
}

/// The folder that its parts share with us.
fn shared(folder: &Path) -> Mount {
    Mount {
        source: Some(folder.to_string_lossy().into_owned()),
        target: Some(SHARED.to_owned()),
        typ: Some(MountType::BIND),
        ..Mount::default()
    }
}

impl Sink {
    /// Starts it on the twin's network and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(engine: &Engine, place: &Place, network: &str) -> Result<Self, Failure> {
        let folder = place.sink_folder();
        fs::create_dir_all(&folder)?;
        let body = ContainerCreateBody {
            host_config: Some(HostConfig {
                mounts: Some(vec![shared(&folder)]),
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                // Whatever it does not answer for ends here, too.
                sysctls: Some([("net.ipv4.ip_forward".to_owned(), "0".to_owned())].into()),
                readonly_rootfs: Some(true),
                // IPv6 is turned on in it, whatever Docker thinks.
                readonly_paths: Some(Vec::new()),
                network_mode: Some(network.to_owned()),
                ..HostConfig::default()
            }),
            ..place.body(&place.image(), vec![ENTRY.to_owned(), "sink".to_owned(), SHARED.to_owned()])
        };
        let id = place.start(engine, "sink", body).await?;
        let found = engine.api.inspect_container(&id, None).await.map_err(DockerError::from)?;
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let hardware = networks.get(network).and_then(|one| one.mac_address.clone()).unwrap_or_default();
        let address = networks.get(network).and_then(|one| one.ip_address.clone()).unwrap_or_default();
        let address = address.parse().map_err(|_| Failure::new("Docker gave the sink no address"))?;
        fs::write(folder.join(files::ZONE), serde_json::to_vec(&rebind::zone(address))?)?;
        let sink = Self { folder, address, hardware };
        sink.wait_for(files::RECORDS).await?;
        Ok(sink)
    }

    async fn wait_for(&self, file: &str) -> Result<(), Failure> {
        let (file, end) = (self.folder.join(file), Instant::now() + START);
        while !records::read(&file).iter().any(|record| record.kind == Kind::Ready) {
            if Instant::now() >= end {
                return Err(Failure::new("The made-up internet did not start; see docker info"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Puts somebody on a container's loopback, who writes down what comes there.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn listen_within(
        &self,
        engine: &Engine,
        place: &Place,
        (role, container, file): (&str, &str, &str),
    ) -> Result<(), Failure> {
        let written = format!("{SHARED}/{file}");
        let body = ContainerCreateBody {
            host_config: Some(HostConfig {
                mounts: Some(vec![shared(&self.folder)]),
                readonly_rootfs: Some(true),
                network_mode: Some(format!("container:{container}")),
                ..HostConfig::default()
            }),
            ..place.body(&place.image(), vec![ENTRY.to_owned(), "loopback".to_owned(), written])
        };
        place.start(engine, role, body).await?;
        self.wait_for(file).await
    }

    /// The file of what the host's own service writes down.
    pub fn of_host(&self) -> PathBuf {
        self.folder.join(files::HOST)
    }

    /// Everything that arrived.
    pub fn records(&self) -> Vec<Record> {
        let all = [files::RECORDS, files::LOOPBACK_GATEWAY, files::LOOPBACK_PLAIN, files::HOST];
        let all = all.map(|name| self.folder.join(name));
        records::read_all(all.iter().map(PathBuf::as_path))
    }

    /// What arrived with a text in it.
    pub fn saw(&self, text: &str) -> Vec<Record> {
        records::with(&self.records(), text)
    }

    /// Its root certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(files::CA)
    }

    /// Leads a container's whole network to it; whether IPv6, too. What a container that restarts had is gone with its
    /// namespace.
    ///
    /// # Errors
    /// When that does not succeed: nothing may be tried then, as it could get to the real internet.
    pub async fn lead(&self, engine: &Engine, place: &Place, container: &str) -> Result<bool, Failure> {
        let arguments =
            vec![ENTRY.to_owned(), "route".to_owned(), self.address.to_string(), self.hardware.clone()];
        let body = ContainerCreateBody {
            host_config: Some(HostConfig {
                cap_add: Some(vec!["NET_ADMIN".to_owned()]),
                readonly_rootfs: Some(true),
                readonly_paths: Some(Vec::new()),
                network_mode: Some(format!("container:{container}")),
                ..HostConfig::default()
            }),
            ..place.body(&place.image(), arguments)
        };
        let (code, said) = place.run(engine, "route", body).await?;
        let said = said.trim();
        if code == 0 {
            // It says so when there is none.
            return Ok(said.is_empty());
        }
        Err(Failure::new(format!(
            "Can't lead {container} to the made-up internet, so nothing is tried: {said}"
        )))
    }
}
