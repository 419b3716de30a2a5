//! What `clawker` on the host and `clawker-init` in the container say to each other.
//!
//! Values only: control messages, the boot config, the enforced policy, names and durations. Nothing here
//! does I/O, and nothing here knows of netlink, Docker, Envoy or CoreDNS.

pub mod boot;
pub mod control;
pub mod duration;
pub mod enforcement;
pub mod event;
pub mod gateway;
pub mod names;
pub mod paths;
pub mod places;
pub mod ranges;
pub mod secret;
pub mod summary;
