//! The people of an organisation.

pub mod get;
pub mod list;
pub mod remove;
pub mod update;

#[cfg(test)]
mod tests;

use podlatch_protocol::id::UserId;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::me::UserBody;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::organisation::Role;
use crate::domain::people::{ChangeRefused, MemberChange, Person};

/// A member of the organisation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub struct PersonBody {
    user: UserBody,
    /// `owner`, `admin`, `auditor` or `member`.
    #[schema(example = "member")]
    role: &'static str,
    /// `active`; `suspended` in this organisation; or `account_suspended` by the operator.
    #[schema(example = "active")]
    status: &'static str,
    groups: Vec<GroupName>,
    /// Since when they are a member (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    joined_at: UnixMillis,
    /// When one of their logins was last used here (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<UnixMillis>,
}

/// A group of a person.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupName {
    id: String,
    name: String,
}

impl From<Person> for PersonBody {
    fn from(person: Person) -> Self {
        let group = |(id, name): (podlatch_protocol::id::GroupId, crate::domain::name::DisplayName)| GroupName {
            id: id.to_string(),
            name: name.to_string(),
        };
        Self {
            user: (&person.user).into(),
            role: person.role.slug(),
            status: person.status(),
            groups: person.groups.into_iter().map(group).collect(),
            joined_at: person.joined_at,
            last_seen_at: person.last_seen_at,
        }
    }
}

/// Makes one change, as far as the caller may.
async fn change(app: &App, context: &CallContext, user: UserId, change: MemberChange) -> Result<(), Problem> {
    let whose = (context.actor.organisation, user);
    let changed = app.store.change_member(whose, change, &context.origin(), context.now).await?;
    changed.map_err(refused)
}

/// Why somebody may not be changed or invited.
pub(super) fn refused(why: ChangeRefused) -> Problem {
    Problem::new(ProblemKind::Forbidden, why.sentence())
}

/// A role by its name.
pub(super) fn role(slug: &str) -> Result<Role, Problem> {
    Role::from_slug(slug)
        .ok_or_else(|| Problem::new(ProblemKind::Unprocessable, "A role is owner, admin, auditor or member."))
}
