//! Who calls: the extractor that every endpoint behind a login takes.

use axum::extract::FromRequestParts;
use http::request::Parts;
use podlatch_protocol::id::OrganisationId;

use super::client::ClientAddress;
use super::credential::Credential;
use super::guesses::{self, Secret};
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::access::{Action, Actor, Administration, Decision, authorize};
use crate::domain::audit::{self, NO_ORGANISATION, NewEvent, Origin, Outcome, Place};
use crate::domain::login::LoginKind;
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

    /// Goes on only for who may administer this part of their organisation; says which organisation that is. Cancel safe.
    pub async fn require_administration(
        &self,
        app: &App,
        part: Administration,
        place: Place,
    ) -> Result<OrganisationId, Problem> {
        let organisation = self.actor.organisation;
        self.require(app, Action::Administer { organisation, part }, place).await?;
        Ok(organisation)
    }

    /// The same for something whose very existence is nobody else's business: a refusal looks like "not found". Cancel safe.
    pub async fn require_visible(&self, app: &App, action: Action, place: Place, what: &str) -> Result<(), Problem> {
        let refused = |problem: Problem| match problem.kind() {
            ProblemKind::Forbidden => Problem::not_found(what),
            _ => problem,
        };
        self.require(app, action, place).await.map_err(refused)
    }

    /// Goes on only for a person at a browser: what a leaked API token must not be able to do, whatever its scopes. A refusal is
    /// audited. Cancel safe.
    pub async fn require_browser(&self, app: &App, asked: &'static str) -> Result<(), Problem> {
        match self.actor.login_kind {
            LoginKind::Browser => Ok(()),
            LoginKind::Token => {
                let event = self.event(audit::Action::AccessRefused).outcome(Outcome::Refused);
                let event = event.detail("asked", asked).detail("reason", NO_BROWSER);
                app.store.append_audit(&event).await?;
                Err(Problem::new(ProblemKind::Forbidden, NO_BROWSER))
            }
        }
    }

    /// Whether a person at a browser calls, rather than a program with an API token.
    pub fn is_browser(&self) -> bool {
        self.actor.login_kind == LoginKind::Browser
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
        let login = match Credential::of(&app.public_url, &parts.headers) {
            Credential::Cookie(hash) => login(app, &hash, now).await?.ok_or_else(Problem::unauthenticated)?,
            Credential::Token(hash) => match login(app, &hash, now).await? {
                Some(login) => login,
                None => return Err(no_token(parts, app, now).await),
            },
            Credential::None | Credential::BadCookie => return Err(Problem::unauthenticated()),
            Credential::BadToken => return Err(no_token(parts, app, now).await),
            Credential::Both => return Err(Problem::new(ProblemKind::BadRequest, BOTH)),
        };
        let Ok(client) = ClientInfo::from_request_parts(parts, app).await;
        Ok(Self { actor: Actor::from(&login), login, client, now })
    }
}

const NO_BROWSER: &str = "API tokens may not do this. Sign in with a browser.";

const BOTH: &str = "The request has a login cookie and an API token. Send one of them.";

/// The login of a cookie or token; `None` if the relay never gave it out. Whoever has the secret of a login that has ended is
/// told why it has.
async fn login(app: &App, hash: &TokenHash, now: UnixMillis) -> Result<Option<LoginSession>, Problem> {
    let Some(standing) = app.store.login_by_secret(hash, now).await? else {
        return Ok(None);
    };
    let login = standing.map_err(|end| Problem::new(ProblemKind::Unauthenticated, end.sentence()))?;
    if let Err(error) = app.store.note_login_use(&login, now).await {
        // What the person asked for does not depend on it.
        tracing::warn!(%error, "it could not be stored that a login is in use");
    }
    Ok(Some(login))
}

