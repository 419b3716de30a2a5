//! Docker: one connection for the API's plain calls (bollard), and raw connections of our own for what streams
//! both ways. Knows nothing of agents.

pub mod address;
pub mod context;
pub mod create;
pub mod engine;
pub mod extras;
pub mod image;
pub mod raw;
pub mod wait;

pub use engine::{DockerError, Engine};
