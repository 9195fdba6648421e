//! Why things end or are refused: one table from cause to number, WebSocket code and a sentence for people.
//!
//! On the tunnel a cause travels as its number, so that a peer of another version can pass on one that it does not know.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::MAX_DETAIL_BYTES;

macro_rules! numbered {
    (
        $(#[$doc:meta])* $name:ident, other: $other:literal,
        $( $(#[$vdoc:meta])* $variant:ident = $number:literal, $slug:literal, $sentence:literal; )+
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "u16", into = "u16")]
        pub enum $name {
            $( $(#[$vdoc])* $variant, )+
            /// A number that a newer peer knows.
            Other(u16),
        }

        impl $name {
            /// Every cause that this version knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The number on the wire; never reused, never changed.
            pub const fn number(self) -> u16 {
                match self {
                    $( Self::$variant => $number, )+
                    Self::Other(number) => number,
                }
            }

            /// The stable machine-readable name, for APIs and storage.
            pub const fn slug(self) -> &'static str {
                match self {
                    $( Self::$variant => $slug, )+
                    Self::Other(_) => "other",
                }
            }

            /// The sentence that a person reads: what happened and what to do.
            pub const fn sentence(self) -> &'static str {
                match self {
                    $( Self::$variant => $sentence, )+
                    Self::Other(_) => $other,
                }
            }

            /// The cause with this stable name, if this version knows it.
            pub fn from_slug(slug: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|cause| cause.slug() == slug)
            }
        }

        impl From<u16> for $name {
            fn from(number: u16) -> Self {
                match number {
                    $( $number => Self::$variant, )+
                    other => Self::Other(other),
                }
            }
        }

        impl From<$name> for u16 {
            fn from(cause: $name) -> u16 {
                cause.number()
            }
        }
    };
}

