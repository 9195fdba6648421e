//! What Kubernetes says about the start and the end of a process, turned into types. Pure.

use http::StatusCode;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::session::ExitOutcome;
use serde::Deserialize;

/// How a process ended, by the status on channel 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEnd {
    /// The process ran and returned this status.
    Exited(i32),
    /// Kubernetes or the container runtime failed.
    Failed(ExecFailure),
    /// The connection ended without a status: the outcome is unknown, never 0.
    Unknown,
}

impl ProcessEnd {
    /// The end as it is reported to the relay.
    pub fn outcome(&self) -> ExitOutcome {
        match self {
            Self::Exited(status) => ExitOutcome::Exited(*status),
            Self::Failed(failure) => ExitOutcome::Failed(podlatch_protocol::close::cut(failure.message.clone())),
            Self::Unknown => ExitOutcome::Unknown,
        }
    }
}

/// A failure of the container runtime after a successful upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecFailure {
    /// Kubernetes' message.
    pub message: String,
}

impl ExecFailure {
    /// Whether the program does not exist in the container. The runtimes have no code for it, only these words.
    pub fn program_is_missing(&self) -> bool {
        ["executable file not found", "no such file or directory", "stat /", "permission denied: unknown"]
            .iter()
            .any(|words| self.message.contains(words))
            && self.message.contains("exec")
    }
}

/// `metav1.Status`, as far as an exec needs it.
#[derive(Deserialize)]
struct Status {
    #[serde(default, rename = "status")]
    result: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    #[serde(default)]
    causes: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// Parses the status of channel 3.
pub(super) fn parse(body: &[u8]) -> ProcessEnd {
    let Ok(status) = serde_json::from_slice::<Status>(body) else {
        return ProcessEnd::Unknown;
    };
    if status.result == "Success" {
        return ProcessEnd::Exited(0);
    }
    let code = status.details.iter().flat_map(|details| &details.causes).find(|cause| cause.reason == "ExitCode");
    match code.and_then(|cause| cause.message.parse().ok()) {
        Some(code) if status.reason == "NonZeroExitCode" => ProcessEnd::Exited(code),
        _ => ProcessEnd::Failed(ExecFailure { message: status.message }),
    }
}

/// Turns a refused upgrade into a refusal. The codes and texts are those of kube-apiserver and kubelet.
pub(super) fn refused_upgrade(code: StatusCode, body: &[u8]) -> Refusal {
    let message = match serde_json::from_slice::<Status>(body) {
        Ok(status) if !status.message.is_empty() => status.message,
        _ => String::from_utf8_lossy(body).into_owned(),
    };
    let kind = match code {
        StatusCode::NOT_FOUND => RefusalCode::PodNotFound,
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => RefusalCode::Forbidden,
        StatusCode::BAD_REQUEST if message.contains("is not valid for pod") => RefusalCode::ContainerNotFound,
        StatusCode::BAD_REQUEST if message.contains("container name must be specified") => {
            RefusalCode::ContainerRequired
        }
        StatusCode::BAD_REQUEST if message.contains("does not have a host assigned") => RefusalCode::PodPending,
        _ if message.contains("container not found") => RefusalCode::PodEnded,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            RefusalCode::KubernetesUnreachable
        }
        _ => RefusalCode::KubernetesError,
    };
    Refusal::new(kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_read_from_the_cause() {
        assert_eq!(parse(br#"{"metadata":{},"status":"Success"}"#), ProcessEnd::Exited(0));
        let seven = br#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: command terminated with exit code 7","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
        assert_eq!(parse(seven), ProcessEnd::Exited(7));
    }

    #[test]
    fn nothing_is_ever_taken_for_success() {
        assert_eq!(parse(b""), ProcessEnd::Unknown);
        assert_eq!(parse(b"not json"), ProcessEnd::Unknown);
        assert!(matches!(parse(b"{}"), ProcessEnd::Failed(_)));
        let odd = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}"#;
        assert!(matches!(parse(odd), ProcessEnd::Failed(_)));
    }

    #[test]
    fn a_missing_program_is_told_from_other_failures() {
        let missing = |message: &str| ExecFailure { message: message.into() }.program_is_missing();
        assert!(missing(
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"bash\": executable file not found in $PATH: unknown"
        ));
        assert!(missing(
            "OCI runtime exec failed: exec failed: unable to start container process: exec: \"/bin/sh\": stat /bin/sh: no such file or directory: unknown"
        ));
        assert!(!missing("Internal error occurred: error sending request: connection refused"));
    }

    #[test]
    fn refusals_are_classified_by_code_and_text() {
        let refusal = |code: u16, message: &str| {
            let body = format!("{{\"kind\":\"Status\",\"message\":{}}}", serde_json::json!(message));
            refused_upgrade(StatusCode::from_u16(code).expect("valid"), body.as_bytes())
        };
        let code = |refusal: Refusal| refusal.code;
        assert_eq!(code(refusal(404, "pods \"nope\" not found")), RefusalCode::PodNotFound);
        assert_eq!(code(refusal(400, "container zzz is not valid for pod bb")), RefusalCode::ContainerNotFound);
        let required = refusal(400, "a container name must be specified for pod web, choose one of: [app sidecar]");
        assert_eq!(required.code, RefusalCode::ContainerRequired);
        assert!(required.detail.contains("[app sidecar]"));
        assert_eq!(code(refusal(400, "pod pending does not have a host assigned")), RefusalCode::PodPending);
        assert_eq!(code(refusal(403, "pods \"bb\" is forbidden")), RefusalCode::Forbidden);
        let ended = refused_upgrade(StatusCode::INTERNAL_SERVER_ERROR, b"container not found (\"main\")");
        assert_eq!(ended.code, RefusalCode::PodEnded);
    }
}
