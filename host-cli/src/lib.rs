//! The `clawker` command: builds and runs agents, keeps Envoy and CoreDNS up, toggles one container's firewall.

pub mod ask;
pub mod cli;
pub mod exit;
pub mod limits;
pub mod output;
pub mod publish;