numbered! {
    /// Why a session ended. It never resumes after any of these.
    EndCause, other: "The session ended for a reason that this version does not know. Open a new one.",
    /// The process ended by itself.
    Exited = 1, "exited", "The process has ended.";
    /// The person closed the session.
    ClosedByUser = 2, "closed_by_user", "You closed this session.";
    /// Somebody else with the right to do so closed it.
    ClosedByOther = 3, "closed_by_other", "This session was closed by someone else in your organisation.";
    /// Its time was up.
    Expired = 4, "expired", "This session has reached its time limit. Open a new one to go on.";
    /// Nobody typed for too long.
    Idle = 5, "idle", "This session was closed because nothing was typed for too long. Open a new one to go on.";
    /// The right to it was withdrawn.
    Revoked = 6, "revoked", "Your right to this session was withdrawn. Ask an administrator of your organisation.";
    /// No viewer returned within the grace time.
    Abandoned = 7, "abandoned", "This session was closed because nobody returned to it in time. Open a new one to go on.";
    /// The pod was deleted, evicted, or ended.
    PodGone = 8, "pod_gone", "The pod is gone: it was deleted, evicted, or has ended. Choose another pod.";
    /// The agent's process was restarted; Kubernetes offers no way back into an exec.
    AgentRestarted = 9, "agent_restarted", "The cluster's agent was restarted, which ends its sessions. Open a new one.";
    /// The agent is shutting down.
    AgentShutdown = 10, "agent_shutdown", "The cluster's agent is shutting down. Open a new session in a moment.";
    /// The agent could not reach its relay within the grace time.
    RelayLost = 11, "relay_lost", "The cluster's agent lost its relay for too long and ended the session. Open a new one.";
    /// The recording could not be written; nothing goes on unrecorded.
    RecordingFailed = 12, "recording_failed", "The recording could not be written, and no session goes on unrecorded. Tell the operator of this relay.";
    /// The connection to the container broke without an exit status.
    ConnectionLost = 13, "connection_lost", "The connection between Kubernetes and the container broke. Whether the process still runs is unknown. Open a new session.";
    /// A peer broke the protocol.
    ProtocolError = 14, "protocol_error", "The session was ended because a peer sent something that makes no sense. Open a new one; if it happens again, check the versions of agent and relay.";
    /// The relay that held the exec itself was restarted (public clusters).
    RelayRestarted = 15, "relay_restarted", "The relay was restarted, which ends sessions in public clusters. Open a new one.";
    /// The container's output could not be kept: neither side had the bytes any more.
    OutputLost = 16, "output_lost", "Part of the output was lost, and an incomplete recording is not continued. Open a new session.";
    /// The agent did not come back within the grace time.
    AgentLost = 17, "agent_lost", "The cluster's agent did not come back in time, and it ends such a session by itself. Open a new one.";
    /// It was never opened: refused by the agent, or by Kubernetes.
    NotOpened = 18, "not_opened", "The session could not be opened.";
    /// Its cluster was revoked.
    ClusterRevoked = 19, "cluster_revoked", "This cluster was taken out of your organisation, which ends its sessions. Ask an administrator of your organisation.";
    /// The agent that held it was revoked.
    AgentRevoked = 20, "agent_revoked", "The cluster's agent that held this session was revoked. Open a new one if the cluster has another agent, or ask an administrator of your organisation.";
    /// The person's account was suspended.
    AccountSuspended = 30, "account_suspended", "Your account was suspended, which ends your sessions. Ask the operator of this relay.";
    /// The organisation was suspended.
    OrganisationSuspended = 31, "organisation_suspended", "Your organisation was suspended, which ends its sessions. Ask the operator of this relay.";
    /// The person was suspended in the organisation.
    MembershipSuspended = 32, "membership_suspended", "You were suspended in this organisation, which ends your sessions. Ask one of its owners or admins.";
    /// The person was removed from the organisation.
    MembershipRemoved = 33, "membership_removed", "You are no longer a member of this organisation, which ends your sessions. Ask one of its owners or admins.";
    /// The person's role changed to one that does not allow it.
    RoleChanged = 34, "role_changed", "Your role in this organisation was changed to one that does not allow this session. Ask one of its owners or admins.";
    /// The login that opened it was signed out.
    SignedOut = 35, "signed_out", "The login that opened this session was signed out. Sign in again and open a new one.";
    /// The login that opened it expired.
    LoginExpired = 36, "login_expired", "The login that opened this session has expired. Sign in again and open a new one.";
    /// The API token that opened it was revoked.
    TokenRevoked = 37, "token_revoked", "The API token that opened this session was revoked. Create a new token.";
    /// The API token that opened it expired.
    TokenExpired = 38, "token_expired", "The API token that opened this session has expired. Create a new token.";
    /// The person left a group by which it was allowed.
    GroupLeft = 39, "group_left", "You are no longer in the group that allowed this session. Ask an owner or admin of your organisation.";
    /// An access rule was changed or deleted.
    RuleChanged = 40, "rule_changed", "The access rules no longer allow this session. Ask an owner or admin of your organisation.";
    /// The approval that it needed is over.
    ApprovalOver = 41, "approval_over", "The approval for this session is over. Request access again.";
    /// The pod's labels changed, and rules go by them.
    PodLabelsChanged = 42, "pod_labels_changed", "The pod's labels were changed, and the access rules do not allow a pod with its labels. Ask an owner or admin of your organisation.";
}

