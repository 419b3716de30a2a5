//! The filters that judge each request by its host's routes, and what they share with them. They are written in Lua, and
//! read paths just as [`crate::policy::readings`] does.

use serde_json::{Value, json};

use super::typed;
use crate::plan::Judged;
use crate::policy::{Action, MAX_READINGS, Proto};

/// The header in which a reading of the path is looked up; the agent's own is overwritten, and none is sent on.
pub const PATH: &str = "x-clawker-path";
/// The filter's name: its routes' metadata stands under it.
const NAME: &str = "envoy.filters.http.lua";
const BASE: &str = include_str!("judge_base.lua");
const FIRST: &str = include_str!("judge.lua");
const NEXT: &str = include_str!("judge_next.lua");

/// What a verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The name: whatever the path.
    Name,
    /// One path.
    Path,
}

/// The filters of a listener: one for each way in which a path may be read.
pub fn filters(judged: &Judged) -> impl Iterator<Item = Value> + use<> {
    let head = format!(
        "local PORT, PROTO, IS_TLS = {}, \"{}\", {}\n",
        judged.port,
        judged.proto.as_str(),
        judged.proto == Proto::Tls
    );
    (1..=MAX_READINGS).map(move |number| {
        let own = if number == 1 { FIRST } else { NEXT };
        let source = format!("{head}local NUMBER = {number}\n{BASE}\n{own}");
        json!({
            "name": NAME,
            "typed_config": typed(
                "envoy.extensions.filters.http.lua.v3.Lua",
                json!({"default_source_code": {"inline_string": source}}),
            ),
        })
    })
}

/// What a route says to the filter; no verdict where no rule names the path.
pub fn metadata(verdict: Option<Action>, about: About) -> Value {
    let about = match about {
        About::Name => "name",
        About::Path => "path",
    };
    let verdict = verdict.map_or("none", Action::as_str);
    json!({"filter_metadata": {NAME: {"verdict": verdict, "about": about}}})
}
