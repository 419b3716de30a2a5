//! `clawker version`: ours, the control protocol's, and that of the init that this binary carries.

use crate::exit::{OK, Outcome};
use crate::output::Output;

/// Prints versions.
///
/// # Errors
/// When stdout can't be written.
pub fn run(output: Output) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let protocol = clawker_protocol::control::VERSION;
    if output.json {
        output.value(&serde_json::json!({ "clawker": version, "protocol": protocol }))?;
    } else {
        output.line(&format!("clawker {version} (control protocol {protocol})"))?;
    }
    Ok(OK)
}
