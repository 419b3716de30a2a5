//! Several files become one configuration: the nearest that gives a value wins, variables and labels go by name, rules
//! and `add_domains` are joined. Remembers which file each value comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::layer::Layer;
use super::{Agent, Build, ClaudeCode, ClaudeConfig, Firewall, GitCredentials, Limits};
use super::{ProjectConfig, Security, Workspace, Written};
use crate::recipe::Instructions;

/// From which file a value comes, by its key (`agent.env.DEBUG`). A key that is joined names all.
pub type Origins = BTreeMap<String, Vec<PathBuf>>;

/// The merged configuration; the nearest layer comes first. Paths in it start from `root`.
pub fn merge(layers: &[Layer], root: &Path) -> (ProjectConfig, Origins) {
    let mut merged = Merged { config: ProjectConfig::default(), origins: Origins::new() };
    for layer in layers.iter().rev() {
        merged.put(layer, root);
    }
    (merged.config, merged.origins)
}

struct Merged {
    config: ProjectConfig,
    origins: Origins,
}

/// Takes a value over where the layer gives it.
macro_rules! nearest {
    ($merged:ident, $layer:ident: $($key:ident).+) => {
        if $layer.gives(&key(stringify!($($key).+))) {
            $merged.config.$($key).+ = $layer.config.$($key).+.clone();
            $merged.origins.insert(key(stringify!($($key).+)), vec![$layer.file.clone()]);
        }
    };
}

/// Likewise, for each name of a map by itself.
macro_rules! by_name {
    ($merged:ident, $layer:ident: $($key:ident).+) => {
        for (name, value) in &$layer.config.$($key).+ {
            $merged.config.$($key).+.insert(name.clone(), value.clone());
            $merged.origins.insert(
                format!("{}.{name}", key(stringify!($($key).+))),
                vec![$layer.file.clone()],
            );
        }
    };
}

/// Joins a list; what a farther file says word for word is not said twice.
macro_rules! joined {
    ($merged:ident, $layer:ident: $($key:ident).+) => {
        if $layer.gives(&key(stringify!($($key).+))) {
            join(&mut $merged.config.$($key).+, &$layer.config.$($key).+);
            $merged.origins.entry(key(stringify!($($key).+))).or_default().insert(0, $layer.file.clone());
        }
    };
}

impl Merged {
    fn put(&mut self, layer: &Layer, root: &Path) {
        // A new key does not compile until it stands here; below it is to be merged.
        let ProjectConfig { project: _, agent, build, workspace, security, limits } = &layer.config;
        let Agent { env_file: _, from_env: _, env: _, command: _, post_init: _, uid: _, claude_code } = agent;
        let ClaudeCode { use_host_auth: _, config: ClaudeConfig { strategy: _ } } = claude_code;
        let Build { image: _, dockerfile: _, packages: _, instructions } = build;
        let Instructions { args: _, labels: _, env: _, copy: _, root_run: _, user_run: _ } = instructions;
        let Security { extra_ca: _, userns: _, docker_socket: _, git_credentials, firewall } = security;
        let GitCredentials { copy_git_config: _, forward_https: _, forward_ssh: _ } = git_credentials;
        let Workspace { default_mode: _, ignore } = workspace;
        let Firewall { add_domains: _, rules: _, telemetry: _, inspect: _, upstream_dns: _ } = firewall;
        let Limits { memory: _, cpus: _, pids: _ } = limits;
        let from_root = |path: &PathBuf| rebase(layer.folder(), path, root);
        nearest!(self, layer: project);
        nearest!(self, layer: agent.env_file);
        if layer.gives("agent.env_file") {
            self.config.agent.env_file = layer.config.agent.env_file.iter().map(from_root).collect();
        }
        nearest!(self, layer: agent.from_env);
        by_name!(self, layer: agent.env);
        nearest!(self, layer: agent.post_init);
        nearest!(self, layer: agent.command);
        nearest!(self, layer: agent.uid);
        nearest!(self, layer: agent.claude_code.use_host_auth);
        nearest!(self, layer: agent.claude_code.config.strategy);
        nearest!(self, layer: security.git_credentials.copy_git_config);
        nearest!(self, layer: security.git_credentials.forward_https);
        nearest!(self, layer: security.git_credentials.forward_ssh);
        // Each stands in the other's place: what a farther file says of the other no longer holds.
        match (layer.gives("build.image"), layer.gives("build.dockerfile")) {
            (true, false) => self.config.build.dockerfile = self.forget("build.dockerfile"),
            (false, true) => self.config.build.image = self.forget("build.image"),
            _ => {}
        }
        nearest!(self, layer: build.image);
        nearest!(self, layer: workspace.default_mode);
        // Like rules, they narrow: no nearer file takes one away but by a pattern of its own that begins with `!`.
        if layer.gives("workspace.ignore") {
            self.config.workspace.ignore.extend(ignore.iter().cloned());
            self.origins.entry(key("workspace.ignore")).or_default().insert(0, layer.file.clone());
        }
        nearest!(self, layer: build.dockerfile);
        if layer.gives("build.dockerfile") {
            self.config.build.dockerfile = layer.config.build.dockerfile.as_ref().map(from_root);
        }
        nearest!(self, layer: build.packages);
        by_name!(self, layer: build.instructions.args);
        by_name!(self, layer: build.instructions.labels);
        by_name!(self, layer: build.instructions.env);
        nearest!(self, layer: build.instructions.copy);
        if let (true, Ok(below)) = (layer.gives("build.instructions.copy"), layer.folder().strip_prefix(root))
        {
            for one in &mut self.config.build.instructions.copy {
                one.src = below.join(&one.src).to_string_lossy().into_owned();
            }
        }
        nearest!(self, layer: build.instructions.root_run);
        nearest!(self, layer: build.instructions.user_run);
        nearest!(self, layer: security.extra_ca);
        if layer.gives("security.extra_ca") {
            self.config.security.extra_ca = layer.config.security.extra_ca.iter().map(from_root).collect();
        }
        nearest!(self, layer: security.userns);
        nearest!(self, layer: security.docker_socket);
        joined!(self, layer: security.firewall.add_domains);
        joined!(self, layer: security.firewall.rules);
        nearest!(self, layer: security.firewall.telemetry);
        nearest!(self, layer: security.firewall.inspect);
        nearest!(self, layer: security.firewall.upstream_dns);
        nearest!(self, layer: limits.memory);
        nearest!(self, layer: limits.cpus);
        nearest!(self, layer: limits.pids);
    }
}

impl Merged {
    /// A value that is none, and comes from nowhere.
    fn forget<T>(&mut self, key: &str) -> Option<T> {
        self.origins.remove(key);
        None
    }
}

/// A key as people write it: the compiler may put blanks round the dots.
fn key(tokens: &str) -> String {
    tokens.chars().filter(|c| !c.is_whitespace()).collect()
}

fn join<T: Clone + PartialEq>(all: &mut Vec<Written<T>>, near: &[Written<T>]) {
    let known = all.len();
    for one in near {
        let far = all.iter().take(known).any(|far| far.value == one.value && far.file != one.file);
        if !far {
            all.push(one.clone());
        }
    }
}

/// A path that starts from a file's folder, as one that starts from the project's.
fn rebase(folder: &Path, path: &Path, root: &Path) -> PathBuf {
    match folder.strip_prefix(root) {
        Ok(below) => below.join(path),
        Err(_) => folder.join(path),
    }
}
