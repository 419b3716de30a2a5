//! Both boot configs: what is taken reads the same once written again, runs nothing as root, and makes rules whose
//! messages are whole, in every opening.

#![no_main]

use std::time::Duration;

use clawker_init::fence::{Opening, Policy};
use clawker_init::grants::{Grants, Moment};
use clawker_init::netlink::wire::messages;
use clawker_init::nft::batch::Batch;
use clawker_init::nft::rules::{Features, Interface, compile};
use clawker_protocol::boot::BootConfig;
use clawker_protocol::gateway::GatewayConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = BootConfig::parse(bytes) {
        let again = serde_json::to_vec(&config).expect("a config is JSON");
        assert_eq!(BootConfig::parse(&again).expect("it is still one"), config);
        assert!(config.run.uid != 0 && config.run.gid != 0 && !config.run.command.is_empty());
        let now = Moment { wall_millis: 1_000, boot: Duration::from_secs(1) };
        let grants = Grants::of(&config.enforcement, &Grants::default(), now);
        for opening in [Opening::Closed, Opening::For(Duration::from_secs(9)), Opening::Indefinitely] {
            make(&config.enforcement.clone().into(), &grants, opening);
        }
    }
    if let Ok(config) = GatewayConfig::parse(bytes) {
        let again = serde_json::to_vec(&config).expect("a config is JSON");
        assert_eq!(GatewayConfig::parse(&again).expect("it is still one"), config);
        make(&config.gateway.into(), &Grants::default(), Opening::Closed);
    }
});

fn make(policy: &Policy, grants: &Grants, opening: Opening) {
    let interfaces = [Interface { index: 2, name: "eth0".to_owned() }];
    let running = grants.running(Duration::from_secs(1));
    let rules = compile(policy, &running, opening, &interfaces, Features::ALL);
    let mut batch = Batch::new();
    batch.add_ruleset(&rules);
    let batch = batch.finish().expect("it holds tables");
    let read: Vec<_> = messages(batch.bytes()).collect();
    // The transaction's begin and end have no number of their own.
    assert_eq!(read.len(), batch.last() as usize + 2);
    assert_eq!(read.iter().map(|message| message.payload.len() + 16).sum::<usize>(), batch.bytes().len());
    assert!(!rules.render().contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
}
