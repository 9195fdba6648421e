//! How an exec ended, in the JSON of channel 3.

use serde::Serialize;

use super::Subprotocol;

/// Every way that an exec ends with a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Exited {
        code: i32,
    },
    /// The container runtime did not start it, in its own words.
    NotStarted {
        exec_id: String,
        reason: String,
    },
}

#[derive(Debug, Serialize)]
struct Status {
    metadata: Empty,
    #[serde(rename = "status")]
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

#[derive(Debug, Serialize)]
struct Empty {}

#[derive(Debug, Serialize)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Debug, Serialize)]
struct Cause {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: String,
}

impl Outcome {
    /// The status as a real kubelet words it for this protocol version and command.
    pub(crate) fn to_json(&self, subprotocol: Subprotocol, command: &[String]) -> Vec<u8> {
        let status = match self {
            Self::Exited { code: 0 } => {
                Status { metadata: Empty {}, result: "Success", message: None, reason: None, details: None, code: None }
            }
            Self::Exited { code } => non_zero(*code, subprotocol, command),
            Self::NotStarted { exec_id, reason } => not_started(exec_id, reason),
        };
        serde_json::to_vec(&status).unwrap_or_default()
    }
}

fn non_zero(code: i32, subprotocol: Subprotocol, command: &[String]) -> Status {
    let how = match subprotocol {
        Subprotocol::V5 => format!("command terminated with exit code {code}"),
        Subprotocol::V4 => format!("error executing command [{}], exit code {code}", command.join(" ")),
    };
    Status {
        metadata: Empty {},
        result: "Failure",
        message: Some(format!("command terminated with non-zero exit code: {how}")),
        reason: Some("NonZeroExitCode"),
        details: Some(Details { causes: vec![Cause { reason: Some("ExitCode"), message: code.to_string() }] }),
        code: None,
    }
}

fn not_started(exec_id: &str, reason: &str) -> Status {
    let cause = format!(
        "Internal error occurred: error executing command in container: failed to exec in container: failed to start \
         exec \"{exec_id}\": OCI runtime exec failed: {reason}: unknown"
    );
    Status {
        metadata: Empty {},
        result: "Failure",
        message: Some(format!("Internal error occurred: {cause}")),
        reason: Some("InternalError"),
        details: Some(Details { causes: vec![Cause { reason: None, message: cause }] }),
        code: Some(500),
    }
}
