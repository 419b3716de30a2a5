//! Maven and Gradle. Their files are read: both would run the project's build to answer.

use std::path::Path;

use super::{Found, addresses, at_home};
use crate::starter::Host;
use crate::starter::host::text;

const CENTRAL: &str = "repo.maven.apache.org";
const GRADLE: [&str; 6] = [
    "build.gradle",
    "build.gradle.kts",
    "settings.gradle",
    "settings.gradle.kts",
    "app/build.gradle",
    "app/build.gradle.kts",
];

pub(super) fn find(dir: &Path, host: &dyn Host) -> Found {
    let mut found = Found::default();
    let settings = at_home(host, ".m2/settings.xml").and_then(|file| text(&file)).unwrap_or_default();
    let mut mirrored = false;
    for mirror in blocks(&settings, "mirror") {
        mirrored |= tag(mirror, "mirrorOf").is_some_and(|of| of == "*" || of.contains("central"));
        addresses(mirror, "<url>").for_each(|url| found.url(url, "~/.m2/settings.xml"));
    }
    for kind in ["repository", "pluginRepository"] {
        for (text, why) in
            [(&settings, "~/.m2/settings.xml"), (&text(&dir.join("pom.xml")).unwrap_or_default(), "pom.xml")]
        {
            let blocks = blocks(text, kind);
            blocks.iter().flat_map(|block| addresses(block, "<url>")).for_each(|url| found.url(url, why));
        }
    }
    if mirrored {
        found.of_this_machine("Maven's mirror", "a settings.xml in the image, or the project's pom.xml");
    }
    let files = GRADLE.iter().filter_map(|name| Some((*name, text(&dir.join(name))?)));
    let files: Vec<_> = files.collect();
    let mut plugins = false;
    for (name, text) in &files {
        ["url ", "url=", "url(", "setUrl("]
            .iter()
            .flat_map(|mark| addresses(text, mark))
            .for_each(|url| found.url(url, name));
        if text.contains("google()") {
            found.hosts(&["dl.google.com"], name);
        }
        plugins |= text.contains("plugins {") || text.contains("gradlePluginPortal()");
    }
    if plugins {
        found.hosts(&["plugins.gradle.org", "plugins-artifacts.gradle.org"], "Gradle's plugins");
    }
    let wrapper = text(&dir.join("gradle/wrapper/gradle-wrapper.properties")).unwrap_or_default();
    for url in super::pairs(&wrapper)
        .filter(|(key, _)| *key == "distributionUrl")
        .map(|(_, url)| url.replace("\\:", ":"))
    {
        found.url(&url, "gradle-wrapper.properties");
    }
    if !mirrored {
        let why = if files.is_empty() { "Maven's default" } else { "Maven Central" };
        found.hosts(&[CENTRAL], why);
    }
    found
}

/// The texts between `<name>` and `</name>`.
fn blocks<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let behind = text.split(open.as_str()).skip(1);
    behind.filter_map(|rest| rest.split(close.as_str()).next()).collect()
}

fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    blocks(text, name).first().map(|text| text.trim())
}
