//! Package managers that need little: their files are read, or a variable.

use std::path::{Path, PathBuf};

use super::{Found, addresses, at_home};
use crate::starter::Host;
use crate::starter::host::text;

/// Bundler: the Gemfile's sources, and the user's mirrors.
pub(super) fn ruby(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let config = at_home(host, ".bundle/config").and_then(|file| text(&file)).unwrap_or_default();
    let mirrors = config.lines().filter(|line| line.starts_with("BUNDLE_MIRROR__"));
    let mirrors: Vec<_> =
        mirrors.filter_map(|line| line.split_once(": ")).map(|(_, url)| super::unquoted(url)).collect();
    mirrors.iter().for_each(|url| found.url(url, "bundle config"));
    if !mirrors.is_empty() {
        found.of_this_machine("Bundler's mirror", "a .bundle/config in the project");
    }
    for name in ["Gemfile", "gems.rb"] {
        let text = text(&dir.join(name)).unwrap_or_default();
        addresses(&text, "source ").chain(addresses(&text, "source(")).for_each(|url| found.url(url, name));
    }
    if found.endpoints.is_empty() || found.has("rubygems.org") {
        found.hosts(&["rubygems.org", "index.rubygems.org"], "RubyGems");
    }
    found
}

/// Composer: the repositories of both its files.
pub(super) fn php(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let home =
        host.variable("COMPOSER_HOME").map(PathBuf::from).or_else(|| at_home(host, ".config/composer"));
    let mut public = true;
    let files = [
        Some((dir.join("composer.json"), "composer.json")),
        home.map(|home| (home.join("config.json"), "composer config -g")),
    ];
    for (file, why) in files.into_iter().flatten() {
        let json: serde_json::Value =
            text(&file).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let all = &json["repositories"];
        let listed = all.as_array().into_iter().flatten();
        let named = all.as_object().into_iter().flat_map(|all| all.values());
        listed.chain(named).filter_map(|one| one["url"].as_str()).for_each(|url| found.url(url, why));
        let off = |one: &serde_json::Value| one["packagist.org"] == false;
        public &= !off(all) && !all.as_array().is_some_and(|all| all.iter().any(off));
    }
    if public {
        found.hosts(&["repo.packagist.org"], "Composer's default");
        // Where packages are hosted says each package; nearly all there.
        found.hosts(&["api.github.com", "codeload.github.com"], "where Composer's packages lie");
    }
    found
}

/// NuGet: the sources of its files.
pub(super) fn dotnet(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let mut cleared = false;
    let project =
        ["nuget.config", "NuGet.config", "NuGet.Config"].map(|name| (dir.join(name), "nuget.config"));
    let user = at_home(host, ".nuget/NuGet/NuGet.Config").map(|file| (file, "NuGet.Config"));
    for (file, why) in project.into_iter().chain(user) {
        let Some(text) = text(&file) else { continue };
        let sources =
            text.split("<packageSources>").nth(1).and_then(|rest| rest.split("</packageSources>").next());
        let sources = sources.unwrap_or_default();
        addresses(sources, "value=").for_each(|url| found.url(url, why));
        cleared |= sources.contains("<clear");
        if cleared {
            break;
        }
    }
    if !cleared && !found.has("api.nuget.org") {
        found.hosts(&["api.nuget.org"], "NuGet's default");
    }
    found
}

/// Hex.
pub(super) fn elixir(host: &dyn Host) -> Found {
    let mut found = Found::default();
    match host.variable("HEX_MIRROR").or_else(|| host.variable("HEX_MIRROR_URL")) {
        Some(url) => found.url(&url, "HEX_MIRROR"),
        None => found.hosts(&["repo.hex.pm"], "Hex's default"),
    }
    found.hosts(&["builds.hex.pm"], "mix local.hex");
    found
}

/// Pub.
pub(super) fn dart(host: &dyn Host) -> Found {
    let mut found = Found::default();
    match host.variable("PUB_HOSTED_URL") {
        Some(url) => found.url(&url, "PUB_HOSTED_URL"),
        None => found.hosts(&["pub.dev"], "pub's default"),
    }
    found
}
