//! One watch stream of an agent, turned into events for one browser.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::{Stream, stream};
use podlatch_link::framing::{FrameReader, FrameWriter};
use podlatch_protocol::codec;
use podlatch_protocol::frame::FrameKind;
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::inventory::InventoryEvent;
use quinn::{RecvStream, SendStream};
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::event::{InventoryEventBody, is_passing};
use crate::app::App;
use crate::domain::access::{Action, Actor, Decision, authorize};
use crate::http::problem::Problem;

/// How often it is looked up whether the caller may still watch.
const RECHECK: Duration = Duration::from_secs(10);

/// How long the first event is waited for, so that a failure becomes an HTTP status. A slow list just begins later.
const FIRST_EVENT: Duration = Duration::from_secs(5);

/// The events for a browser.
pub(super) type EventStream = Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>;

/// A watch in progress. Dropped, it ends the agent's stream.
pub(super) struct Watch {
    app: App,
    actor: Actor,
    cluster: ClusterId,
    /// Open as long as the watch is wanted.
    _writer: FrameWriter<SendStream>,
    reader: FrameReader<RecvStream>,
    recheck: Interval,
    first: Option<InventoryEvent>,
}

impl Watch {
    /// Waits a while for the first event. Cancel safe: the agent's stream is then ended.
    pub(super) async fn begin(
        app: App,
        actor: Actor,
        cluster: ClusterId,
        (writer, mut reader): (FrameWriter<SendStream>, FrameReader<RecvStream>),
    ) -> Result<Self, Problem> {
        let first = match timeout(FIRST_EVENT, next(&mut reader)).await {
            Ok(Some(InventoryEvent::Refused(refusal))) if is_passing(&refusal) => return Err(Problem::from(&refusal)),
            Ok(Some(event)) => Some(event),
            Ok(None) => return Err(super::refused(podlatch_protocol::close::RefusalCode::AgentOffline)),
            Err(_) => None,
        };
        let mut recheck = interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { app, actor, cluster, _writer: writer, reader, recheck, first })
    }

    /// The events, until the agent or the browser goes, the right ends, or the relay stops.
    pub(super) fn into_stream(self) -> EventStream {
        Box::pin(stream::unfold(Some(self), |watch| async {
            let mut watch = watch?;
            let event = watch.next().await?;
            let last = matches!(event, InventoryEvent::Refused(_));
            let sent = InventoryEventBody::from(event).event().ok()?;
            Some((Ok(sent), (!last).then_some(watch)))
        }))
    }

    async fn next(&mut self) -> Option<InventoryEvent> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let draining = self.app.lifecycle.draining().clone();
        loop {
            tokio::select! {
                event = next(&mut self.reader) => return match event {
                    // The browser comes again, and finds out whether it still holds.
                    Some(InventoryEvent::Refused(refusal)) if is_passing(&refusal) => None,
                    event => event,
                },
                _ = self.recheck.tick() => if !self.may_go_on().await {
                    return None;
                },
                () = draining.cancelled() => return None,
            }
        }
    }

    /// A login that has ended, or a cluster that was revoked, ends the watch. A store that does not answer does not.
    async fn may_go_on(&self) -> bool {
        let (store, now) = (&self.app.store, self.app.clock.now());
        let Actor { organisation, login_session, .. } = self.actor;
        let (Ok(login), Ok(cluster)) = (
            store.login_session(organisation, login_session, now).await,
            store.get_cluster(organisation, self.cluster).await,
        ) else {
            return true;
        };
        let (Some(login), Some(overview)) = (login, cluster) else {
            return false;
        };
        let action = Action::ViewCluster { organisation: overview.cluster.organisation };
        overview.cluster.revoked_at.is_none() && authorize(&Actor::from(&login), action) == Decision::Allow
    }
}

/// The agent's next event; `None` when its stream is over. Cancel safe.
async fn next(reader: &mut FrameReader<RecvStream>) -> Option<InventoryEvent> {
    loop {
        // A broken stream is over as well: the browser comes again.
        let frame = reader.next().await.ok().flatten()?;
        if frame.kind == FrameKind::INVENTORY
            && let Ok(event) = codec::decode(&frame.body)
        {
            return Some(event);
        }
    }
}
