//! Who calls: the extractor that every endpoint behind a login takes.

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::cookie;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::{Action, Actor, Decision, authorize};
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
    /// Goes on only if the caller may.
    pub fn require(&self, action: Action) -> Result<(), Problem> {
        match authorize(&self.actor, action) {
            Decision::Allow => Ok(()),
            Decision::Deny(why) => Err(Problem::new(ProblemKind::Forbidden, why)),
        }
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
