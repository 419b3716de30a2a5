//! The other way to init: `docker exec … clawker-init ctl`, where a host path can't carry a socket (Docker
//! Desktop, remote engines). Also tells a stopped container from a missing or foreign one.

use std::time::Duration;

use clawker_protocol::control::{Op, Request};
use clawker_protocol::{duration, places};

use super::ControlError;
use crate::docker::Engine;
use crate::exec;
use crate::store::AgentRecord;

/// Sends a request's line; comes back with the answer's. Has a runtime of its own, on a thread of its own, so
/// that callers may have one too.
pub fn exchange(record: &AgentRecord, line: Vec<u8>) -> Result<Vec<u8>, ControlError> {
    let agent = record.agent.to_string();
    let failed = |source: std::io::Error| ControlError::Io { agent: agent.clone(), source };
    let worked = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            runtime.block_on(exchange_async(record, &line))
        });
        worker.join()
    });
    worked.unwrap_or_else(|_| Err(ControlError::Garbled { agent: agent.clone() }))
}

async fn exchange_async(record: &AgentRecord, line: &[u8]) -> Result<Vec<u8>, ControlError> {
    let agent = record.agent.to_string();
    let engine = Engine::connect(None).await?;
    crate::ours::running(&engine, record).await?;
    let request: Request =
        serde_json::from_slice(line).map_err(|_| ControlError::Garbled { agent: agent.clone() })?;
    let (words, stdin) = arguments(&request.op);
    let mut command = vec![places::INIT.to_owned(), "ctl".to_owned()];
    command.extend(words);
    let secret = format!("CLAWKER_CONTROL_SECRET={}", record.secret);
    let run = exec::Quiet { container: &record.container, command, env: vec![secret], stdin };
    let output = exec::quiet(&engine, run).await?;
    Ok(output.stdout)
}

/// `ctl`'s words for an operation, and what it reads.
fn arguments(op: &Op) -> (Vec<String>, Vec<u8>) {
    let word = |text: &str| (vec![text.to_owned()], Vec::new());
    match op {
        Op::Status => word("status"),
        Op::Enable => word("enable"),
        Op::Disable => word("disable"),
        Op::BypassStop => word("bypass_stop"),
        Op::Events => word("events"),
        Op::Version => word("version"),
        Op::Bypass { seconds } => {
            (vec!["bypass".to_owned(), duration::format(Duration::from_secs(*seconds))], Vec::new())
        }
        Op::Policy { enforcement, summary, extra_ca_pem } => {
            let policy = serde_json::json!({
                "enforcement": enforcement, "summary": summary, "extra_ca_pem": extra_ca_pem,
            });
            (vec!["policy".to_owned()], policy.to_string().into_bytes())
        }
        Op::Gateway { gateway } => {
            let gateway = serde_json::json!({ "gateway": gateway });
            (vec!["gateway".to_owned()], gateway.to_string().into_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_words_that_ctl_knows() {
        assert_eq!(arguments(&Op::Bypass { seconds: 90 }).0, ["bypass", "1m30s"]);
        for (op, name) in [(Op::Status, "status"), (Op::BypassStop, "bypass_stop"), (Op::Version, "version")]
        {
            assert_eq!(arguments(&op).0, [name]);
        }
    }
}
