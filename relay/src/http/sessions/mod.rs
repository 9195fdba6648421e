//! Sessions, as browsers see them.

pub mod create;
pub mod end;
pub mod get;
pub mod list;
pub mod terminal;
pub mod tickets;

use std::time::Duration;

use podlatch_protocol::id::SessionId;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::problem::Problem;
use crate::app::App;
use crate::auth::token::{Token, TokenKind};
use crate::clock::UnixMillis;
use crate::domain::access::SessionOwner;
use crate::domain::session::{Session, SessionState, Ticket};
use crate::store::NewTicket;
use crate::terminal::EndedMessage;

/// How long a ticket is good for. It is used at once; this covers a slow network.
const TICKET_LIFETIME: Duration = Duration::from_secs(30);

/// One person's exec.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    id: String,
    cluster: Named,
    namespace: String,
    pod: String,
    /// The container that was entered; before the process runs, the one that was asked for, if one was.
    container: Option<String>,
    user: Person,
    /// `opening`, `live` or `ended`.
    #[schema(example = "live")]
    state: &'static str,
    /// When it was asked for (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    started_at: UnixMillis,
    /// When it ended (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<UnixMillis>,
    /// How it ended, once it has.
    end: Option<EndedMessage>,
}

/// Something with an id and a name.
#[derive(Debug, Serialize, ToSchema)]
pub struct Named {
    id: String,
    name: String,
}

/// A person.
#[derive(Debug, Serialize, ToSchema)]
pub struct Person {
    id: String,
    email: String,
}

impl From<Session> for SessionBody {
    fn from(session: Session) -> Self {
        let Session { request, cluster_name, user_email, state } = session;
        let slug = state.slug();
        let (opened, end) = match state {
            SessionState::Opening => (None, None),
            SessionState::Live(opened) => (Some(opened), None),
            SessionState::Ended { opened, end } => (opened, Some(end)),
        };
        let container = opened.map(|opened| opened.container).or(request.target.container);
        Self {
            id: request.id.to_string(),
            cluster: Named { id: request.cluster.to_string(), name: cluster_name.to_string() },
            namespace: request.target.namespace.to_string(),
            pod: request.target.pod.to_string(),
            container: container.map(String::from),
            user: Person { id: request.user.to_string(), email: user_email.to_string() },
            state: slug,
            started_at: request.started_at,
            ended_at: end.as_ref().map(|end| end.at),
            end: end.map(|end| EndedMessage::from(&end.ended)),
        }
    }
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
async fn issue_ticket(app: &App, context: &CallContext, session: SessionId) -> Result<Token, Problem> {
    let token = Token::generate(TokenKind::Ticket, &app.entropy);
    let ticket = Ticket {
        organisation: context.actor.organisation,
        session,
        user: context.actor.user,
        login_session: context.actor.login_session,
    };
    let now = app.clock.now();
    let new = NewTicket { hash: token.hash(), ticket, expires_at: now.plus(TICKET_LIFETIME) };
    app.store.issue_ticket(&new, now).await?;
    Ok(token)
}
