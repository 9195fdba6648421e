//! One watch stream of an agent, turned into events for one browser.

use std::collections::HashSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::{Stream, stream};
use podlatch_link::framing::{FrameReader, FrameWriter};
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::frame::FrameKind;
use podlatch_protocol::inventory::{InventoryEvent, ItemKey, WatchScope};
use podlatch_protocol::request::Request;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use super::event::{InventoryEventBody, is_passing};
use super::sight::Sight;
use crate::app::App;
use crate::domain::access::decision::Target;
use crate::domain::access::{Action, Actor, Decision, authorize};
use crate::http::access::Access;
use crate::http::problem::Problem;
use crate::tunnel::{AgentHandle, AgentState};

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
    sight: Sight,
    scope: WatchScope,
    agent: AgentHandle,
    /// Open as long as the watch is wanted.
    _writer: FrameWriter<SendHalf>,
    reader: FrameReader<RecvHalf>,
    recheck: Interval,
    first: Option<InventoryEvent>,
    /// What the browser has.
    shown: HashSet<ItemKey>,
}

impl Watch {
    /// Asks the agent, and waits a while for its first event. Cancel safe: the agent's stream is then ended.
    pub(super) async fn begin(
        app: App,
        (actor, sight): (Actor, Sight),
        agent: AgentHandle,
        scope: WatchScope,
    ) -> Result<Self, Problem> {
        let asked = scope.clone();
        let (writer, mut reader) =
            agent.request(&Request::Watch(scope)).await.map_err(|error| refused(error.refusal()))?;
        let first = match timeout(FIRST_EVENT, next(&mut reader)).await {
            Ok(Some(InventoryEvent::Refused(refusal))) if is_passing(&refusal) => return Err(Problem::from(&refusal)),
            Ok(Some(event)) => Some(event),
            Ok(None) => return Err(refused(RefusalCode::AgentOffline)),
            Err(_) if agent.state() == AgentState::Silent => return Err(refused(RefusalCode::AgentTimeout)),
            Err(_) => None,
        };
        let mut recheck = interval(RECHECK);
        recheck.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            app,
            actor,
            sight,
            scope: asked,
            agent,
            _writer: writer,
            reader,
            recheck,
            first,
            shown: HashSet::new(),
        })
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
        if let Some(event) = self.first.take().and_then(|first| self.seen(first)) {
            return Some(event);
        }
        let draining = self.app.lifecycle.draining().clone();
        loop {
            tokio::select! {
                event = next(&mut self.reader) => match event? {
                    // The browser comes again, and finds out whether it still holds.
                    InventoryEvent::Refused(refusal) if is_passing(&refusal) => return None,
                    event => if let Some(event) = self.seen(event) {
                        return Some(event);
                    },
                },
                _ = self.recheck.tick() => if !self.may_go_on().await {
                    return None;
                },
                () = draining.cancelled() => return None,
            }
        }
    }

    /// The event as the person may know of it. What they may not see any more, because its labels changed, is gone for them.
    fn seen(&mut self, event: InventoryEvent) -> Option<InventoryEvent> {
        match event {
            InventoryEvent::Applied(item) if self.sight.shows(&item, self.app.clock.now()) => {
                self.shown.insert(item.key());
                Some(InventoryEvent::Applied(item))
            }
            InventoryEvent::Applied(item) => self.shown.take(&item.key()).map(InventoryEvent::Deleted),
            InventoryEvent::Deleted(key) => self.shown.take(&key).map(InventoryEvent::Deleted),
            event @ (InventoryEvent::Synced | InventoryEvent::Refused(_)) => Some(event),
        }
    }

    /// A login that has ended, a cluster that was revoked and an agent that fell silent end the watch. A store that does not
    /// answer does not.
    async fn may_go_on(&self) -> bool {
        if self.agent.state() == AgentState::Silent {
            return false;
        }
        let (store, now) = (&self.app.store, self.app.clock.now());
        let Actor { organisation, login_session, .. } = self.actor;
        let (Ok(login), Ok(cluster)) = (
            store.login_session(organisation, login_session, now).await,
            store.get_cluster(organisation, self.agent.cluster()).await,
        ) else {
            return true;
        };
        let (Some(login), Some(overview)) = (login, cluster) else {
            return false;
        };
        let action = Action::ViewCluster { organisation: overview.cluster.organisation };
        let target = Target::cluster(&overview.cluster);
        let access = Access::load(store, &Actor::from(&login), now).await;
        // With another sight the browser begins anew.
        if access.is_ok_and(|access| Sight::new(access, target, &self.scope) != self.sight) {
            return false;
        }
        overview.cluster.revoked_at.is_none() && authorize(&Actor::from(&login), action) == Decision::Allow
    }
}

fn refused(code: RefusalCode) -> Problem {
    Problem::from(&Refusal::new(code, ""))
}

/// The agent's next event; `None` when its stream is over. Cancel safe.
async fn next(reader: &mut FrameReader<RecvHalf>) -> Option<InventoryEvent> {
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
