//! Where each package manager gets its packages from: by its own configuration, the user's and the project's, and
//! by its public default where that says nothing.

mod cargo;
mod go;
mod java;
mod npm;
mod others;
mod pip;

use std::path::{Path, PathBuf};

use super::endpoint::Endpoint;
use super::{Host, Language};

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Where to, and who says so.
    pub endpoints: Vec<(Endpoint, String)>,
    /// What can't be a rule, and what to know.
    pub notes: Vec<String>,
}

impl Found {
    /// An address as it is written.
    fn url(&mut self, text: &str, why: &str) {
        match Endpoint::of_url(text) {
            Ok(endpoint) => self.endpoints.push((endpoint, why.to_owned())),
            Err(error) => self.notes.push(format!("{why}: {error}")),
        }
    }

    /// Public defaults.
    fn hosts(&mut self, hosts: &[&str], why: &str) {
        self.endpoints.extend(hosts.iter().map(|host| (Endpoint::tls(host), why.to_owned())));
    }

    fn has(&self, host: &str) -> bool {
        self.endpoints.iter().any(|(endpoint, _)| endpoint.host == host)
    }

    /// What is set for this user and not in the project holds on this machine only.
    fn of_this_machine(&mut self, what: &str, by: &str) {
        self.notes.push(format!("{what} is set on this machine alone; an agent is told by {by}"));
    }
}

/// What a language's package manager needs.
pub(super) fn of(language: Language, dir: &Path, host: &dyn Host) -> Found {
    match language {
        Language::JavaScript => npm::find(dir, host),
        Language::Python => pip::find(dir, host),
        Language::Rust => cargo::find(dir, host),
        Language::Go => go::find(host),
        Language::Java => java::find(dir, host),
        Language::Ruby => others::ruby(dir, host),
        Language::Php => others::php(dir, host),
        Language::DotNet => others::dotnet(dir, host),
        Language::Elixir => others::elixir(host),
        Language::Dart => others::dart(host),
    }
}

/// A file of the user's home.
fn at_home(host: &dyn Host, file: &str) -> Option<PathBuf> {
    host.home().map(|home| home.join(file))
}

/// `key = value` lines, as `.npmrc` and `pip.conf` have them; the quotes round a value go.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.trim(), unquoted(value)))
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let within = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

/// Every address that stands in quotes or between tags behind a mark, like `url "…"` or `<url>…`.
fn addresses<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    let behind = text.match_indices(mark).filter_map(move |(at, _)| text.get(at + mark.len()..));
    behind.filter_map(|rest| {
        let line = rest.lines().next()?;
        let start = line.find("http")?;
        let address = line.get(start..)?;
        let end = address.find(['"', '\'', '<', ' ', ')', ';', '`']).unwrap_or(address.len());
        address.get(..end)
    })
}
