//! `GET /api/v1/audit-events/stream`: the audit log as it grows.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use axum::response::{IntoResponse, Sse};
use futures_util::{Stream, stream};
use http::HeaderMap;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use utoipa::IntoParams;

use super::query::AuditQuery;
use super::still_may;
use crate::app::App;
use crate::audit::body::EventBody;
use crate::domain::access::{Action, Actor};
use crate::domain::audit::{Event, Place};
use crate::http::context::CallContext;
use crate::http::extract::QueryOf;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::AuditFilter;

/// How often a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Events of other processes (`admin` commands, other relays) are found within this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The log is asked no more often than this, however fast it grows.
const BREATH: Duration = Duration::from_millis(100);

/// How often it is looked up whether the caller may still look.
const RECHECK: Duration = Duration::from_secs(10);

/// Events that are read at once.
const RUN: u16 = 200;

/// Where to begin.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// The position behind which to begin; without it, what happens from now on. A `Last-Event-ID` header goes before it.
    after: Option<u64>,
}

/// The audit log from a position on, oldest first, and then live. Server-Sent Events named `audit`, whose ids are
/// positions. Nothing is left out between a list that was read and a stream that begins behind its newest event.
#[utoipa::path(
    get,
    path = "/audit-events/stream",
    operation_id = "followAuditEvents",
    tag = "audit",
    params(AuditQuery, StreamQuery),
    responses(
        (status = 200, body = EventBody, content_type = "text/event-stream"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<AuditQuery>,
    QueryOf(begin): QueryOf<StreamQuery>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let action = Action::ViewAudit { organisation: context.actor.organisation };
    context.require(&app, action, Place::Organisation).await?;
    let filter = query.filter(&context)?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    // Before the position is read, so that nothing that is appended from here on goes unnoticed.
    let signal = app.store.audit_signal();
    let after = match resumed.or(begin.after) {
        Some(after) => after,
        None => app.store.audit_position(context.actor.organisation).await?,
    };
    let now = Instant::now();
    let follower =
        Follower { app, actor: context.actor, action, filter, after, ready: VecDeque::new(), signal, checked_at: now };
    Ok(Sse::new(follower.into_stream()).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}

struct Follower {
    app: App,
    actor: Actor,
    action: Action,
    filter: AuditFilter,
    after: u64,
    ready: VecDeque<Event>,
    signal: watch::Receiver<()>,
    checked_at: Instant,
}

impl Follower {
    /// The events, until the browser goes, the right ends, or the relay stops or cannot read its log: the browser comes
    /// again and says where it was.
    fn into_stream(self) -> impl Stream<Item = Result<SseEvent, Infallible>> + Send {
        stream::unfold(self, |mut follower| async {
            let event = EventBody::from(follower.next().await?);
            let sent = SseEvent::default().event("audit").id(event.position.to_string()).json_data(event).ok()?;
            Some((Ok(sent), follower))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        let draining = self.app.lifecycle.draining().clone();
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            tokio::select! {
                () = draining.cancelled() => return None,
                more = self.look() => more?,
            }
        }
    }

    /// Reads on; waits where there is nothing to read. `None` ends the stream.
    async fn look(&mut self) -> Option<()> {
        if self.checked_at.elapsed() >= RECHECK {
            if !still_may(&self.app, &self.actor, self.action).await {
                return None;
            }
            self.checked_at = Instant::now();
        }
        self.signal.mark_unchanged();
        let run = self.app.store.audit_run(&self.filter, self.after, RUN).await.ok()?;
        self.after = run.reached;
        self.ready.extend(run.items);
        if run.at_end && self.ready.is_empty() {
            // Either way it is looked again; an error would mean that the store is gone, which looking shows.
            let _ = timeout(LOOK_AGAIN, self.signal.changed()).await;
            sleep(BREATH).await;
        }
        Some(())
    }
}
