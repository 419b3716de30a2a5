//! Route tables: a virtual host for each name, with a route for each path rule in the order in which they are tried, and
//! one that refuses the rest. A change of a table touches no connection.

use serde_json::{Value, json};

use super::judge::{self, About};
use super::{cluster, routes_name};
use crate::plan::{Door, Judged, Plan};
use crate::policy::{Action, PathRule, Paths, Pattern, Proto};

/// Headers by which some servers take another path or method than the request's own.
const OVERRIDES: [&str; 5] =
    ["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"];

/// In each spelling: to servers that make variables of headers (CGI, WSGI, Rack) a dash and an underscore are one.
fn overrides() -> Vec<String> {
    let spelled = |name: &str| {
        let mut words = name.split('-');
        let first = vec![words.next().unwrap_or_default().to_owned()];
        words.fold(first, |starts, word| {
            starts.iter().flat_map(|start| ["-", "_"].map(|dash| format!("{start}{dash}{word}"))).collect()
        })
    };
    OVERRIDES.into_iter().flat_map(spelled).collect()
}

/// The route table.
pub fn table(plan: &Plan, judged: &Judged) -> Value {
    let exact = judged.exact.iter().map(|(name, door)| (vec![name.clone()], name.clone(), door));
    let below = judged.below.iter().map(|(name, door)| {
        let mut names = vec![format!("*.{name}")];
        if !judged.exact.contains_key(name) {
            names.push(name.clone());
        }
        (names, format!(".{name}"), door)
    });
    let mut hosts: Vec<Value> = exact
        .chain(below)
        .filter(|(_, _, door)| judged.proto == Proto::Http || door.inspect)
        .map(|(names, label, door)| {
            let domains: Vec<String> = names.iter().flat_map(|name| with_port(name, judged)).collect();
            host(plan, judged, door, label, domains)
        })
        .collect();
    hosts.push(json!({
        "name": "unlisted",
        "domains": ["*"],
        "routes": [refuse("deny", None, About::Name, Vec::new())],
    }));
    json!({
        "name": routes_name(judged.listener),
        "virtual_hosts": hosts,
        "ignore_port_in_host_matching": false,
        "request_headers_to_remove": [judge::PATH],
    })
}

fn host(plan: &Plan, judged: &Judged, door: &Door, label: String, domains: Vec<String>) -> Value {
    let to = Upstream { plan, judged, door };
    let Some(paths) = &door.paths else {
        let routes = match door.action {
            Action::Allow => to.routes(About::Name, &Vec::new()),
            Action::Deny => vec![refuse("deny", Some(Action::Deny), About::Name, Vec::new())],
        };
        return json!({"name": label, "domains": domains, "routes": routes});
    };
    let mut routes: Vec<Value> = tried(paths)
        .into_iter()
        .flat_map(|(action, matches)| match action {
            Action::Allow => to.routes(About::Path, &matches),
            Action::Deny => vec![refuse("deny", Some(Action::Deny), About::Path, matches)],
        })
        .collect();
    match paths.default {
        Action::Allow => routes.extend(to.routes(About::Path, &Vec::new())),
        Action::Deny => routes.push(refuse("deny", None, About::Path, Vec::new())),
    }
    json!({"name": label, "domains": domains, "routes": routes, "request_headers_to_remove": overrides()})
}

/// The spellings of a Host that lead to the rule's port and to no other: the proxy dials the port that it names.
fn with_port(name: &str, judged: &Judged) -> Vec<String> {
    let port = judged.port;
    if judged.proto.default_port() == Some(port) {
        vec![name.to_owned(), format!("{name}:{port}")]
    } else {
        vec![format!("{name}:{port}")]
    }
}

/// What each route matches by, in the order of [`Paths`]: patterns name the whole path, so that among them and prefixes of
/// the same length the denies come first.
fn tried(paths: &Paths) -> Vec<(Action, Vec<Value>)> {
    let is_pattern = |rule: &&PathRule| matches!(rule.path, Pattern::Regex(..));
    let (patterns, prefixes): (Vec<&PathRule>, Vec<&PathRule>) = paths.rules.iter().partition(is_pattern);
    let (denied, allowed): (Vec<&PathRule>, Vec<&PathRule>) =
        patterns.into_iter().partition(|rule| rule.action == Action::Deny);
    let mut list: Vec<(Action, Vec<Value>)> = denied.into_iter().flat_map(matches).collect();
    if !allowed.is_empty() {
        let denied = prefixes.iter().filter(|rule| rule.action == Action::Deny);
        list.extend(denied.flat_map(|rule| exactly(rule)));
    }
    list.extend(allowed.into_iter().flat_map(matches));
    list.extend(prefixes.into_iter().flat_map(matches));
    list
}

