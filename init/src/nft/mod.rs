//! nf_tables: the rules as values ([`rules`] and [`gateway`], made of [`expr`] and [`sets`]), the transaction that puts them in
//! the kernel ([`batch`]), and what the kernel lists ([`read`]).

pub mod batch;
pub mod expr;
pub mod gateway;
mod listing;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod read;
pub mod rules;
pub mod sets;
pub mod uapi;
