//! `GET /api/v1/sessions`: the sessions that the caller may see.

use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use podlatch_protocol::id::{ClusterId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::SessionBody;
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::{SessionScope, session_scope};
use crate::domain::session::{Session, SessionStatus};
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::{PageQuery, QueryOf, TimeRange};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::store::{List, SessionFilter, StateFilter};

/// Which sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionQuery {
    /// Only those that go on, or only those that ended.
    state: Option<StateQuery>,
    /// Only those that may be entered, whose time is up, or that ended for another cause.
    status: Option<StatusQuery>,
    /// Only those in this cluster, by its id.
    cluster: Option<String>,
    /// Only those of this person, by their id.
    user: Option<String>,
    /// Only those that began at this moment (RFC 3339) or later.
    from: Option<String>,
    /// Only those that began before this moment (RFC 3339).
    to: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many items a page may hold: 50 unless given, 200 at most.
    limit: Option<u16>,
}

/// A session's state, for lists.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateQuery {
    /// Opening or live.
    Live,
    /// Over.
    Ended,
}

/// A session's status, for lists.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusQuery {
    /// It may be entered.
    Active,
    /// Its time is up.
    Expired,
    /// It ended for another cause.
    Closed,
}

impl From<StatusQuery> for SessionStatus {
    fn from(query: StatusQuery) -> Self {
        match query {
            StatusQuery::Active => Self::Active,
            StatusQuery::Expired => Self::Expired,
            StatusQuery::Closed => Self::Closed,
        }
    }
}

/// A page of sessions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionPage {
    items: Vec<SessionBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The sessions that the caller may see.
#[utoipa::path(
    get,
    path = "/sessions",
    operation_id = "listSessions",
    tag = "sessions",
    params(SessionQuery),
    responses(
        (status = 200, body = SessionPage),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<SessionQuery>,
) -> Result<Json<SessionPage>, Problem> {
    let now = app.clock.now();
    let page = PageQuery { cursor: query.cursor.clone(), limit: query.limit }.request(List::Sessions)?;
    let access = Access::of(&app, &context).await?;
    let sight = Sight::of(&context, &access);
    let Some(filter) = filter(&context, sight, &query, now)? else {
        return Ok(Json(SessionPage { items: Vec::new(), next_cursor: None }));
    };
    let page = app.store.list_sessions(&filter, page).await?;
    Ok(Json(SessionPage {
        items: page
            .items
            .into_iter()
            .filter(|session| sight.shows(&access, session, now))
            .map(|session| SessionBody::at(session, &access, now))
            .collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Which sessions a list may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// All that the rules let the caller see.
    All,
    /// The caller's own.
    Own,
    /// The caller's own, and those of others that the caller could watch.
    OwnAndWatched,
}

impl Sight {
    fn of(context: &CallContext, access: &Access) -> Self {
        match session_scope(&context.actor) {
            SessionScope::All => Self::All,
            SessionScope::Own if access.watches_something() => Self::OwnAndWatched,
            SessionScope::Own => Self::Own,
        }
    }

    fn shows(self, access: &Access, session: &Session, now: UnixMillis) -> bool {
        let own = session.request.user == access.subject.user;
        match self {
            Self::All => access.may_list(session, now) || access.may_observe(session, now),
            Self::Own => own,
            Self::OwnAndWatched => own || access.may_observe(session, now),
        }
    }
}

/// What is asked for, within what the caller may see; `None` if that is nothing.
fn filter(
    context: &CallContext,
    sight: Sight,
    query: &SessionQuery,
    now: UnixMillis,
) -> Result<Option<SessionFilter>, Problem> {
    let range = TimeRange::parse(query.from.as_deref(), query.to.as_deref())?;
    let user: Option<UserId> = id("user", query.user.as_deref())?;
    let cluster: Option<ClusterId> = id("cluster", query.cluster.as_deref())?;
    let user = match (sight, user) {
        (Sight::All | Sight::OwnAndWatched, user) => user,
        (Sight::Own, Some(other)) if other != context.actor.user => return Ok(None),
        (Sight::Own, _) => Some(context.actor.user),
    };
    let state = match query.state {
        None => StateFilter::Any,
        Some(StateQuery::Live) => StateFilter::Unfinished,
        Some(StateQuery::Ended) => StateFilter::Ended,
    };
    Ok(Some(SessionFilter {
        user,
        ended_of: (sight == Sight::OwnAndWatched).then_some(context.actor.user),
        cluster,
        state,
        status: query.status.map(SessionStatus::from),
        from: range.from,
        to: range.to,
        ..SessionFilter::all(context.actor.organisation, now)
    }))
}

fn id<I: FromStr>(name: &str, text: Option<&str>) -> Result<Option<I>, Problem> {
    let bad = |_| Problem::new(ProblemKind::Unprocessable, format!("{name:?} is not a valid id."));
    text.map(str::parse).transpose().map_err(bad)
}

#[cfg(test)]
mod tests {
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn what_makes_no_sense_in_a_query_is_refused_with_a_sentence() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        relay.cluster(&ada, "one").await;
        relay.cluster(&ada, "two").await;
        let clusters = relay.get("/api/v1/clusters?limit=1").cookie(&ada.cookie).send().await.json();
        let foreign = format!("cursor={}", clusters["next_cursor"].as_str().expect("there is more"));
        for query in [
            &foreign,
            "cursor=x",
            "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "from=yesterday",
            "to=1700000000",
            "user=ada",
            "cluster=berlin",
        ] {
            let path = format!("/api/v1/sessions?{query}");
            relay.get(&path).cookie(&ada.cookie).send().await.assert_problem(422, "unprocessable");
        }
        for query in ["status=gone", "state=gone", "limit=x"] {
            let path = format!("/api/v1/sessions?{query}");
            relay.get(&path).cookie(&ada.cookie).send().await.assert_problem(400, "bad_request");
        }
    }
}
