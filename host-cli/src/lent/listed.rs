//! Which hosts a policy lists, as it is at this moment: a rule that is gone lends nothing any more.

use clawker_protocol::names::Name;

use crate::config;
use crate::exit::Failure;
use crate::paths::Paths;
use crate::policy::{Action, Dst, Policy, Proto, Request};
use crate::project::Project;
use crate::store::AgentRecord;

/// The policy of an agent.
///
/// # Errors
/// When state or settings can't be read: then nothing is lent.
pub fn policy(paths: &Paths, record: &AgentRecord) -> Result<Policy, Failure> {
    let settings = config::settings(paths)?;
    let agent: &Name = &record.agent;
    Ok(Project::load(paths, &record.project_dir)?.policy(&settings, Some(agent))?)
}

/// Whether the policy lets an agent reach a host in TLS, at least some paths of it.
pub fn https(policy: &Policy, host: &str, port: u16) -> bool {
    let request = Request { host, proto: Proto::Tls, port, http: None };
    policy.judge(&request).action() == Action::Allow
}

/// The hosts that it may reach with ssh, with their ports.
pub fn ssh(policy: &Policy) -> Vec<(String, u16)> {
    let mut hosts = Vec::new();
    for rule in policy.rules().iter().filter(|rule| rule.proto == Proto::Ssh && rule.action == Action::Allow)
    {
        let Dst::Name(host) = &rule.dst else { continue };
        for port in rule.each_port() {
            let request = Request { host, proto: Proto::Ssh, port, http: None };
            if policy.judge(&request).action() == Action::Allow {
                hosts.push((host.clone(), port));
            }
        }
    }
    hosts.sort();
    hosts.dedup();
    hosts
}
