//! The names of the files in the folder that the fake internet shares with whoever started it.

/// The records, a line each.
pub const RECORDS: &str = "records.jsonl";
/// Likewise of whoever listens on the gateway's loopback.
pub const LOOPBACK_GATEWAY: &str = "loopback-gateway.jsonl";
/// Likewise on the plain container's.
pub const LOOPBACK_PLAIN: &str = "loopback-plain.jsonl";
/// Likewise of the host's service.
pub const HOST: &str = "host.jsonl";
/// The root certificate.
pub const CA: &str = "ca.pem";
/// The zone file, which the starter writes.
pub const ZONE: &str = "zone.json";
/// The folder with sites that tests made, a folder each.
pub const SITES: &str = "sites";
