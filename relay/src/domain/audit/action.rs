//! What is audited: the acts, their outcomes, and who acts.

use podlatch_protocol::id::{AgentId, UserId};
use uuid::Uuid;

/// Makes an enum with a stable name for each variant.
macro_rules! slugs {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $slug:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name, for storage and APIs.
            pub const fn slug(self) -> &'static str {
                match self {
                    $(Self::$variant => $slug,)+
                }
            }

            /// The one with this stable name.
            pub fn from_slug(slug: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.slug() == slug)
            }
        }
    };
}

slugs!(
    /// What was done. The slug is stable: it is stored, exported and filtered by.
    Action {
        /// A viewer was attached to a session's terminal.
        Connect = "connect",
        /// A viewer left a session's terminal.
        Disconnect = "disconnect",
        /// Somebody began to watch a session's terminal.
        Observe = "observe",
        /// Somebody who watched a session's terminal left it.
        ObserveEnded = "observe_ended",
        /// A command was entered in a session.
        CommandExecuted = "command_executed",
        /// A command that was told of while it ran has ended.
        CommandFinished = "command_finished",
        /// A session's terminal got another size.
        Resize = "resize",
        /// A session was asked for; nothing has been started yet.
        SessionOpen = "session_open",
        /// A session's process runs.
        SessionStarted = "session_started",
        /// A session was asked for and did not come to be.
        SessionRefused = "session_refused",
        /// A debug container was added to a pod for a session.
        DebugContainerAdded = "debug_container_added",
        /// Which images debug containers may have was changed.
        DebugImagesChanged = "debug_images_changed",
        /// By whose rights terminals are opened in a cluster was changed.
        KubernetesIdentityChanged = "kubernetes_identity_changed",
        /// A session became idle, or somebody typed in it again.
        SessionIdle = "session_idle",
        /// Processes that a session had left behind were found to be gone.
        SessionCleanup = "session_cleanup",
        /// It was changed how long sessions live.
        LimitsChanged = "limits_changed",
        /// A person asked that a session be ended.
        SessionEndRequested = "session_end_requested",
        /// A session is over.
        SessionEnd = "session_end",
        /// A recording was opened to be looked at.
        Replay = "replay",
        /// A recording was downloaded.
        RecordingDownload = "recording_download",
        /// A recording was deleted.
        RecordingDeleted = "recording_deleted",
        /// How long recordings are kept was set.
        RecordingRetentionSet = "recording_retention_set",
        /// A recording could not be written, read or proven whole.
        RecordingFailed = "recording_failed",
        /// Audit events were exported.
        AuditExport = "audit_export",
        /// A person signed in.
        SignIn = "sign_in",
        /// Somebody tried to sign in and was not let in.
        SignInRefused = "sign_in_refused",
        /// Somebody tried too often to guess a secret; what they try on is not written.
        TooManyTries = "too_many_tries",
        /// A person got a password, or another one.
        PasswordSet = "password_set",
        /// A person's password was removed.
        PasswordRemoved = "password_removed",
        /// A person may sign in with a new passkey.
        PasskeyAdded = "passkey_added",
        /// A passkey got another name.
        PasskeyRenamed = "passkey_renamed",
        /// A passkey was removed.
        PasskeyRemoved = "passkey_removed",
        /// An organisation's people may sign in at a provider.
        SignInProviderCreated = "sign_in_provider_created",
        /// A sign-in provider was changed.
        SignInProviderChanged = "sign_in_provider_changed",
        /// A sign-in provider was removed.
        SignInProviderRemoved = "sign_in_provider_removed",
        /// It became known who somebody is at a provider.
        IdentityLinked = "identity_linked",
        /// A provider said in which groups a person is.
        GroupsFromProvider = "groups_from_provider",
        /// A login ended before its time.
        SignOut = "sign_out",
        /// Somebody's role in the organisation was changed.
        MemberRoleChanged = "member_role_changed",
        /// Somebody was suspended in the organisation.
        MemberSuspended = "member_suspended",
        /// Somebody is suspended no more.
        MemberResumed = "member_resumed",
        /// Somebody was taken out of the organisation.
        MemberRemoved = "member_removed",
        /// Somebody joined the organisation.
        MemberJoined = "member_joined",
        /// Somebody was invited.
        InvitationCreated = "invitation_created",
        /// An invitation was withdrawn.
        InvitationRevoked = "invitation_revoked",
        /// A group was made.
        GroupCreated = "group_created",
        /// A group was changed.
        GroupChanged = "group_changed",
        /// A group was deleted.
        GroupDeleted = "group_deleted",
        /// Somebody was put into a group.
        GroupMemberAdded = "group_member_added",
        /// Somebody was taken out of a group.
        GroupMemberRemoved = "group_member_removed",
        /// An account was suspended on the whole relay.
        AccountSuspended = "account_suspended",
        /// An account is suspended no more.
        AccountResumed = "account_resumed",
        /// An API token was made.
        ApiTokenCreated = "api_token_created",
        /// A sign-in link was made.
        SignInLinkCreated = "sign_in_link_created",
        /// An organisation was created.
        OrganisationCreated = "organisation_created",
        /// An organisation was suspended by the operator.
        OrganisationSuspended = "organisation_suspended",
        /// An organisation is suspended no more.
        OrganisationResumed = "organisation_resumed",
        /// A cluster was registered.
        ClusterCreated = "cluster_created",
        /// A cluster's name, labels or settings were changed.
        ClusterChanged = "cluster_changed",
        /// It was replaced where a public cluster is reached and as whom.
        ClusterAccessReplaced = "cluster_access_replaced",
        /// It was tried whether a public cluster can be reached.
        ClusterConnectionTested = "cluster_connection_tested",
        /// A cluster was revoked, with its agents and join tokens.
        ClusterRevoked = "cluster_revoked",
        /// A join token was made.
        JoinTokenCreated = "join_token_created",
        /// An agent joined.
        AgentEnrolled = "agent_enrolled",
        /// Somebody tried to join as an agent and was not let in.
        AgentEnrolmentRefused = "agent_enrolment_refused",
        /// An agent was revoked.
        AgentRevoked = "agent_revoked",
        /// An agent's tunnel stands.
        AgentConnected = "agent_connected",
        /// An agent's tunnel is gone.
        AgentDisconnected = "agent_disconnected",
        /// An agent was not let in with the certificate that it has.
        AgentRefused = "agent_refused",
        /// Somebody connected with a copy of an agent's identity.
        AgentCloned = "agent_cloned",
        /// An agent got a new certificate.
        CertificateRenewed = "certificate_renewed",
        /// An agent asked for a new certificate and did not get one.
        CertificateRefused = "certificate_refused",
        /// An access rule was made.
        AccessRuleCreated = "access_rule_created",
        /// An access rule was changed.
        AccessRuleChanged = "access_rule_changed",
        /// An access rule was deleted.
        AccessRuleDeleted = "access_rule_deleted",
        /// A person asked for an access that another has to approve.
        AccessRequested = "access_requested",
        /// Such a request was approved.
        AccessApproved = "access_approved",
        /// Such a request was denied.
        AccessDenied = "access_denied",
        /// A signed-in person asked for something that they may not do.
        AccessRefused = "access_refused",
    }
);

