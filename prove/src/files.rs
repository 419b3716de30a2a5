//! The names of the files in the folder that the fake internet shares with whoever started it.

/// The records, a line each.
pub const RECORDS: &str = "records.jsonl";
/// The root certificate.
pub const CA: &str = "ca.pem";
/// The zone file, which the starter writes.
pub const ZONE: &str = "zone.json";
/// The folder with sites that tests made, a folder each.
pub const SITES: &str = "sites";
