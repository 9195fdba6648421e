//! Access rules, as browsers see and change them; what a change would do; why a decision is as it is.

pub mod create;
pub mod delete;
pub mod dry_run;
pub mod explanation;
pub mod get;
pub mod list;
pub mod update;

#[cfg(test)]
mod tests;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use podlatch_protocol::id::AccessRuleId;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::rule::{AccessRule, RuleSettings};
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::store::RuleChange;

/// An access rule.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessRule)]
pub struct RuleBody {
    id: String,
    /// Goes into the header `If-Match` of a change: `"3"`.
    revision: u64,
    /// When it was made (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    /// When it was changed last (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    updated_at: UnixMillis,
    settings: RuleSettings,
}

impl From<AccessRule> for RuleBody {
    fn from(rule: AccessRule) -> Self {
        let AccessRule { id, revision, created_at, updated_at, settings, .. } = rule;
        Self { id: id.to_string(), revision, created_at, updated_at, settings }
    }
}

/// Goes on only if the caller may see the rules.
async fn require_view(app: &App, context: &CallContext) -> Result<(), Problem> {
    let (organisation, part) = (context.actor.organisation, Administration::AccessRules);
    context.require(app, Action::ViewAdministration { organisation, part }, Place::Organisation).await
}

/// Goes on only if the caller may change the rules.
async fn require_change(app: &App, context: &CallContext) -> Result<(), Problem> {
    let (organisation, part) = (context.actor.organisation, Administration::AccessRules);
    context.require(app, Action::Administer { organisation, part }, Place::Organisation).await
}

/// The rule after a change, or why there is none.
fn changed(change: RuleChange, id: AccessRuleId) -> Result<AccessRule, Problem> {
    match change {
        RuleChange::Done(rule) => Ok(*rule),
        RuleChange::Missing => Err(Problem::not_found("access rule")),
        RuleChange::Conflict(revision) => {
            let detail = format!(
                "Somebody else changed the rule {id} meanwhile: it has revision {revision} now. Load it again."
            );
            Err(Problem::new(ProblemKind::Conflict, detail))
        }
    }
}

/// The revision that a change is meant for: the header `If-Match: "3"`.
#[derive(Debug, Clone, Copy)]
pub struct IfMatch(pub u64);

impl FromRequestParts<App> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        let text = parts.headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        let revision = text.and_then(|text| text.trim().trim_matches('"').parse().ok());
        let detail = "Say which revision you are changing: If-Match: \"3\".";
        revision.map(Self).ok_or_else(|| Problem::new(ProblemKind::Unprocessable, detail))
    }
}
