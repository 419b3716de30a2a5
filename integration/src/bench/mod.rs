//! The benchmarks: each thing beside a peer in the same run, and beside its bar.

pub mod command;
pub mod figures;
pub mod policy;
pub mod rules;
pub mod start;
