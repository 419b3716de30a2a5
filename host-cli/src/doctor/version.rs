//! Agents that an older or newer clawker made: they keep the init that they were made with.

use super::Check;

const NAME: &str = "version";

/// Compares a running init's version with ours.
pub fn of_agent(agent: &str, init: &str, ours: &str) -> Option<Check> {
    note(agent, init, ours).map(|seen| Check::warn(NAME, seen, renewed(agent)))
}

/// What to know of an agent whose init is another version's.
pub fn note(agent: &str, init: &str, ours: &str) -> Option<String> {
    let differs = !init.is_empty() && init != ours;
    differs
        .then(|| format!("{agent} runs the init of clawker {init}, and this is {ours}; it goes on as it is"))
}

/// How an agent gets the init of this version.
pub fn renewed(agent: &str) -> String {
    let name = agent.rsplit('/').next().unwrap_or(agent);
    format!("clawker rm -f {name}, then clawker run --agent {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_version_is_told() {
        assert_eq!(of_agent("p/dev", "1.2.3", "1.2.3"), None);
        let check = of_agent("p/dev", "1.2.2", "1.2.3").unwrap();
        assert!(check.seen.contains("1.2.2") && check.mend.unwrap().contains("--agent dev"));
    }
}
