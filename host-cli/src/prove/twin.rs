//! The twin: an agent with the same image, init and rules, on a stack, a network and a state folder of its own. Some
//! rules are added that the attacks need, for names that nobody owns.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig};
use clap::Parser;
use clawker_protocol::boot::{BootConfig, Run};
use clawker_protocol::control::StateName;
use clawker_protocol::names::Name;
use clawker_prove::catalogue::{self, Family, names, rebind};
use clawker_prove::files;
use clawker_prove::task::Places;

use super::host;
use super::place::Place;
use super::sink::{self, Sink};
use crate::cli::{Cli, Command};
use crate::config::{self, Build, Loaded, ProjectConfig, RawRule, Settings, Written};
use crate::context::Context;
use crate::docker::extras::Extras;
use crate::docker::{DockerError, Engine};
use crate::exit::Failure;
use crate::launch::{self, Interrupt, Plan};
use crate::lent::Lent;
use crate::lock::StateLock;
use crate::output::Progress;
use crate::paths::Paths;
use crate::project::{Accepted, CliRule, Project};
use crate::reached::Reached;
use crate::resolve::{self, DEFAULT_AGENT};
use crate::store::AgentRecord;
use crate::{build, control, dns, grant, images, stack, workspace};

/// How long the twin may take to start.
const START: Duration = Duration::from_secs(30);
/// How long a name is listed that is listed for a while: longer than any run.
const GRANT: Duration = Duration::from_secs(3_600);
/// How long the sender goes on after the twin's start.
const FIRST: Duration = Duration::from_millis(500);
/// The resolver of the made-up internet.
const RESOLVER: std::net::Ipv4Addr = std::net::Ipv4Addr::new(198, 51, 100, 10);
/// The port that is published, at one of the host's that Docker chooses and only the host can reach.
const PUBLISH: &str = "127.0.0.1::7778";
/// What the plain container holds beyond what Docker gives anyway.
const CAPABILITIES: [&str; 6] =
    ["SYS_ADMIN", "SYS_PTRACE", "SYS_NICE", "DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW"];
/// The probe's and the payload's names in the twin's project.
const PROBE: &str = "prove";
const PAYLOAD: &str = "payload";

/// Whose twin.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The agent.
    pub agent: Option<String>,
    /// Another image.
    pub image: Option<String>,
}

/// It.
#[derive(Debug)]
pub struct Twin<'a> {
    /// Where it keeps what it made.
    pub place: &'a Place,
    /// Docker.
    pub engine: Engine,
    /// Its own folders and names.
    pub paths: Paths,
    /// Its record.
    pub record: AgentRecord,
    /// The made-up internet.
    pub sink: Sink,
    /// What attackers are told.
    pub places: Places,
    /// The plain container beside it.
    pub plain: String,
    /// The user opened user namespaces to the agent.
    pub userns: bool,
    /// It has IPv6.
    pub six: bool,
    /// What the sender in it sends: a file.
    pub payload: PathBuf,
    /// What the sender sent all through the twin's start.
    pub first: String,
    /// The settings of its stack.
    pub settings: Settings,
}

impl<'a> Twin<'a> {
    /// Makes stack, sink and twin; nobody can reach anything real once it is there.
    ///
    /// # Errors
    /// When any part can't be had.
    pub async fn raise(ctx: &Context, wanted: &Wanted, place: &'a Place) -> Result<Self, Failure> {
        Place::clear_others(ctx).await;
        let mut loaded = config::load(&ctx.cwd, &ctx.paths)?;
        let agent = agent(ctx, wanted)?;
        let record = resolve::agent(&ctx.paths, &ctx.cwd, Some(agent.as_str())).ok();
        let given = wanted.image.as_deref().or(record.as_ref().map(|record| record.image.as_str()));
        let engine = Engine::connect(loaded.settings.docker.host.as_deref()).await?;
        let (api, out) = (&engine.api, &ctx.output);
        let image = build::agent_image(&engine, &ctx.paths, given, &loaded, out).await?;
        // It is there; the twin's own folder has none of the files that it was made of.
        loaded.config.build = Build::default();
        crate::docker::image::find(&engine, &image, out).await?;
        let of_stack = images::stack(&ctx.paths, &loaded.settings, out).await?;
        images::make(api, &ctx.paths, &loaded.settings, &of_stack, out).await?;
        loaded.settings.firewall.envoy_image = Some(of_stack.envoy);
        loaded.settings.firewall.coredns_image = Some(of_stack.coredns);

        ctx.output.step("Making a twin and an internet for it");
        let (paths, project) = (place.paths(), place.project());
        for folder in [&paths.state, &paths.config, &project] {
            fs::create_dir_all(folder)?;
        }
        let (probe, payload) = (project.join(PROBE), project.join(PAYLOAD));
        sink::write_probe(&probe)?;
        sink::import(&engine, place).await?;
        loaded.settings.firewall.upstream_dns = vec![RESOLVER];
        loaded.settings.firewall.enable = true;
        let info = stack::ensure(api, &paths, &loaded.settings, &Silent).await?;
        let sink = Sink::start(&engine, place, &info.network).await?;
        for container in [paths.envoy_container(), paths.coredns_container()] {
            sink.lead(&engine, place, &container).await?;
        }
        let plain = plain(&engine, place, &image, &info.network, &probe).await?;
        sink.lead(&engine, place, &plain).await?;
        let envoy = paths.envoy_container();
        for inside in [
            ("inside-gateway", envoy.as_str(), files::LOOPBACK_GATEWAY),
            ("inside-plain", plain.as_str(), files::LOOPBACK_PLAIN),
        ] {
            sink.listen_within(&engine, place, inside).await?;
        }
        let host = host::listen(info.gateway, &sink.of_host())?;
        let neighbour = address_of(&engine, &plain, &info.network).await?;

        let mut theirs = Project::load(&ctx.paths, &loaded.dir)?;
        super::agreed::put(&mut loaded, theirs.accepted.as_ref(), &project)?;
        add_rules(&mut loaded, &sink)?;
        theirs.cli.push(granted()?);
        loaded.dir.clone_from(&project);
        accept(&loaded, theirs, &paths)?;
        let userns = loaded.config.security.userns;
        let first = super::batch::canary()?;
        fs::write(&payload, format!("udp {first}"))?;
        let sender = [&probe, Path::new("flood"), &payload].map(|part| part.to_string_lossy().into_owned());
        let command = sender.into_iter().chain([sink.address.to_string()]).collect();
        let record = make(ctx, &engine, &paths, &info, &loaded, (agent, image, command)).await?;
        tokio::time::sleep(FIRST).await;
        fs::write(&payload, "")?;
        let six = sink.lead(&engine, place, &record.container).await?;
        let places = Places { neighbour, host, ..places(&paths, &record, &info, sink.address)? };
        Ok(Self {
            place,
            engine,
            paths,
            record,
            sink,
            places,
            plain,
            userns,
            six,
            payload,
            first,
            settings: loaded.settings,
        })
    }