/// A rule's matches: each is a list of headers.
fn matches(rule: &PathRule) -> Vec<(Action, Vec<Value>)> {
    let deny = rule.action == Action::Deny;
    let strings = match &rule.path {
        Pattern::Regex(_, source) => {
            let flags = if deny { "i" } else { "" };
            vec![json!({"safe_regex": {"regex": format!("(?{flags}:{source})")}})]
        }
        Pattern::Prefix(prefix) => match (prefix.strip_suffix('/'), deny) {
            (Some(""), _) | (Some(_), false) => vec![json!({"prefix": prefix, "ignore_case": deny})],
            (Some(bare), true) => below(bare, true),
            (None, _) => below(prefix, deny),
        },
    };
    strings.into_iter().map(|string| (rule.action, headers(rule, string))).collect()
}

fn below(path: &str, any_case: bool) -> Vec<Value> {
    vec![
        json!({"exact": path, "ignore_case": any_case}),
        json!({"prefix": format!("{path}/"), "ignore_case": any_case}),
    ]
}

/// The paths that a denied prefix names in full.
fn exactly(rule: &PathRule) -> Vec<(Action, Vec<Value>)> {
    let Pattern::Prefix(prefix) = &rule.path else { return Vec::new() };
    let bare = prefix.trim_end_matches('/');
    [bare.to_owned(), format!("{bare}/")]
        .into_iter()
        .filter(|path| !path.is_empty())
        .map(|path| (Action::Deny, headers(rule, json!({"exact": path, "ignore_case": true}))))
        .collect()
}

fn headers(rule: &PathRule, path: Value) -> Vec<Value> {
    let mut headers = vec![json!({"name": judge::PATH, "string_match": path})];
    if !rule.methods.is_empty() {
        let flags = if rule.action == Action::Deny { "i" } else { "" };
        let any = format!("(?{flags}:{})", rule.methods.join("|"));
        headers.push(json!({"name": ":method", "string_match": {"safe_regex": {"regex": any}}}));
    }
    headers
}

/// Where a name's requests go.
struct Upstream<'a> {
    plan: &'a Plan,
    judged: &'a Judged,
    door: &'a Door,
}

impl Upstream<'_> {
    /// What switches to another protocol is sent over HTTP/1.1, where it can.
    fn routes(&self, about: About, matches: &[Value]) -> Vec<Value> {
        if self.judged.proto == Proto::Http {
            return vec![self.route(cluster::name(self.plan, &self.door.dial), about, matches.to_vec())];
        }
        let upgrade = json!({"name": "upgrade", "string_match": {"exact": "websocket", "ignore_case": true}});
        let switching: Vec<Value> = matches.iter().cloned().chain([upgrade]).collect();
        vec![
            self.route(cluster::over_tls(self.plan, &self.door.dial, cluster::Http::One), about, switching),
            self.route(
                cluster::over_tls(self.plan, &self.door.dial, cluster::Http::Negotiated),
                about,
                matches.to_vec(),
            ),
        ]
    }

    fn route(&self, cluster: String, about: About, headers: Vec<Value>) -> Value {
        let mut route = json!({
            "name": "allow",
            "match": matched(headers),
            "metadata": judge::metadata(Some(Action::Allow), about),
            "route": {"cluster": cluster, "timeout": "0s", "idle_timeout": "3600s"},
        });
        if let Some(name) = &self.door.dial.name {
            route["typed_per_filter_config"] = super::http::dial_instead(name);
        }
        route
    }
}

fn refuse(name: &str, verdict: Option<Action>, about: About, headers: Vec<Value>) -> Value {
    json!({
        "name": name,
        "match": matched(headers),
        "metadata": judge::metadata(verdict, about),
        "direct_response": {"status": 403},
    })
}

fn matched(headers: Vec<Value>) -> Value {
    if headers.is_empty() { json!({"prefix": "/"}) } else { json!({"prefix": "/", "headers": headers}) }
}
