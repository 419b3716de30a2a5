//! pip, and what uv, poetry and pdm say in `pyproject.toml`. pip is asked outside of the project.

use std::path::Path;

use super::{Found, unquoted};
use crate::starter::Host;
use crate::starter::host::text;

/// PyPI's index, and where its files lie.
const PUBLIC: [&str; 2] = ["pypi.org", "files.pythonhosted.org"];
/// Which of pip's places counts most; the first that says it.
const PLACES: [&str; 4] = [":env:", "install", "download", "global"];

pub(super) fn find(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let asked =
        host.program("pip3", &["config", "list"]).or_else(|| host.program("pip", &["config", "list"]));
    let mut settings = asked.as_deref().map(settings).unwrap_or_default();
    for (variable, key) in [
        ("PIP_INDEX_URL", "index-url"),
        ("PIP_EXTRA_INDEX_URL", "extra-index-url"),
        ("UV_DEFAULT_INDEX", "index-url"),
        ("UV_INDEX_URL", "index-url"),
        ("UV_EXTRA_INDEX_URL", "extra-index-url"),
        ("UV_INDEX", "extra-index-url"),
    ] {
        settings.extend(host.variable(variable).map(|value| (":env:".to_owned(), key.to_owned(), value)));
    }
    let mut has_index = false;
    for place in PLACES {
        for (_, key, value) in settings.iter().filter(|(at, ..)| at == place) {
            let counts = key != "index-url" || !std::mem::replace(&mut has_index, true);
            let urls = value.split_whitespace().filter(|_| counts);
            // uv has name=url.
            urls.for_each(|url| {
                found.url(url.split_once("=http").map_or(url, |_| after_name(url)), "pip config")
            });
        }
    }
    let of_machine = found.endpoints.iter().any(|(endpoint, _)| !PUBLIC.contains(&endpoint.host.as_str()));
    if of_machine {
        found.of_this_machine("pip's index", "from_env: [PIP_INDEX_URL], or the project's own files");
    }
    for name in ["requirements.txt", "requirements-dev.txt"] {
        has_index |= requirements(&text(&dir.join(name)).unwrap_or_default(), name, &mut found);
    }
    has_index |= pyproject(&text(&dir.join("pyproject.toml")).unwrap_or_default(), &mut found);
    if !has_index || found.has(PUBLIC[0]) {
        found.hosts(&PUBLIC, "pip's default");
    }
    found
}

fn after_name(url: &str) -> &str {
    url.split_once('=').map_or(url, |(_, url)| url)
}

/// `global.index-url='https://…'` lines, as place, key and value. Others may hold passwords.
fn settings(text: &str) -> Vec<(String, String, String)> {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let split = lines.filter_map(|(key, value)| Some((key.trim().rsplit_once('.')?, value)));
    let ours = split.filter(|((_, key), _)| matches!(*key, "index-url" | "extra-index-url"));
    // Several stand in one value, apart by an escaped newline.
    ours.map(|((at, key), value)| (at.to_owned(), key.to_owned(), unquoted(value).replace("\\n", " ")))
        .collect()
}

/// Whether it names an index of its own.
fn requirements(text: &str, name: &str, found: &mut Found) -> bool {
    let mut has_index = false;
    for line in text.lines().map(str::trim) {
        for (option, is_index) in
            [("--index-url", true), ("-i ", true), ("--extra-index-url", false), ("--find-links", false)]
        {
            if let Some(rest) = line.strip_prefix(option) {
                has_index |= is_index;
                let url = rest.trim_start_matches(['=', ' ']).split_whitespace().next().unwrap_or_default();
                found.url(url, name);
            }
        }
    }
    has_index
}

/// Likewise of `[tool.uv]`, `[[tool.uv.index]]`, `[[tool.poetry.source]]` and `[[tool.pdm.source]]`.
fn pyproject(text: &str, found: &mut Found) -> bool {
    const WHY: &str = "pyproject.toml";
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    let tool = |name: &str| table.get("tool").and_then(|tool| tool.get(name));
    let mut has_index = false;
    let uv = tool("uv");
    if let Some(url) = uv.and_then(|uv| uv.get("index-url")).and_then(toml::Value::as_str) {
        found.url(url, WHY);
        has_index = true;
    }
    let lists = [
        uv.and_then(|uv| uv.get("index")),
        tool("poetry").and_then(|tool| tool.get("source")),
        tool("pdm").and_then(|tool| tool.get("source")),
    ];
    for source in lists.into_iter().flatten().filter_map(toml::Value::as_array).flatten() {
        if let Some(url) = source.get("url").and_then(toml::Value::as_str) {
            found.url(url, WHY);
        }
        let primary = source.get("priority").and_then(toml::Value::as_str) == Some("primary");
        has_index |= primary || source.get("default").and_then(toml::Value::as_bool) == Some(true);
    }
    has_index
}
