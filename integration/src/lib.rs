//! The fake internet, the product on it, and what end-to-end tests, demo and benchmarks share.

pub mod bench;
pub mod fakenet;
pub mod rig;
pub mod world;
