//! A login as browsers see it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::domain::access::Actor;
use crate::domain::login::{LoginOverview, Scope};

/// A signed-in browser, or an API token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoginSession)]
pub struct LoginBody {
    id: String,
    /// `browser` or `token`.
    #[schema(example = "browser")]
    kind: &'static str,
    /// `link`, `password`, `passkey`, `oidc` or `token`.
    #[schema(example = "link")]
    method: &'static str,
    /// What an API token's maker calls it.
    name: Option<String>,
    /// What it may be used for: `read`, `sessions`, `admin`.
    scopes: Vec<&'static str>,
    user: LoginUser,
    /// Whether it is the one that asks.
    current: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    #[schema(value_type = String, format = DateTime)]
    expires_at: UnixMillis,
    /// When it was last used, to the minute (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<UnixMillis>,
    /// The address that it began at.
    client_ip: String,
    /// The program that it began with. Untrusted text: escape it.
    user_agent: String,
}

/// Whose login it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct LoginUser {
    id: String,
    email: String,
}

impl LoginBody {
    /// A login as this caller sees it.
    pub(crate) fn new(login: LoginOverview, caller: &Actor) -> Self {
        Self {
            current: login.id == caller.login_session,
            id: login.id.to_string(),
            kind: login.kind.slug(),
            method: login.method.slug(),
            name: login.name.map(|name| name.to_string()),
            scopes: login.scopes.iter().map(Scope::slug).collect(),
            user: LoginUser { id: login.user.to_string(), email: login.email.to_string() },
            created_at: login.created_at,
            expires_at: login.expires_at,
            last_used_at: login.last_used_at,
            client_ip: login.client.ip,
            user_agent: login.client.user_agent,
        }
    }
}