numbered! {
    /// Why a session could not be opened or joined.
    RefusalCode, other: "The session was refused for a reason that this version does not know.",
    /// There is no such pod.
    PodNotFound = 1, "pod_not_found", "There is no such pod. It may have been replaced: choose one from the list.";
    /// The pod has no such container.
    ContainerNotFound = 2, "container_not_found", "The pod has no container of that name.";
    /// The pod has several containers and none was named.
    ContainerRequired = 3, "container_required", "The pod has several containers. Choose one.";
    /// The pod has not started yet.
    PodPending = 4, "pod_pending", "The pod has not started yet. Try again when it runs.";
    /// The pod, or the container, has ended.
    PodEnded = 5, "pod_ended", "The pod or the container has ended, so nothing can be started in it.";
    /// The container has no shell.
    NoShell = 6, "no_shell", "The container has no shell. Name a command that it has, or use a debug container where your organisation allows it.";
    /// The asked-for command does not exist in the container.
    CommandNotFound = 7, "command_not_found", "The container has no such command.";
    /// Kubernetes refused the exec.
    Forbidden = 8, "forbidden", "Kubernetes does not allow this. The cluster's administrator can grant what is missing, by a Role or ClusterRole and its binding.";
    /// The agent's own guard does not allow the namespace.
    NotAllowedByAgent = 9, "not_allowed_by_agent", "The cluster's agent is set up not to enter this namespace or pod.";
    /// Too many sessions are open.
    TooManySessions = 10, "too_many_sessions", "Too many sessions are open in this cluster. Close one and try again.";
    /// The agent is shutting down.
    Draining = 11, "draining", "The cluster's agent is shutting down. Try again in a moment.";
    /// Kubernetes did not answer.
    KubernetesUnreachable = 12, "kubernetes_unreachable", "The cluster's Kubernetes API does not answer. Try again; if it stays so, look at the agent's log.";
    /// The agent holds no such session.
    NoSuchSession = 13, "no_such_session", "The cluster's agent does not hold this session any more.";
    /// The peer asked for something that makes no sense.
    BadRequest = 14, "bad_request", "The request makes no sense to the cluster's agent. Check that relay and agent are of neighbouring versions.";
    /// Kubernetes or the container runtime failed.
    KubernetesError = 15, "kubernetes_error", "Kubernetes could not start the process.";
    /// No agent of the cluster is connected.
    AgentOffline = 16, "agent_offline", "No agent of this cluster is connected. Check that it runs and can reach the relay.";
    /// The agent did not answer in time.
    AgentTimeout = 17, "agent_timeout", "The cluster's agent did not answer in time. Try again.";
    /// The agent broke the protocol.
    AgentProtocol = 18, "agent_protocol_error", "The cluster's agent answered with something that makes no sense. Check that relay and agent are of neighbouring versions.";
    /// Relay and agent disagree about whose rights count in Kubernetes.
    IdentityMode = 19, "identity_mode", "The relay and the cluster's agent are not set to the same Kubernetes identity. Set both to the agent's own, or both to impersonation of the signed-in person.";
    /// The person's names for Kubernetes are not ones that may be impersonated.
    IdentityRefused = 20, "identity_refused", "The signed-in person cannot be impersonated in this cluster. An administrator can mend the person's groups and the cluster's settings.";
    /// Debug containers, or this image, are not allowed.
    DebugNotAllowed = 21, "debug_not_allowed", "A debug container of this image is not allowed here. Choose another image; which ones there are, the organisation and the owner of the cluster's agent say.";
    /// The debug container's image could not be had.
    DebugImageFailed = 22, "debug_image_failed", "The image of the debug container could not be had. Check its name, and that the cluster can reach its registry.";
    /// Kubernetes did not let the debug container in, or it did not run.
    DebugFailed = 23, "debug_failed", "The debug container did not start.";
    /// Another pod took the name since the relay decided.
    PodReplaced = 24, "pod_replaced", "The pod was replaced by another of its name while the session was being opened. Try again.";
    /// Rules go by the pod's labels, and nobody can say them.
    PodLabelsUnknown = 25, "pod_labels_unknown", "An access rule asks for the labels of this pod, and the cluster's agent cannot say them.";
}

/// A refusal with its detail, as it travels on the tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal.
    pub code: RefusalCode,
    /// What Kubernetes said, or the choices there are; empty where the code says it all. Untrusted text: escape it.
    pub detail: String,
}

impl Refusal {
    /// A refusal whose detail is cut to [`MAX_DETAIL_BYTES`] and holds no control characters.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if detail.chars().any(char::is_control) {
            detail = detail.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        }
        Self { code, detail: cut(detail) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.sentence())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

impl std::error::Error for Refusal {}

