//! What the audit log says of agents.

use std::net::IpAddr;
use std::time::Duration;

use podlatch_link::disconnect::Disconnect;

use super::Context;
use crate::auth::token::TokenHash;
use crate::domain::agent::{Agent, CloneSeen};
use crate::domain::audit::{Action, NO_ORGANISATION, NewEvent, Origin, Outcome, Place};
use crate::domain::organisation::ClientInfo;
use crate::http::guesses::{self, Secret};
use crate::http::rate_limit::{Limited, Rate, RateLimiter, Who};
use crate::pki::AgentIdentity;
use crate::store::StoreError;

/// Refusals of one address that are written: an agent that was revoked goes on trying, and so may a stranger.
const WRITTEN: Rate = Rate { burst: 20, refill: Duration::from_mins(1) };

/// Bounds the refusals that are written for each address: whoever may not come in must not fill the log.
pub fn refusal_limit() -> RateLimiter {
    RateLimiter::new(WRITTEN)
}

/// Where an agent dials from, and what it calls itself.
pub(super) fn client(connection: &quinn::Connection, version: &str) -> ClientInfo {
    let ip = connection.remote_address().ip().to_canonical().to_string();
    ClientInfo { ip, user_agent: format!("podlatch-agent/{version}") }
}

/// The tunnel of an agent stands; to be written before the agent can be reached.
pub(super) async fn connected(context: &Context, of: AgentIdentity, client: ClientInfo) -> Result<(), StoreError> {
    context.store.append_audit(&event(context, Action::AgentConnected, of, client)).await.map(drop)
}

/// It is gone. That is true whether it can be written or not.
pub(super) async fn disconnected(context: &Context, of: AgentIdentity, client: ClientInfo, why: Disconnect) {
    let event = event(context, Action::AgentDisconnected, of, client).detail("reason", why.sentence());
    if let Err(error) = context.store.append_audit(&event).await {
        tracing::error!(agent.id = %of.agent, %error, "an agent's disconnection could not be audited");
    }
}

/// An agent with a certificate of this relay was not let in. A certificate of an agent that the relay does not know says
/// in whose log to write all the same: it is the relay's own.
pub(super) async fn refused(
    context: &Context,
    of: AgentIdentity,
    known: Option<&Agent>,
    client: ClientInfo,
    why: &str,
) -> Result<(), StoreError> {
    let event = match known {
        Some(_) => event(context, Action::AgentRefused, of, client),
        None => event(context, Action::AgentRefused, of, client).at(Place::Organisation),
    };
    write_refusal(context, event.detail("reason", why)).await
}

/// Somebody presented a copy of an agent's identity, from here. The agent is flagged; the log is bounded as it is for refusals.
pub(super) async fn cloned(
    context: &Context,
    of: AgentIdentity,
    client: ClientInfo,
    how: &'static str,
) -> Result<(), StoreError> {
    tracing::warn!(agent.id = %of.agent, from = client.ip, "an agent's identity was copied: {how}");
    let seen = CloneSeen { at: context.clock.now(), from: client.ip.clone() };
    let event = event(context, Action::AgentCloned, of, client).detail("reason", how).outcome(Outcome::Refused);
    let event = Some(&event).filter(|event| may_write(context, event));
    context.store.agent_cloned((of.organisation, of.cluster, of.agent), &seen, event).await
}

/// An agent did not get a new certificate.
pub(super) async fn not_renewed(context: &Context, of: AgentIdentity, client: ClientInfo, why: &str) {
    let event = event(context, Action::CertificateRefused, of, client).detail("reason", why);
    if let Err(error) = write_refusal(context, event).await {
        tracing::error!(agent.id = %of.agent, %error, "a refused renewal could not be audited");
    }
}

/// Somebody with this join token, if it is one, did not become an agent.
pub(super) async fn not_enrolled(
    context: &Context,
    token: Option<&TokenHash>,
    client: ClientInfo,
    why: &str,
) -> Result<(), StoreError> {
    let grant = match token {
        Some(token) => context.store.cluster_of_join_token(token).await?,
        None => None,
    };
    let now = context.clock.now();
    let in_log_of = |organisation| {
        NewEvent::new(Action::AgentEnrolmentRefused, organisation, Origin::unknown(client), now).detail("reason", why)
    };
    let event = match grant {
        Some(grant) => in_log_of(grant.organisation)
            .at(Place::Cluster(grant.cluster))
            .detail("join_token", grant.token.to_string()),
        None => in_log_of(NO_ORGANISATION),
    };
    write_refusal(context, event).await
}

/// Somebody tried too many bad join tokens: said once for a burst.
pub(super) async fn guessing(context: &Context, limited: Limited, client: ClientInfo) -> Result<(), StoreError> {
    let event = guesses::guessing(NO_ORGANISATION, Origin::unknown(client), context.clock.now());
    guesses::note(&context.store, Secret::JoinToken, limited, event).await
}

fn event(context: &Context, action: Action, of: AgentIdentity, client: ClientInfo) -> NewEvent {
    NewEvent::new(action, of.organisation, Origin::agent(of.agent, client), context.clock.now())
        .at(Place::Cluster(of.cluster))
        .detail("agent", of.agent.to_string())
}

async fn write_refusal(context: &Context, event: NewEvent) -> Result<(), StoreError> {
    if !may_write(context, &event) {
        return Ok(());
    }
    context.store.append_audit(&event.outcome(Outcome::Refused)).await.map(drop)
}

/// Whether this address has not filled the log yet.
fn may_write(context: &Context, event: &NewEvent) -> bool {
    let address = event.origin.client.as_ref().and_then(|client| client.ip.parse::<IpAddr>().ok());
    context.refusals.take(Who::at(address), event.at).is_ok()
}
