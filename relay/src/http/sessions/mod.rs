//! Sessions, as browsers see them.

pub mod create;
pub mod end;
pub mod get;
pub mod list;
pub mod observer_tickets;
pub mod terminal;
pub mod tickets;

use std::time::Duration;

use podlatch_protocol::close::SocketClose;
use podlatch_protocol::id::SessionId;
use podlatch_protocol::session::ExitOutcome;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::Access;
use super::context::CallContext;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::access::SessionOwner;
use crate::domain::session::{Purpose, Session, SessionState, Ticket};
use crate::store::NewTicket;
use crate::terminal::EndedMessage;

/// How long a ticket is good for. It is used at once; this covers a slow network.
const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// One person's exec.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    id: String,
    cluster: ClusterOfSession,
    namespace: String,
    pod: String,
    /// The container that was entered; before the process runs, the one that was asked for, if one was.
    container: Option<String>,
    user: Person,
    /// `opening`, `live` or `ended`.
    #[schema(example = "live")]
    state: &'static str,
    /// `active`, `expired` or `closed`: only an active session may be entered.
    #[schema(example = "active")]
    status: &'static str,
    /// The address that it was opened from.
    client_ip: String,
    /// The browser that it was opened with. Untrusted text: escape it.
    user_agent: String,
    /// Why it was opened, in the person's words. Untrusted text: escape it.
    reason: Option<String>,
    /// When it was asked for (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    started_at: UnixMillis,
    /// When somebody last typed (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    last_activity_at: UnixMillis,
    /// Whether nobody has typed for so long that it is flagged idle.
    idle: bool,
    /// When it ends, whatever happens (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    expires_at: UnixMillis,
    /// When it ended (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<UnixMillis>,
    /// How it ended, once it has.
    end: Option<EndedMessage>,
    /// The process' exit status, where Kubernetes told it.
    exit_status: Option<i32>,
    /// Whether it goes on and the caller could watch it.
    may_observe: bool,
}

/// The cluster of a session.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClusterOfSession {
    id: String,
    name: String,
    /// How it is reached.
    #[serde(rename = "type")]
    #[schema(example = "private")]
    cluster_type: &'static str,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Person {
    id: String,
    email: String,
}

impl SessionBody {
    /// A session as it stands at `now`, for a person.
    fn at(session: Session, access: &Access, now: UnixMillis) -> Self {
        let may_observe = access.may_observe(&session, now);
        let status = session.status(now).slug();
        let Session { request, cluster_name, cluster_type, user_email, state, activity, .. } = session;
        let slug = state.slug();
        let (opened, end) = match state {
            SessionState::Opening => (None, None),
            SessionState::Live(opened) => (Some(opened), None),
            SessionState::Ended { opened, end } => (opened, Some(end)),
        };
        let container = opened.map(|opened| opened.container).or(request.target.container);
        Self {
            id: request.id.to_string(),
            cluster: ClusterOfSession {
                id: request.cluster.to_string(),
                name: cluster_name.to_string(),
                cluster_type: cluster_type.slug(),
            },
            namespace: request.target.namespace.to_string(),
            pod: request.target.pod.to_string(),
            container: container.map(String::from),
            user: Person { id: request.user.to_string(), email: user_email.to_string() },
            state: slug,
            status,
            client_ip: request.client.ip,
            user_agent: request.client.user_agent,
            reason: request.reason.map(String::from),
            started_at: request.started_at,
            last_activity_at: activity.last_at,
            idle: activity.idle_since.is_some() && end.is_none(),
            expires_at: request.expires_at,
            ended_at: end.as_ref().map(|end| end.at),
            exit_status: end.as_ref().and_then(|end| match end.ended.outcome {
                ExitOutcome::Exited(status) => Some(status),
                ExitOutcome::Failed(_) | ExitOutcome::Unknown => None,
            }),
            end: end.map(|end| EndedMessage::from(&end.ended)),
            may_observe,
        }
    }
}

/// Goes on only for a session that somebody may still come to.
fn require_unfinished(app: &App, session: &Session) -> Result<(), Problem> {
    let Some(cause) = session.over_because(app.clock.now()) else {
        return Ok(());
    };
    let detail = format!("{} {}", SocketClose::Gone.sentence(), cause.sentence());
    Err(Problem::new(ProblemKind::SessionEnded, detail))
}

/// A session of the caller's organisation; whether the caller may do something with it is still to be asked.
async fn find(app: &App, context: &CallContext, id: SessionId) -> Result<(Session, SessionOwner), Problem> {
    let organisation = context.actor.organisation;
    let found = app.store.get_session(organisation, id).await?;
    let session = found.ok_or_else(|| Problem::not_found("session"))?;
    let owner = SessionOwner { organisation, user: session.request.user };
    Ok((session, owner))
}

/// Issues the right to attach one viewer, once.
async fn issue_ticket(
    app: &App,
    context: &CallContext,
    session: SessionId,
    purpose: Purpose,
) -> Result<Token, Problem> {
    let token = Token::generate(TokenKind::Ticket, &app.entropy);
    let ticket = Ticket {
        organisation: context.actor.organisation,
        session,
        user: context.actor.user,
        login_session: context.actor.login_session,
        purpose,
    };
    let now = app.clock.now();
    let new = NewTicket { hash: token.hash(), ticket, expires_at: now.plus(TICKET_LIFETIME) };
    app.store.issue_ticket(&new, now).await?;
    Ok(token)
}
