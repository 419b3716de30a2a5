//! The `clawker` command: builds and runs agents, keeps Envoy and CoreDNS up, toggles one container's firewall.

pub mod argv;
pub mod ask;
pub mod cli;
pub mod demux;
pub mod docker;
pub mod exec;
pub mod exit;
pub mod limits;
pub mod output;
pub mod publish;
pub mod session;
pub mod terminal;
pub mod workspace;
