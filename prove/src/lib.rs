//! The attacks that `clawker prove` runs, and the fake internet that they are aimed at. What is known of an attack is
//! data and needs nothing; what runs it stands behind the feature `net`.

pub mod catalogue;
pub mod files;
pub mod record;
pub mod records;
pub mod task;

#[cfg(feature = "net")]
pub mod attacks;
#[cfg(feature = "net")]
pub mod fakenet;