/// Cuts a text to [`MAX_DETAIL_BYTES`] at a character boundary.
pub fn cut(mut text: String) -> String {
    if text.len() > MAX_DETAIL_BYTES {
        let mut end = MAX_DETAIL_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// How a terminal WebSocket ends: its close code (RFC 6455 section 7.4.2 leaves 4000 to 4999 to applications).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketClose {
    /// The session ended; the `ended` message before it says why.
    Ended,
    /// The first frame was not a valid `attach`, or came too late.
    BadAttach,
    /// The ticket is unknown, used or expired.
    BadTicket,
    /// The session ended before the viewer came.
    Gone,
    /// The client broke the protocol.
    ProtocolError,
    /// Somebody who only watches typed, or asked for the end.
    ReadOnly,
    /// The right to watch was withdrawn; the session goes on.
    WatchWithdrawn,
    /// Too many bad tickets came from this account or address.
    TooManyTries,
    /// The client did not read for too long.
    TooSlow,
    /// The relay is shutting down; reconnect.
    GoingAway,
    /// The relay failed; reconnect.
    Internal,
}

impl SocketClose {
    /// Every way a terminal WebSocket ends.
    pub const ALL: &'static [Self] = &[
        Self::Ended,
        Self::BadAttach,
        Self::BadTicket,
        Self::TooManyTries,
        Self::Gone,
        Self::ProtocolError,
        Self::ReadOnly,
        Self::WatchWithdrawn,
        Self::TooSlow,
        Self::GoingAway,
        Self::Internal,
    ];

    /// The WebSocket close code. 4000 to 4099 are final; 4100 to 4199 ask the client to get a new ticket and reconnect.
    pub const fn code(self) -> u16 {
        match self {
            Self::Ended => 4000,
            Self::BadAttach => 4001,
            Self::Gone => 4003,
            Self::ProtocolError => 4004,
            Self::ReadOnly => 4005,
            Self::WatchWithdrawn => 4006,
            Self::BadTicket => 4101,
            Self::TooSlow => 4102,
            Self::GoingAway => 4103,
            Self::Internal => 4104,
            Self::TooManyTries => 4105,
        }
    }

    /// The close reason: a sentence of at most 123 bytes (RFC 6455 section 5.5).
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Ended => "The session has ended.",
            Self::BadAttach => "The first message must be a valid attach, sent within five seconds.",
            Self::BadTicket => "The ticket is unknown, used or expired. Get a new one.",
            Self::TooManyTries => "Too many bad tickets. Wait 3 seconds, then get a new one.",
            Self::Gone => "The session has ended and cannot be resumed. Open a new one.",
            Self::ProtocolError => "The client sent something that makes no sense.",
            Self::ReadOnly => "You are watching this session. You can neither type in it nor end it.",
            Self::WatchWithdrawn => "You may no longer watch this session. Ask an owner or admin of your organisation.",
            Self::TooSlow => "The client did not read for too long. Reconnect to go on.",
            Self::GoingAway => "The relay is restarting. Reconnect to go on.",
            Self::Internal => "The relay failed. Reconnect to go on.",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_slugs_are_unique_and_survive_the_wire() {
        let numbers: BTreeSet<_> = EndCause::ALL.iter().map(|cause| cause.number()).collect();
        let slugs: BTreeSet<_> = EndCause::ALL.iter().map(|cause| cause.slug()).collect();
        assert_eq!((numbers.len(), slugs.len()), (EndCause::ALL.len(), EndCause::ALL.len()));
        for cause in EndCause::ALL {
            assert_eq!(EndCause::from(cause.number()), *cause);
            assert_eq!(EndCause::from_slug(cause.slug()), Some(*cause));
        }
        assert_eq!(u16::from(EndCause::from(999)), 999);
        let numbers: BTreeSet<_> = RefusalCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers.len(), RefusalCode::ALL.len());
    }

    #[test]
    fn socket_codes_are_unique_and_their_reasons_fit_a_close_frame() {
        let codes: BTreeSet<_> = SocketClose::ALL.iter().map(|close| close.code()).collect();
        assert_eq!(codes.len(), SocketClose::ALL.len());
        assert!(SocketClose::ALL.iter().all(|close| close.sentence().len() <= 123));
    }

    #[test]
    fn a_detail_is_cut_at_a_character() {
        let refusal = Refusal::new(RefusalCode::Forbidden, "ä".repeat(MAX_DETAIL_BYTES));
        assert_eq!(refusal.detail.len(), MAX_DETAIL_BYTES);
        assert_eq!(Refusal::new(RefusalCode::Forbidden, "a\x1b[2J\nb\u{9b}").detail, "a [2J b ");
    }
}
