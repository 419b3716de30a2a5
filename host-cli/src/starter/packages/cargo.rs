//! cargo. Its configuration files are read, not asked for: `cargo` is a proxy that runs the toolchain which the
//! project's `rust-toolchain.toml` names.

use std::path::{Path, PathBuf};

use super::{Found, at_home};
use crate::starter::Host;
use crate::starter::host::text;

/// crates.io's index, and where its crates lie.
const PUBLIC: [&str; 2] = ["index.crates.io", "static.crates.io"];

pub(super) fn find(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let of_project = dir.ancestors().map(|dir| dir.join(".cargo"));
    let home = host.variable("CARGO_HOME").map(PathBuf::from).or_else(|| at_home(host, ".cargo"));
    let mut tables: Vec<(toml::Table, &str, bool)> = Vec::new();
    for (folder, why) in of_project
        .map(|dir| (dir, ".cargo/config.toml"))
        .chain(home.map(|home| (home, "cargo's config.toml")))
    {
        let file = ["config", "config.toml"].iter().find_map(|name| text(&folder.join(name)));
        let Some(table) = file.and_then(|text| text.parse().ok()) else { continue };
        tables.push((table, why, folder.starts_with(dir)));
    }
    let mut replaced = false;
    let mut of_machine = false;
    for (table, why, in_project) in &tables {
        let (urls, replaces) = sources(table, replaced);
        replaced |= replaces;
        of_machine |= !urls.is_empty() && !in_project;
        urls.iter().for_each(|url| found.url(url, why));
    }
    // The nearest that replaces crates.io may name a source that another file describes.
    if replaced && found.endpoints.is_empty() {
        let described =
            tables.iter().flat_map(|(table, why, _)| described(table).map(move |url| (url, *why)));
        let described: Vec<_> = described.collect();
        described.into_iter().for_each(|(url, why)| found.url(url, why));
    }
    if of_machine {
        found.of_this_machine("cargo's registry", "a .cargo/config.toml in the project");
    }
    if !found.endpoints.is_empty() {
        found
            .notes
            .push("a registry may hand out its crates at another host: clawker firewall learn".to_owned());
    }
    if !replaced {
        found.hosts(&PUBLIC, "cargo's default");
    }
    found
}

/// The addresses that a file's registries and replacement of crates.io come to, and whether it has the latter; the
/// nearest file's replacement counts alone.
fn sources(table: &toml::Table, replaced: bool) -> (Vec<&str>, bool) {
    let registries = table.get("registries").and_then(toml::Value::as_table);
    let indexes = registries.into_iter().flat_map(|all| all.values()).filter_map(|one| one.get("index"));
    let mut urls: Vec<&str> = indexes.filter_map(toml::Value::as_str).collect();
    let source = |name: &str| table.get("source").and_then(|all| all.get(name));
    let with =
        |name: &str| source(name).and_then(|one| one.get("replace-with")).and_then(toml::Value::as_str);
    let mut name = "crates-io";
    let mut replaces = false;
    // As many steps as there could be without a circle.
    for _ in 0..16 {
        let Some(next) = with(name).filter(|_| !replaced) else { break };
        (name, replaces) = (next, true);
    }
    urls.extend(source(name).filter(|_| replaces).into_iter().flat_map(address));
    (urls, replaces)
}

fn described(table: &toml::Table) -> impl Iterator<Item = &str> {
    let all = table.get("source").and_then(toml::Value::as_table);
    all.into_iter().flat_map(|all| all.values()).flat_map(address)
}

/// A source's address; one that is a folder has none.
fn address(source: &toml::Value) -> Option<&str> {
    source.get("registry").or_else(|| source.get("git")).and_then(toml::Value::as_str)
}