    /// The probe's path, which is the same in every container.
    pub fn probe(&self) -> String {
        self.place.project().join(PROBE).to_string_lossy().into_owned()
    }

    /// Waits until the twin's init answers and enforces.
    ///
    /// # Errors
    /// When it does not.
    pub async fn wait(&self) -> Result<(), Failure> {
        wait(&self.paths, &self.record).await
    }
}

/// The steps of making a stack are not told: the user's own is not meant.
struct Silent;

impl Progress for Silent {
    fn step(&self, _text: &str) {}
    fn done(&self) {}
}

fn agent(ctx: &Context, wanted: &Wanted) -> Result<Name, Failure> {
    if let Some(name) = &wanted.agent {
        return Ok(Name::new(name)?);
    }
    let found = resolve::agent(&ctx.paths, &ctx.cwd, None).ok();
    Ok(found.map_or_else(|| Name::new(DEFAULT_AGENT), |record| Ok(record.agent))?)
}

/// What the attacks need besides the user's own rules: a name that is passed on, one that is looked into, a plain one.
fn add_rules(loaded: &mut Loaded, sink: &Sink) -> Result<(), Failure> {
    let mut rules = vec![
        format!("{{ dst: {} }}", names::GOOD),
        format!("{{ dst: {}, path_rules: [{{ path: {} }}] }}", names::PATHS, names::OPEN_PATH),
        format!("{{ dst: {}, proto: http }}", names::PLAIN),
        format!("{{ dst: {}, proto: ssh }}", names::SSH),
        format!("{{ dst: {}, proto: tcp, port: 443 }}", names::DIRECT),
        format!("{{ dst: {}, private: [{}/32] }}", names::PRIVATE, names::PRIVATE_TO),
    ];
    let rebound = catalogue::all().filter(|attack| attack.family == Family::Rebinding);
    rules.extend(rebound.map(|attack| match attack.id {
        // Listed as private space, too: the container's own network is not to be had for that either.
        rebind::NETWORK => format!("{{ dst: {}, private: [{}/32] }}", rebind::name(attack.id), sink.address),
        _ => format!("{{ dst: {} }}", rebind::name(attack.id)),
    }));
    let security = &mut loaded.config.security;
    security.firewall.rules.extend(parsed(&rules)?);
    // A resolver of the project's own would be a real one.
    security.firewall.upstream_dns.clear();
    for path in &mut security.extra_ca {
        *path = loaded.dir.join(&*path);
    }
    security.extra_ca.push(sink.certificate());
    Ok(())
}

/// A name that is listed for a while, as `clawker firewall add --for` lists it.
fn granted() -> Result<CliRule, Failure> {
    let rule = parsed(&[format!("{{ dst: {} }}", names::GRANTED)])?.into_iter().next();
    let rule = rule.ok_or_else(|| Failure::new("The twin has no rule for a while"))?;
    Ok(CliRule { rule: rule.value, agent: None, expires: Some(grant::end(GRANT, grant::now())?) })
}

