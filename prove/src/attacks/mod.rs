//! The attacks' code: one function each, which tries and says what came of it. Whether anything arrived is told by the
//! sink alone.

mod calls;
mod control;
mod dns;
mod effects;
pub mod flood;
mod h2;
mod hello;
mod hook;
mod ip;
mod kept;
mod local;
mod needs;
mod own;
mod questions;
mod quic;
mod raw;
mod send;
pub mod serve;
mod services;
mod six;
mod sys;
mod tls;
mod tls_http;
mod told;
mod wire;

use std::io;
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::task::{Batch, End, Outcome, Places, Task};

pub use ip::later;
pub use local::try_apart;
pub use wire::send_handed;

/// Tells the addresses that a closed firewall gives to listed names: no attack.
pub const REMEMBER: &str = "remember";
/// How many run at the same time.
const WIDTH: usize = 20;
/// How long one may take before it is left behind.
const PATIENCE: Duration = Duration::from_secs(4);

/// Where attacks are aimed at.
pub mod target {
    use std::net::Ipv4Addr;

    /// The attacker's host.
    pub const EVIL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 133);
    /// A resolver outside.
    pub const DNS: Ipv4Addr = crate::fakenet::address::DNS;
    /// A host that nobody has a reason to list, whatever holes are torn for the attacker's.
    pub const NOBODY: Ipv4Addr = crate::fakenet::address::host(139);
    /// A listed address.
    pub const DIRECT: Ipv4Addr = crate::catalogue::names::DIRECT;
    /// The cloud's metadata.
    pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
    /// Somewhere in private space.
    pub const PRIVATE: Ipv4Addr = Ipv4Addr::new(10, 254, 254, 1);
    /// Somewhere in the carriers' shared space.
    pub const CARRIER: Ipv4Addr = Ipv4Addr::new(100, 127, 254, 1);
}

/// The networks that the sink answers for.
pub fn nets() -> Vec<(Ipv4Addr, u8)> {
    let single = [target::DNS, target::METADATA, target::PRIVATE, target::CARRIER];
    let single = single.into_iter().chain(crate::catalogue::rebind::addresses());
    std::iter::once(crate::fakenet::address::HOSTS).chain(single.map(|address| (address, 32))).collect()
}

/// What an attack is given.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// What it is called.
    pub id: String,
    /// Its canary.
    pub canary: String,
    /// Where it runs.
    pub places: Places,
}

impl Ctx {
    /// A name that carries the canary, listed nowhere.
    pub fn name(&self) -> String {
        format!("{}.{}", self.canary, crate::catalogue::names::EVIL)
    }
}

/// Why an attack did not come to its end.
#[derive(Debug)]
pub enum Failed {
    /// It was refused, or nothing answered.
    Refused(String),
    /// There is nothing of the kind here.
    Impossible(String),
}

impl<E: Into<io::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self::Refused(error.into().to_string())
    }
}

/// An attack's code: what was done, in words.
pub type Run = fn(&Ctx) -> Result<String, Failed>;

/// The code of an attack; those that need the host's help at the right moment have none here.
pub fn find(id: &str) -> Option<Run> {
    let all = [
        hello::CODE,
        h2::CODE,
        told::CODE,
        needs::CODE,
        dns::CODE,
        tls_http::CODE,
        ip::CODE,
        local::CODE,
        calls::CODE,
        own::CODE,
        wire::CODE,
        questions::CODE,
        quic::CODE,
        six::CODE,
        services::CODE,
        control::CODE,
    ];
    let own = all.into_iter().flatten().find(|(known, _)| *known == id).map(|(_, run)| *run);
    own.or_else(|| id.starts_with("rebind-").then_some(told::rebound as Run))
}

/// Runs a batch, some at a time; each outcome goes to `each` as it comes.
pub fn run(batch: &Batch, mut each: impl FnMut(Outcome)) {
    for group in batch.tasks.chunks(WIDTH) {
        let (sender, receiver) = mpsc::channel();
        for task in group {
            let (task, places, sender) = (task.clone(), batch.places.clone(), sender.clone());
            thread::spawn(move || sender.send(one(&task, places)));
        }
        drop(sender);
        let mut missing: Vec<&str> = group.iter().map(|task| task.id.as_str()).collect();
        let end = std::time::Instant::now() + PATIENCE;
        while let Ok(outcome) =
            receiver.recv_timeout(end.saturating_duration_since(std::time::Instant::now()))
        {
            missing.retain(|id| *id != outcome.id);
            each(outcome);
        }
        for id in missing {
            each(Outcome { id: id.to_owned(), end: End::Refused, said: "no end in time".to_owned() });
        }
    }
}

fn one(task: &Task, places: Places) -> Outcome {
    let ctx = Ctx { id: task.id.clone(), canary: task.canary.clone(), places };
    let ended = match find(&task.id) {
        Some(run) => run(&ctx),
        None => Err(Failed::Impossible("this probe does not know it".to_owned())),
    };
    let (end, said) = match ended {
        Ok(said) => (End::Done, said),
        Err(Failed::Refused(said)) => (End::Refused, said),
        Err(Failed::Impossible(said)) => (End::Impossible, said),
    };
    Outcome { id: task.id.clone(), end, said }
}

#[cfg(test)]
mod tests {
    use crate::catalogue::{Family, all, needs};

    #[test]
    fn every_attack_has_code_and_moments_are_the_host_s() {
        for attack in all() {
            assert_eq!(super::find(attack.id).is_some(), attack.family != Family::Time, "{}", attack.id);
        }
        for need in needs::ALL {
            assert!(super::find(need.id).is_some(), "{}", need.id);
        }
    }
}
