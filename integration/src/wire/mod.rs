//! Messages made by hand, byte by byte, also such as no library would send.

pub mod h2;
pub mod hello;