/// Rules as a project's file has them.
///
/// # Errors
/// When one is none.
pub fn parsed(rules: &[String]) -> Result<Vec<Written<RawRule>>, Failure> {
    let text = format!("security:\n  firewall:\n    rules:\n      - {}\n", rules.join("\n      - "));
    let ours: ProjectConfig = config::parse(Path::new("clawker prove"), &text)?;
    Ok(ours.security.firewall.rules)
}

/// What the twin is made of is accepted, and the rules that commands added to the user's project are its, too.
fn accept(loaded: &Loaded, theirs: Project, paths: &Paths) -> Result<(), Failure> {
    let accepted = Some(Accepted::wanted(loaded)?);
    let lock = StateLock::acquire(paths)?;
    Ok(Project { dir: loaded.dir.clone(), accepted, cli: theirs.cli }.save(paths, &lock)?)
}

async fn plain(
    engine: &Engine,
    place: &Place,
    image: &str,
    network: &str,
    probe: &Path,
) -> Result<String, Failure> {
    let project = place.project().to_string_lossy().into_owned();
    let body = ContainerCreateBody {
        host_config: Some(HostConfig {
            binds: Some(vec![format!("{project}:{project}:ro")]),
            // Not --privileged: that takes what an engine in a container can't give.
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["seccomp=unconfined".to_owned(), "apparmor=unconfined".to_owned()]),
            readonly_paths: Some(Vec::new()),
            masked_paths: Some(Vec::new()),
            network_mode: Some(network.to_owned()),
            ..HostConfig::default()
        }),
        ..place.body(image, vec![probe.to_string_lossy().into_owned(), "serve".to_owned()])
    };
    place.start(engine, "plain", body).await
}

/// A container's address on a network.
async fn address_of(engine: &Engine, container: &str, network: &str) -> Result<std::net::Ipv4Addr, Failure> {
    let found = engine.api.inspect_container(container, None).await.map_err(DockerError::from)?;
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let address = networks.get(network).and_then(|one| one.ip_address.as_deref()?.parse().ok());
    address.ok_or_else(|| Failure::new("Docker gave a container no address"))
}

async fn make(
    ctx: &Context,
    engine: &Engine,
    paths: &Paths,
    info: &stack::StackInfo,
    loaded: &Loaded,
    (agent, image, command): (Name, String, Vec<String>),
) -> Result<AgentRecord, Failure> {
    let cli = Cli::try_parse_from(["clawker", "run", "--yes", "--detach", "--publish", PUBLISH]);
    let Ok(Cli { command: Command::Run(args), .. }) = cli else {
        return Err(Failure::new("clawker run can't be asked for"));
    };
    let folder = fs::metadata(&ctx.cwd)?;
    let (uid, gid) = workspace::identity(folder.uid(), folder.gid());
    let env = loaded.config.agent.env.clone();
    let run = Run {
        uid,
        gid,
        groups: vec![],
        command,
        env,
        tty: false,
        session: false,
        userns: loaded.config.security.userns,
        idmapped: None,
    };
    let own = Context { paths: paths.clone(), output: ctx.output, cwd: loaded.dir.clone() };
    // Without limits of its own: what the twin is attacked with are packets and calls.
    let extras = Extras::default();
    // The twin's project is its own: it is bound, whatever the user's is.
    let project = Reached::bound(&own, loaded)?;
    let plan = Plan {
        args: &args,
        loaded,
        agent: &agent,
        image,
        run,
        stdin: false,
        extras,
        lent: Lent::default(),
        keeps: false,
        docker_socket: None,
        project,
        worktree: None,
    };
    let made = launch::make(&own, engine, info, &plan, &Interrupt::watch()?).await?;
    engine.api.start_container(&made.id, None).await.map_err(DockerError::from)?;
    wait(paths, &made.record).await?;
    Ok(made.record)
}

async fn wait(paths: &Paths, record: &AgentRecord) -> Result<(), Failure> {
    let end = Instant::now() + START;
    loop {
        match control::quick_status(paths, record) {
            Ok(status) if status.state == StateName::Enforcing => return Ok(()),
            _ if Instant::now() < end => tokio::time::sleep(Duration::from_millis(30)).await,
            Ok(_) => return Err(Failure::new("The twin did not come up behind its firewall")),
            Err(error) => return Err(error.into()),
        }
    }
}

fn places(
    paths: &Paths,
    record: &AgentRecord,
    info: &stack::StackInfo,
    sink: std::net::Ipv4Addr,
) -> Result<Places, Failure> {
    let boot = fs::read(paths.agent_dir(&record.id).join("boot.json"))?;
    let enforcement = BootConfig::parse(&boot)?.enforcement;
    let listener =
        enforcement.port_routes.iter().find(|route| route.ports.first() <= 443 && 443 <= route.ports.last());
    Ok(Places {
        twin: record.address,
        neighbour: record.address,
        host: None,
        remembered: Vec::new(),
        sink,
        envoy: info.envoy,
        listener: listener.map(|route| route.listener).unwrap_or_default(),
        coredns: info.coredns,
        dns_port: enforcement.dns_port,
        open_dns_port: enforcement.open_dns_port,
        health_port: dns::HEALTH_PORT,
    })
}
