//! Groups of people.

pub mod add_member;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod list_members;
pub mod remove_member;
pub mod update;

#[cfg(test)]
mod tests;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use podlatch_protocol::id::{GroupId, UserId};
use podlatch_protocol::identity::KubernetesGroup;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::CallContext;
use super::problem::{Problem, ProblemKind};
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::{Action, Administration};
use crate::domain::audit::Place;
use crate::domain::name::DisplayName;
use crate::domain::people::Group;
use crate::store::StoreError;

/// The most Kubernetes groups of one group.
const MAX_KUBERNETES_GROUPS: usize = 20;

/// A group of people.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub struct GroupBody {
    id: String,
    name: String,
    /// What Kubernetes is told of its members where the person is impersonated.
    kubernetes_groups: Vec<String>,
    /// How many people are in it.
    members: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
}

impl From<Group> for GroupBody {
    fn from(group: Group) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name.to_string(),
            kubernetes_groups: group.kubernetes_groups,
            members: group.members,
            created_at: group.created_at,
        }
    }
}

/// The group and the person of a path.
#[derive(Debug, Clone, Copy)]
pub struct MemberPath {
    group: GroupId,
    user: UserId,
}

impl FromRequestParts<App> for MemberPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let texts = Path::<(String, String)>::from_request_parts(parts, app).await.ok();
        let ids =
            texts.and_then(|Path((group, user))| Some(Self { group: group.parse().ok()?, user: user.parse().ok()? }));
        ids.ok_or_else(|| Problem::not_found("group or person"))
    }
}

async fn require_view(app: &App, context: &CallContext) -> Result<(), Problem> {
    let organisation = context.actor.organisation;
    let action = Action::ViewAdministration { organisation, part: Administration::People };
    context.require(app, action, Place::Organisation).await
}

async fn require_change(app: &App, context: &CallContext) -> Result<(), Problem> {
    context.require_administration(app, Administration::People, Place::Organisation).await.map(drop)
}

async fn find(app: &App, context: &CallContext, id: GroupId) -> Result<Group, Problem> {
    app.store.get_group(context.actor.organisation, id).await?.ok_or_else(|| Problem::not_found("group"))
}

fn name(text: &str) -> Result<DisplayName, Problem> {
    text.parse().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))
}

/// Names that Kubernetes may be told: what is kept here must do when a session is opened.
fn kubernetes_groups(names: Vec<String>) -> Result<Vec<String>, Problem> {
    let wrong = |detail: String| Problem::new(ProblemKind::Unprocessable, detail);
    if names.len() > MAX_KUBERNETES_GROUPS {
        return Err(wrong(format!("A group has at most {MAX_KUBERNETES_GROUPS} Kubernetes groups.")));
    }
    let groups = names.into_iter().map(KubernetesGroup::try_from).collect::<Result<Vec<_>, _>>();
    let groups = groups.map_err(|error| wrong(format!("A Kubernetes group does not do: {error}.")))?;
    Ok(groups.into_iter().map(String::from).collect())
}

fn named(error: StoreError) -> Problem {
    match error {
        StoreError::Taken(_) => {
            Problem::new(ProblemKind::Taken, "The organisation has a group of this name. Choose another.")
        }
        StoreError::Missing(_) => Problem::not_found("group or person"),
        other => other.into(),
    }
}