slugs!(
    /// How it went.
    Outcome {
        /// It was done.
        Success = "success",
        /// It was not allowed.
        Refused = "refused",
        /// It was allowed and did not work.
        Failed = "failed",
    }
);

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActorRef {
    /// A person.
    User(UserId),
    /// The person whose session the event belongs to.
    SessionUser,
    /// Somebody who did not show who they are.
    Unknown,
    /// The relay itself: a time ran out, a connection was lost.
    System,
    /// An agent.
    Agent(AgentId),
    /// Whoever may run commands on the relay's machine.
    Operator,
}

slugs!(
    /// What kind of actor, once it is known who.
    ActorKind {
        /// A person.
        User = "user",
        /// Somebody who did not show who they are.
        Unknown = "unknown",
        /// The relay itself.
        System = "system",
        /// An agent.
        Agent = "agent",
        /// Whoever may run commands on the relay's machine.
        Operator = "operator",
    }
);

/// Who acted, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventActor {
    /// What kind.
    pub kind: ActorKind,
    /// The person's or agent's id.
    pub id: Option<Uuid>,
    /// What they were called at the time: a person's address.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slug_names_one_action() {
        for action in Action::ALL {
            assert_eq!(Action::from_slug(action.slug()), Some(*action));
        }
        let distinct: std::collections::HashSet<_> = Action::ALL.iter().map(|action| action.slug()).collect();
        assert_eq!(distinct.len(), Action::ALL.len());
        assert_eq!(Action::from_slug("Connect"), None);
    }
}