/// A token that is none costs its address a try. A good one never does, however many bad ones come from the same address.
async fn no_token(parts: &mut Parts, app: &App, now: UnixMillis) -> Problem {
    let Ok(ClientAddress(address)) = ClientAddress::from_request_parts(parts, app).await;
    let Ok(client) = ClientInfo::from_request_parts(parts, app).await;
    match app.guesses.bad(Secret::ApiToken, address, now) {
        Ok(()) => Problem::new(
            ProblemKind::Unauthenticated,
            "This is not an API token of this relay. Check that the whole token was copied: plt_ and 43 characters.",
        ),
        Err(limited) => {
            let event = guesses::guessing(NO_ORGANISATION, Origin::unknown(client), now);
            guesses::refuse(&app.store, Secret::ApiToken, limited, event).await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::domain::login::Scope;
    use crate::domain::organisation::Role;
    use crate::http::guesses;
    use crate::http::testing::{SignedIn, TestRelay};

    const ME: &str = "/api/v1/me";

    async fn ada() -> (TestRelay, SignedIn) {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        (relay, ada)
    }

    #[tokio::test]
    async fn an_api_token_is_its_person_without_an_origin() {
        let (relay, ada) = ada().await;
        let token = relay.api_token(&ada, Scope::ALL).await;
        let me = relay.get(ME).header("authorization", &token).send().await;
        assert_eq!((me.status, &me.json()["user"]["email"]), (200, &json!("ada@example.org")));
        let open = relay.post("/api/v1/sessions").without("origin").header("authorization", &token);
        let body = json!({"cluster": "x", "namespace": "shop", "pod": "web-1", "columns": 80, "rows": 24});
        open.json(body).send().await.assert_problem(404, "not_found");
    }

    #[tokio::test]
    async fn a_token_beside_a_cookie_is_refused_and_spares_nobody_the_origin() {
        let (relay, ada) = ada().await;
        let token = relay.api_token(&ada, Scope::ALL).await;
        let both = relay.get(ME).cookie(&ada.cookie).header("authorization", &token).send().await;
        both.assert_problem(400, "bad_request");
        let delete = || relay.delete("/api/v1/login-sessions/current").cookie(&ada.cookie);
        for authorization in [token.as_str(), "Bearer x", "Basic eDp5", ""] {
            let foreign = delete().without("origin").header("authorization", authorization).send().await;
            foreign.assert_problem(403, "foreign_origin");
        }
        assert_eq!(relay.get(ME).cookie(&ada.cookie).send().await.status, 200);
    }

    #[tokio::test]
    async fn what_is_no_token_of_this_relay_is_nobody() {
        let (relay, ada) = ada().await;
        let (_, cookie) = ada.cookie.split_once('=').expect("a pair");
        let unknown = format!("Bearer plt_{}", "A".repeat(43));
        for value in ["Bearer", "Bearer ", "Bearer x", &unknown, &format!("Bearer {cookie}"), "Basic eDp5"] {
            relay.get(ME).header("authorization", value).send().await.assert_problem(401, "unauthenticated");
        }
    }

    #[tokio::test]
    async fn a_credential_in_an_address_counts_for_nothing() {
        let (relay, ada) = ada().await;
        let token = relay.api_token(&ada, Scope::ALL).await;
        let (_, token) = token.split_once(' ').expect("a scheme");
        let (_, cookie) = ada.cookie.split_once('=').expect("a pair");
        for name in ["token", "access_token", "api_token", "authorization", "ticket", "podlatch", "jwt"] {
            for secret in [token, cookie] {
                let path = format!("{ME}?{name}={secret}");
                relay.get(&path).send().await.assert_problem(401, "unauthenticated");
            }
        }
    }

    #[tokio::test]
    async fn guessing_tokens_is_slowed_down_and_a_good_one_still_works() {
        let (relay, ada) = ada().await;
        let (token, guess) = (relay.api_token(&ada, []).await, format!("Bearer plt_{}", "A".repeat(43)));
        let me = async |token: &str| relay.get(ME).header("authorization", token).send().await;
        for _ in 0..guesses::BY_ADDRESS.burst {
            me(&guess).await.assert_problem(401, "unauthenticated");
        }
        me(&guess).await.assert_problem(429, "too_many_requests");
        assert_eq!(me(&token).await.status, 200);
    }

    #[tokio::test]
    async fn a_token_does_no_more_than_its_scopes_say_and_the_refusal_is_audited() {
        let (relay, ada) = ada().await;
        let cluster = relay.cluster(&ada, "berlin").await.id.to_string();
        let body = json!({"cluster": cluster, "namespace": "shop", "pod": "web-1", "columns": 80, "rows": 24});
        let open = async |token: &str| {
            relay.post("/api/v1/sessions").header("authorization", token).json(body.clone()).send().await
        };
        let (reads, opens) = (relay.api_token(&ada, []).await, relay.api_token(&ada, [Scope::Sessions]).await);
        let refused = open(&reads).await;
        refused.assert_problem(403, "forbidden");
        assert!(refused.detail().contains("scope sessions"), "{}", refused.detail());
        open(&opens).await.assert_problem(503, "agent_offline");
        let log = relay.get("/api/v1/audit-events?action=access_refused").header("authorization", &reads).send().await;
        assert_eq!(log.json()["items"][0]["details"]["asked"], "exec");
    }

    #[tokio::test]
    async fn a_token_is_never_more_than_its_person() {
        let (relay, ada) = ada().await;
        let eve = relay.joins(&ada, "eve@example.org", Role::Auditor).await;
        let token = relay.api_token(&eve, Scope::ALL).await;
        let cluster = relay.cluster(&ada, "berlin").await.id.to_string();
        let body = json!({"cluster": cluster, "namespace": "shop", "pod": "web-1", "columns": 80, "rows": 24});
        let refused = relay.post("/api/v1/sessions").header("authorization", &token).json(body).send().await;
        refused.assert_problem(403, "forbidden");
        assert!(refused.detail().contains("Auditors"));
    }

    #[tokio::test]
    async fn whoever_is_suspended_is_nobody_and_is_told_why() {
        for (suspend, resume, sentence) in [
            ("UPDATE users SET suspended_at = 1", "UPDATE users SET suspended_at = NULL", "Your account is suspended."),
            (
                "UPDATE memberships SET suspended_at = 1",
                "UPDATE memberships SET suspended_at = NULL",
                "You are suspended in this organisation.",
            ),
            (
                "UPDATE organisations SET suspended_at = 1",
                "UPDATE organisations SET suspended_at = NULL",
                "This organisation is suspended.",
            ),
            (
                "UPDATE login_sessions SET revoked_at = 1",
                "UPDATE login_sessions SET revoked_at = NULL",
                "This login was signed out.",
            ),
            (
                "UPDATE login_sessions SET expires_at = expires_at - 86400000000",
                "UPDATE login_sessions SET expires_at = expires_at + 86400000000",
                "This login has expired.",
            ),
        ] {
            let (relay, ada) = ada().await;
            relay.execute(suspend).await;
            let refused = relay.get(ME).cookie(&ada.cookie).send().await;
            refused.assert_problem(401, "unauthenticated");
            assert!(refused.detail().starts_with(sentence), "{}", refused.detail());
            relay.execute(resume).await;
            assert_eq!(relay.get(ME).cookie(&ada.cookie).send().await.status, 200, "{resume}");
        }
    }

    #[tokio::test]
    async fn who_was_removed_is_told_so_and_a_stranger_is_told_nothing() {
        let (relay, ada) = ada().await;
        let token = relay.api_token(&ada, []).await;
        relay.execute("DELETE FROM memberships").await;
        for request in [relay.get(ME).cookie(&ada.cookie), relay.get(ME).header("authorization", &token)] {
            let refused = request.send().await;
            refused.assert_problem(401, "unauthenticated");
            assert!(refused.detail().starts_with("You are no longer a member"), "{}", refused.detail());
        }
        let stranger = relay.get(ME).cookie(&format!("podlatch=pls_{}", "A".repeat(43))).send().await;
        assert!(stranger.detail().starts_with("You are not signed in"), "{}", stranger.detail());
    }

    #[tokio::test]
    async fn an_api_token_ends_by_itself() {
        let (relay, ada) = ada().await;
        let token = relay.api_token(&ada, []).await;
        relay.hand.advance(Duration::from_hours(24));
        let refused = relay.get(ME).header("authorization", &token).send().await;
        refused.assert_problem(401, "unauthenticated");
        assert!(refused.detail().starts_with("This API token has expired."));
    }

    #[tokio::test]
    async fn a_login_in_use_is_noted_once_a_minute() {
        let (relay, ada) = ada().await;
        let used = async || {
            assert_eq!(relay.get(ME).cookie(&ada.cookie).send().await.status, 200);
            let hash = crate::auth::token::TokenHash::parse(
                crate::auth::token::TokenKind::LoginSession,
                ada.cookie.split_once('=').expect("a pair").1,
            );
            let login = relay.app.store.login_session_by_cookie(&hash.expect("a token"), relay.app.clock.now()).await;
            login.expect("answers").expect("stands").last_used_at
        };
        let first = used().await;
        assert_eq!(first, Some(relay.app.clock.now()));
        relay.hand.advance(Duration::from_secs(59));
        assert_eq!(used().await, first);
        relay.hand.advance(Duration::from_secs(1));
        assert_eq!(used().await, Some(relay.app.clock.now()));
    }
}
