//! Whether the kernel killed something in an agent's container for its memory. Docker remembers it with the container,
//! and of a container that is gone already in its last events.

use std::collections::HashMap;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::EventsOptions;
use futures_util::StreamExt;

use crate::context::Context;
use crate::docker::{DockerError, Engine};
use crate::limits::readable;
use crate::store::AgentRecord;

/// A program's exit code when it was killed: 128 and SIGKILL.
const KILLED: u8 = 137;
/// A container that ran before its record was written, by a clock that is a little behind.
const SLACK_SECONDS: u64 = 5;

/// Tells the user, after an agent's end with this code, where memory was the reason.
pub async fn tell(ctx: &Context, engine: &Engine, record: &AgentRecord, code: u8) {
    if code == 0 {
        return;
    }
    let found = engine.api.inspect_container(&record.container, None).await.map_err(DockerError::from);
    let (was, limit) = match found {
        Ok(found) => (was_killed(&found), limit(&found)),
        Err(error) if error.is_missing() => (in_events(engine, record).await, None),
        Err(_) => return,
    };
    if was {
        ctx.output.note(&sentence(record.agent.as_str(), code, limit));
    }
}

/// What Docker remembers with a container: since its last start.
pub fn was_killed(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().and_then(|state| state.oom_killed) == Some(true)
}

fn limit(found: &ContainerInspectResponse) -> Option<u64> {
    let memory = found.host_config.as_ref().and_then(|host| host.memory)?;
    u64::try_from(memory).ok().filter(|bytes| *bytes > 0)
}

async fn in_events(engine: &Engine, record: &AgentRecord) -> bool {
    // To the millisecond: it was just now.
    let now = crate::grant::now();
    let until = format!("{}.{:03}000000", now / 1_000, now % 1_000);
    let filters = HashMap::from([
        ("container".to_owned(), vec![record.container.clone()]),
        ("event".to_owned(), vec!["oom".to_owned()]),
    ]);
    let since = (record.created / 1_000).saturating_sub(SLACK_SECONDS);
    let options =
        EventsOptions { since: Some(since.to_string()), until: Some(until), filters: Some(filters) };
    matches!(engine.api.events(Some(options)).next().await, Some(Ok(_)))
}

fn sentence(agent: &str, code: u8, limit: Option<u64>) -> String {
    let who = if code == KILLED {
        format!("Agent {agent} was killed for its memory")
    } else {
        format!("A program of agent {agent} was killed for its memory")
    };
    let most = limit.map(|bytes| format!(" (it may use {})", readable(bytes))).unwrap_or_default();
    format!("{who}{most}; give it more: clawker run --memory SIZE, or limits.memory in .clawker.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_who_was_killed_and_what_helps() {
        let told = sentence("dev", 137, Some(3 << 30));
        assert!(
            told.starts_with("Agent dev was killed for its memory (it may use 3.0 GiB); give it more"),
            "{told}"
        );
        assert!(sentence("dev", 1, None).starts_with("A program of agent dev was killed for its memory; "));
    }
}
