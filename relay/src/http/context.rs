//! Who calls: the extractor that every endpoint behind a login takes.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::cookie;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::{Action, Actor, Decision, authorize};
use crate::domain::audit::{self, NewEvent, Origin, Outcome, Place};
use crate::domain::organisation::{ClientInfo, LoginSession};

/// A signed-in caller, and the moment of the call.
#[derive(Debug, Clone)]
pub struct CallContext {
    /// Who, for decisions.
    pub actor: Actor,
    /// Who, for people.
    pub login: LoginSession,
    /// From where.
    pub client: ClientInfo,
    /// When.
    pub now: UnixMillis,
}

impl CallContext {
    /// Goes on only if the caller may; a refusal is audited, at this place, before the caller learns of it. Cancel safe.
    pub async fn require(&self, app: &App, action: Action, place: Place) -> Result<(), Problem> {
        match authorize(&self.actor, action) {
            Decision::Allow => Ok(()),
            Decision::Deny(why) => {
                let event = self.event(audit::Action::AccessRefused).at(place).outcome(Outcome::Refused);
                let event = event.detail("asked", action.slug()).detail("reason", why);
                app.store.append_audit(&event).await?;
                Err(Problem::new(ProblemKind::Forbidden, why))
            }
        }
    }

    /// The same for something whose very existence is nobody else's business: a refusal looks like "not found". Cancel safe.
    pub async fn require_visible(&self, app: &App, action: Action, place: Place, what: &str) -> Result<(), Problem> {
        let refused = |problem: Problem| match problem.kind() {
            ProblemKind::Forbidden => Problem::not_found(what),
            _ => problem,
        };
        self.require(app, action, place).await.map_err(refused)
    }

    /// The caller, as the audit log names them.
    pub fn origin(&self) -> Origin {
        Origin::user(self.actor.user, self.client.clone())
    }

    /// Begins an audit event of the caller, at the time of the call.
    pub fn event(&self, action: audit::Action) -> NewEvent {
        NewEvent::new(action, self.actor.organisation, self.origin(), self.now)
    }
}

impl FromRequestParts<App> for CallContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let now = app.clock.now();
        let hash = cookie::login_session(&app.public_url, &parts.headers).ok_or_else(Problem::unauthenticated)?;
        let login = app.store.login_session_by_cookie(&hash, now).await?.ok_or_else(Problem::unauthenticated)?;
        let Ok(client) = ClientInfo::from_request_parts(parts, app).await;
        Ok(Self { actor: Actor::from(&login), login, client, now })
    }
}
