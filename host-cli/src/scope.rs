//! Whose lines the log shows: the agents that were asked for, each with its address, its policy and the names behind its
//! virtual addresses. A line that is about none of them is nobody's business.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::alloc::policy_id;
use crate::config::Settings;
use crate::flowlog::{self, Entry};
use crate::paths::Paths;
use crate::plan::Plan;
use crate::policy::{PathVerdict, Policy, Proto, Request, Verdict};
use crate::project::{self, Project};
use crate::store::{self, AgentRecord, StoreError};

/// The agents.
#[derive(Debug)]
pub struct Scope {
    who: Vec<Who>,
}

/// One of them.
#[derive(Debug)]
struct Who {
    record: AgentRecord,
    /// None where its rules can't be read.
    policy: Option<Policy>,
    names: HashMap<Ipv4Addr, String>,
}

/// Which part of the stack wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Names.
    CoreDns,
    /// Sites.
    Envoy,
}

impl Scope {
    /// These agents, with their policies as they are now.
    ///
    /// # Errors
    /// When state can't be read.
    pub fn load(paths: &Paths, settings: &Settings, records: Vec<AgentRecord>) -> Result<Self, StoreError> {
        let who = records.into_iter().map(|record| {
            let project = Project::load(paths, &record.project_dir)?;
            let own = Some(&record.agent).filter(|agent| project.is_apart(agent));
            let id = policy_id(&project::id(&project.dir), &project.dir, own);
            let plan: Option<Plan> = store::load(&paths.plan(&id))?;
            let answers = plan.into_iter().flat_map(|plan| plan.zone);
            let names = answers.filter_map(|answer| Some((answer.address?, answer.name))).collect();
            Ok(Who { policy: project.policy(settings, own).ok(), names, record })
        });
        Ok(Self { who: who.collect::<Result<_, StoreError>>()? })
    }

    /// The agents' records.
    pub fn records(&self) -> impl Iterator<Item = &AgentRecord> {
        self.who.iter().map(|who| &who.record)
    }

    /// The policy of an agent, by its record's id.
    pub fn policy(&self, id: &str) -> Option<&Policy> {
        self.who.iter().find(|who| who.record.id == id)?.policy.as_ref()
    }

    /// A line of an agent's init.
    pub fn of_init(&self, id: &str, line: &str) -> Option<Entry> {
        self.who.iter().find(|who| who.record.id == id)?.take(flowlog::of_init(line)?)
    }

    /// A line of the helper that lends the user's credentials.
    pub fn of_lent(&self, id: &str, line: &str) -> Option<Entry> {
        self.who.iter().find(|who| who.record.id == id)?.take(flowlog::of_lent(line)?)
    }

    /// A line of the stack's, with Docker's time before it.
    pub fn of_stack(&self, part: Part, line: &str) -> Option<Entry> {
        self.who.iter().find_map(|who| {
            let entry = match part {
                Part::CoreDns => flowlog::of_dns(line, who.record.address),
                Part::Envoy => flowlog::of_proxy(line, who.record.address),
            };
            who.take(entry?)
        })
    }
}

impl Who {
    /// Makes an entry this agent's. Before it was made, its address was another's.
    fn take(&self, mut entry: Entry) -> Option<Entry> {
        if entry.time < self.record.created {
            return None;
        }
        entry.agent = format!("{}/{}", self.record.project, self.record.agent);
        let listed = entry.target.parse().ok().and_then(|address| self.names.get(&address)).cloned();
        entry.name = listed.or(entry.name);
        entry.rule = self.policy.as_ref().and_then(|policy| rule(policy, &entry));
        Some(entry)
    }
}

/// The rule that says of an entry what was done, where the policy still says so.
fn rule(policy: &Policy, entry: &Entry) -> Option<String> {
    let proto = [Proto::Tls, Proto::Http, Proto::Ssh, Proto::Tcp]
        .into_iter()
        .find(|one| one.as_str() == entry.proto)?;
    let host = entry.target.split_once(':').map_or(entry.target.as_str(), |(host, _)| host);
    let http = entry.method.as_deref().zip(entry.path.as_deref());
    let verdict = policy.judge(&Request { host, proto, port: entry.port?, http });
    if verdict.action().as_str() != entry.verdict {
        return None;
    }
    match verdict {
        Verdict::Path(rule, PathVerdict::By(path)) => Some(format!("{rule}: {path}")),
        Verdict::Dst(rule) | Verdict::Path(rule, _) => Some(rule.to_string()),
        Verdict::Unlisted | Verdict::Never => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clawker_protocol::boot::Run;
    use clawker_protocol::names::Name;

    fn who(agent: &str, address: [u8; 4]) -> Who {
        let run = Run {
            uid: 1,
            gid: 1,
            command: vec![],
            env: Default::default(),
            tty: false,
            session: false,
            userns: false,
            idmapped: None,
            groups: vec![],
        };
        let name = |text: &str| Name::new(text).unwrap();
        let record = AgentRecord {
            id: agent.to_owned(),
            project: name("p"),
            project_dir: "/p".into(),
            agent: name(agent),
            container: String::new(),
            made_as: None,
            was: None,
            secret: String::new(),
            address: address.into(),
            published: Vec::new(),
            run,
            image: String::new(),
            created: 1000,
            docker_socket: false,
            worktree: None,
            mounted: Vec::new(),
        };
        let names = [(Ipv4Addr::new(198, 18, 0, 1), "git.example".to_owned())].into();
        Who { record, policy: Some(Policy::new([]).unwrap()), names }
    }

    #[test]
    fn a_line_belongs_to_the_agent_with_its_address_and_to_no_other() {
        let scope = Scope { who: vec![who("one", [172, 20, 0, 1]), who("two", [172, 20, 0, 2])] };
        let line = |address: &str| {
            format!("1970-01-01T00:00:05.0Z [INFO] clawker-dns ab policy {address} A NXDOMAIN evil.example.")
        };
        assert_eq!(scope.of_stack(Part::CoreDns, &line("172.20.0.2")).unwrap().agent, "p/two");
        assert_eq!(scope.of_stack(Part::CoreDns, &line("172.20.0.3")), None);
        let early = line("172.20.0.2").replace(":05.", ":00.");
        assert_eq!(scope.of_stack(Part::CoreDns, &early), None, "before it was made");
    }

    #[test]
    fn a_row_names_its_rule_and_the_name_behind_a_virtual_address() {
        let scope = Scope { who: vec![who("one", [172, 20, 0, 1])] };
        let line = r#"1970-01-01T00:00:05.0Z {"agent":"172.20.0.1","verdict":"allow","proto":"tls","name":"api.anthropic.com","port":443}"#;
        let entry = scope.of_stack(Part::Envoy, line).unwrap();
        assert_eq!(entry.rule.as_deref(), Some("allow tls api.anthropic.com port 443"));
        let denied = line.replace("\"allow\"", "\"deny\"");
        assert_eq!(scope.of_stack(Part::Envoy, &denied).unwrap().rule, None, "no rule says so");
        let line = r#"{"time":5000,"event":"denied","class":"tcp","proto":"tcp","destination":"198.18.0.1","port":25}"#;
        let entry = scope.of_init("one", line).unwrap();
        assert_eq!(entry.name.as_deref(), Some("git.example"));
        assert!(entry.cells()[5].contains("198.18.0.1:25 (git.example)"));
    }
}
