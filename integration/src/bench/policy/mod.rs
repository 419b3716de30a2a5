//! What a policy costs as it grows, and what each way through the gateway costs beside a bare Envoy, a bare CoreDNS and
//! no gateway at all.

pub mod growth;
pub mod load;
pub mod peers;
pub mod plot;
pub mod report;
pub mod upstream;
pub mod ways;
