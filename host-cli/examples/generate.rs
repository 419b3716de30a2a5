//! Times what it takes to get from rules to the bytes of every file, step by step and without any effect: what
//! `make bench-policy` shows of a growing policy. `generate NAMES` prints microseconds, several rounds.

use std::error::Error;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use clawker::alloc::Alloc;
use clawker::config::RawRule;
use clawker::envoy::{self, Kind, Secrets};
use clawker::plan::{Owner, Plan};
use clawker::policy::{Layer, Policy, Rule};
use clawker::{certs, dns};

/// How often all of it is done.
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    let names: usize = std::env::args().nth(1).ok_or("Usage: generate NAMES")?.parse()?;
    let raw: Vec<RawRule> = (0..names)
        .map(|number| RawRule { dst: format!("n{number}.example"), ..RawRule::default() })
        .collect();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let mut last = begun;
        let mut step = |what: &str| {
            println!("{what}_us {}", last.elapsed().as_micros());
            last = Instant::now();
        };
        let rules: Result<Vec<Rule>, _> =
            raw.iter().map(|rule| Rule::parse(rule, Layer::Project, "here")).collect();
        let policy = Policy::new(rules?)?;
        step("policy");
        let mut alloc = Alloc::default();
        let owner = Owner {
            id: "00000000",
            project_dir: Path::new("/project"),
            upstream_dns: &[Ipv4Addr::new(192, 0, 2, 53)],
            extra_ca_pem: "",
        };
        let plan = Plan::new(owner, &policy, &mut alloc)?;
        step("plan");
        let state = serde_json::to_vec_pretty(&plan)?.len() + serde_json::to_vec_pretty(&alloc)?.len();
        step("state");
        let zone = dns::zone(&plan).len();
        step("zone");
        let plans = [plan];
        let secrets = Secrets { public_roots: certs::public_roots(), ..Secrets::default() };
        let resources = envoy::resources(&plans, &secrets);
        let listeners = envoy::file(Kind::Listener, resources.listeners).text.len();
        let clusters = envoy::file(Kind::Cluster, resources.clusters).text.len();
        step("envoy");
        let check = envoy::inlined(&plans, &secrets).to_string().len();
        step("check");
        println!("whole_us {}", begun.elapsed().as_micros());
        println!("bytes {}", state + zone + listeners + clusters + check);
    }
    Ok(())
}
