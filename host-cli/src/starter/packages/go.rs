//! go, asked outside of the project, whose `go.mod` may name a toolchain to run.

use std::collections::BTreeMap;

use super::Found;
use crate::starter::Host;

/// What `go env` says where nothing is set.
const PROXY: &str = "https://proxy.golang.org,direct";
const SUMS: &str = "sum.golang.org";

pub(super) fn find(host: &dyn Host) -> Found {
    let mut found = Found::default();
    let asked = host.program("go", &["env", "-json", "GOPROXY", "GOSUMDB", "GOPRIVATE"]).unwrap_or_default();
    let asked: BTreeMap<String, String> = serde_json::from_str(&asked).unwrap_or_default();
    let value = |name: &str| {
        asked.get(name).cloned().filter(|value| !value.is_empty()).or_else(|| host.variable(name))
    };
    let proxy = value("GOPROXY");
    let why = if proxy.is_some() { "go env GOPROXY" } else { "go's default" };
    let list = proxy.as_deref().unwrap_or(PROXY);
    for one in list.split([',', '|']).map(str::trim) {
        match one {
            "" | "off" | "direct" => {}
            url => found.url(url, why),
        }
    }
    if list.split([',', '|']).next().is_some_and(|first| first.trim() == "direct") {
        found.notes.push(
            "GOPROXY is direct: modules come from the hosts that they are named after, each a rule of its own".to_owned(),
        );
    }
    if list != PROXY {
        found.of_this_machine("GOPROXY", "from_env: [GOPROXY]");
    }
    // `off`, a name with a key, or that and an address.
    let sums = value("GOSUMDB").unwrap_or_else(|| SUMS.to_owned());
    let mut words = sums.split_whitespace();
    match (words.next(), words.next()) {
        (Some("off") | None, _) => {}
        (Some(_), Some(url)) => found.url(url, "go env GOSUMDB"),
        (Some(name), None) => {
            let name = name.split('+').next().unwrap_or(name);
            found.url(&format!("https://{name}"), "go env GOSUMDB");
        }
    }
    if value("GOPRIVATE").is_some() {
        found.notes.push("GOPRIVATE is set: those modules come from their own hosts; list these".to_owned());
    }
    found
}
