//! The control stream: opened by the agent as the first stream of every connection.
//!
//! The agent's `Hello` comes first, the relay's `Welcome` or `Rejected` answers it. Then the relay pings, the agent answers,
//! renews its certificate in time and says when it is draining. New messages get new variants at the end; a peer that cannot
//! decode one skips it.

use serde::{Deserialize, Serialize};

use crate::enrolment::Certificate;
use crate::id::{AgentInstanceId, SessionId};

/// Agent to relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToRelay {
    /// First message.
    Hello(Hello),
    /// Answer to a ping, with its number.
    Pong(u64),
    /// A certificate request (PKCS#10, DER) with a new key; answered by [`ToAgent::Renewed`].
    Renew(Vec<u8>),
    /// Takes no new sessions from now on; live ones may finish.
    Draining,
    /// What this agent is and allows, for people; after the welcome of every connection.
    About(About),
}

/// What an agent says of itself, to be shown. Nothing is decided by it: the agent enforces its guard itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The name of its pod or machine; empty where it knows none. Untrusted text.
    pub replica: String,
    /// What its own guard lets through. Untrusted text.
    pub guard: GuardReport,
}

/// An agent's own guard, as its owner wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardReport {
    /// Patterns of namespaces, one of which must match; none allows all that Kubernetes allows.
    pub namespaces: Vec<String>,
    /// Conditions on a pod's labels, all of which must hold.
    pub pod_labels: Vec<String>,
}

/// Relay to agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToAgent {
    /// The agent is connected.
    Welcome,
    /// The agent may not connect; the sentence says why and what to do.
    Rejected(String),
    /// To be answered with the same number.
    Ping(u64),
    /// The new certificate for the key of the last `Renew`.
    Renewed(Certificate),
    /// A renewal was refused; the sentence says why.
    RenewalRefused(String),
}

/// Who speaks, and what it holds. Identity is not here: it is the certificate's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`crate::version::MINOR`] of the agent.
    pub minor: u16,
    /// The agent's release, for people.
    pub agent_version: String,
    /// The Kubernetes version of its cluster, for people; empty where it could not be asked.
    pub kubernetes_version: String,
    /// This life of the agent's process.
    pub instance: AgentInstanceId,
    /// The sessions it still holds, ended ones that nobody fetched included.
    pub sessions: Vec<SessionId>,
}
