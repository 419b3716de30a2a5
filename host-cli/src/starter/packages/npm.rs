//! npm, pnpm and yarn. npm is asked outside of the project; the project's `.npmrc` and `.yarnrc.yml` are read: yarn
//! runs whatever file the latter names.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Found, pairs};
use crate::starter::Host;
use crate::starter::host::text;

/// npm's public registry.
const PUBLIC: &str = "registry.npmjs.org";
/// Yarn's, when it is of the first kind.
const YARN: &str = "registry.yarnpkg.com";
const OF_MACHINE: &str = "npm config";

pub(super) fn find(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let asked = host.program("npm", &["config", "list", "--json"]).unwrap_or_default();
    let of_machine = registries_of_json(&asked);
    let of_project = text(&dir.join(".npmrc")).map(|text| registries_of_npmrc(&text)).unwrap_or_default();
    // npm takes its variables over the project's file.
    let by_variable =
        ["npm_config_registry", "NPM_CONFIG_REGISTRY"].iter().find_map(|name| host.variable(name));
    let mut all: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    all.extend(of_machine.iter().map(|(key, value)| (key.as_str(), (value.as_str(), OF_MACHINE))));
    all.extend(of_project.iter().map(|(key, value)| (key.as_str(), (value.as_str(), ".npmrc"))));
    if let Some(registry) = &by_variable {
        all.insert("registry", (registry, OF_MACHINE));
    }
    for (key, (url, why)) in &all {
        let why = if *key == "registry" { (*why).to_owned() } else { format!("{why}, {key}") };
        found.url(url, &why);
    }
    if !all.contains_key("registry") {
        found.hosts(&[PUBLIC], "npm's default");
    }
    let elsewhere = |(endpoint, why): &(_, String)| {
        let endpoint: &crate::starter::endpoint::Endpoint = endpoint;
        why.starts_with(OF_MACHINE) && endpoint.host != PUBLIC
    };
    if found.endpoints.iter().any(elsewhere) {
        found.of_this_machine(
            "npm's registry",
            "an .npmrc in the project, or from_env: [NPM_CONFIG_REGISTRY]",
        );
    }
    yarn(dir, &mut found);
    found
}

fn yarn(dir: &Path, found: &mut Found) {
    if let Some(text) = text(&dir.join(".yarnrc.yml")) {
        for line in text.lines().map(str::trim) {
            if let Some(url) = line.strip_prefix("npmRegistryServer:") {
                found.url(super::unquoted(url), ".yarnrc.yml");
            }
        }
    } else if dir.join("yarn.lock").is_file()
        && text(&dir.join("yarn.lock")).is_some_and(|text| text.contains("# yarn lockfile v1"))
        && !found.has(YARN)
    {
        found.hosts(&[YARN], "yarn's default");
    }
}

/// What npm says of itself. Only keys of registries are looked at; the others may hold tokens.
fn registries_of_json(text: &str) -> BTreeMap<String, String> {
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
    let text = |(key, value): (String, serde_json::Value)| Some((key, value.as_str()?.to_owned()));
    all.into_iter().filter(|(key, _)| is_registry(key)).filter_map(text).collect()
}

fn registries_of_npmrc(text: &str) -> BTreeMap<String, String> {
    let kept = pairs(text).filter(|(key, value)| is_registry(key) && !value.contains("${"));
    kept.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// `registry`, or `@scope:registry`.
fn is_registry(key: &str) -> bool {
    key == "registry" || key.starts_with('@') && key.ends_with(":registry")
}
