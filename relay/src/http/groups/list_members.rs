//! `GET /api/v1/groups/{id}/members`: who is in a group.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::GroupId;
use serde::Serialize;
use utoipa::ToSchema;

use super::{find, require_view};
use crate::app::App;
use crate::domain::people::GroupMember;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, PageQuery, QueryOf};
use crate::http::me::UserBody;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;

/// Somebody in a group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GroupMember)]
pub struct GroupMemberBody {
    user: UserBody,
    /// Who says so: `manual`, or `oidc` (the provider that the person signed in at).
    #[schema(example = "manual")]
    source: &'static str,
}

/// A page of a group's people.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroupMemberPage {
    items: Vec<GroupMemberBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Who is in a group.
#[utoipa::path(
    get,
    path = "/groups/{id}/members",
    operation_id = "listGroupMembers",
    tag = "people",
    params(("id" = String, Path, description = "The group's id"), PageQuery),
    responses(
        (status = 200, body = GroupMemberPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<GroupId>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<GroupMemberPage>, Problem> {
    require_view(&app, &context).await?;
    let group = find(&app, &context, id).await?;
    let request = query.request(List::GroupMembers)?;
    let page = app.store.list_group_members(context.actor.organisation, group.id, request).await?;
    let member = |member: GroupMember| GroupMemberBody { user: (&member.user).into(), source: member.source.slug() };
    Ok(Json(GroupMemberPage {
        items: page.items.into_iter().map(member).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}
