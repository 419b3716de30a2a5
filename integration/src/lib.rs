//! The fake internet and what the end-to-end tests share.

pub mod fakenet;
pub mod rig;
