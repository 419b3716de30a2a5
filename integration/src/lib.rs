//! The fake internet, the product on it, and what end-to-end tests, demo and benchmarks share.

pub mod bench;
pub mod fire;
pub mod mutants;
pub mod rig;
pub mod wire;
pub mod world;

pub use clawker_prove::fakenet;
