//! Who watches a session: shown all of it from the screen as it stands, and heard in nothing.
//!
//! An observer never joins the session, so its pace holds nobody up, its size changes nothing, and its presence keeps nothing
//! alive. Its own right is looked at again and again; the session goes on when that is withdrawn.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use podlatch_protocol::close::{EndCause, SocketClose};
use podlatch_protocol::target::PodTarget;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::{CLOSE_TIMEOUT, Shown, Socket, Terminals, reading, writing};
use crate::domain::access::right::Basis;
use crate::domain::access::rule::AccessAction;
use crate::domain::session::{SessionAccess, Ticket};
use crate::session::InputView;
use crate::store::{SessionRights, StoreError};

/// Between two looks at an observer's right.
const INTERVAL: Duration = Duration::from_secs(3);

/// How long a look may take: the cluster may have to be asked for a pod's labels.
const PATIENCE: Duration = Duration::from_secs(5);

/// For how long a right counts that nobody could look at again.
const LASTS: Duration = Duration::from_secs(12);

/// Shows a session until it ends, the observer leaves, or may not watch any more. Cancel safe.
pub(super) async fn observe(socket: &mut Socket, shown: &Shown<'_>, ticket: Ticket) -> SocketClose {
    let right = match Box::pin(Right::taken_up(shown.terminals, ticket)).await {
        Ok(right) => right,
        Err(close) => return close,
    };
    // Always the screen: what was there before it is for those who may see the recording.
    let start = match writing::start(&shown.handle, None, false).await {
        Ok(start) => start,
        Err(error) => {
            warn!(session.id = %shown.handle.id, %error, "an observer could not be served");
            return SocketClose::Internal;
        }
    };
    let (rendered, follow) = watch::channel(start.offset);
    let (_nobody_types, input) = watch::channel(InputView::default());
    let size = Some(shown.handle.size.clone());
    let news = writing::News { input, rendered: follow, size, observers: None, typing: None };
    let _counted = shown.handle.observers.join();
    let (mut sink, stream) = socket.split();
    let close = tokio::select! {
        close = reading::read_observer(stream, rendered) => close,
        close = writing::write(shown, &mut sink, news, start) => close,
        close = right.ends() => close,
        () = shown.terminals.draining.cancelled() => SocketClose::GoingAway,
    };
    // What is half written belongs before the close frame.
    let _gone = timeout(CLOSE_TIMEOUT, sink.flush()).await;
    close
}

/// What a look found.
enum Look {
    /// The right stands, on this.
    Stands(Basis),
    /// It is lost.
    Lost(EndCause),
    /// It cannot be judged now.
    Unknown,
}

/// An observer's right, which ages.
struct Right<'a> {
    terminals: &'a Terminals,
    ticket: Ticket,
    /// On what it stood last.
    basis: Basis,
    /// When the last look began that found it standing.
    stood_at: Instant,
}

impl<'a> Right<'a> {
    /// As it stands now; it may have gone since the ticket was given.
    async fn taken_up(terminals: &'a Terminals, ticket: Ticket) -> Result<Self, SocketClose> {
        let stood_at = Instant::now();
        let mut right = Self { terminals, ticket, basis: Basis::default(), stood_at };
        match right.look_in_time().await {
            Look::Stands(basis) => right.basis = basis,
            Look::Lost(cause) => return Err(right.lost(cause)),
            Look::Unknown => return Err(SocketClose::Internal),
        }
        Ok(right)
    }

    /// Waits until it is lost, or nobody could look for too long.
    async fn ends(mut self) -> SocketClose {
        loop {
            sleep(INTERVAL).await;
            let began = Instant::now();
            match Box::pin(self.look_in_time()).await {
                Look::Stands(basis) => (self.basis, self.stood_at) = (basis, began),
                Look::Lost(cause) => return self.lost(cause),
                Look::Unknown if self.stood_at.elapsed() > LASTS => return SocketClose::Internal,
                Look::Unknown => {}
            }
        }
    }

    fn lost(&self, cause: EndCause) -> SocketClose {
        let Ticket { session, user, .. } = self.ticket;
        info!(session.id = %session, user.id = %user, cause = cause.slug(), "the right to watch a session is withdrawn");
        SocketClose::WatchWithdrawn
    }

    async fn look_in_time(&self) -> Look {
        match timeout(PATIENCE, self.look()).await {
            Ok(Ok(look)) => look,
            Ok(Err(error)) => {
                warn!(session.id = %self.ticket.session, %error, "it is not known whether a session may still be watched");
                Look::Unknown
            }
            Err(_) => Look::Unknown,
        }
    }

    async fn look(&self) -> Result<Look, StoreError> {
        let (store, now) = (&self.terminals.store, self.terminals.clock.now());
        let Ticket { organisation, user, .. } = self.ticket;
        let Some(mut rights) = store.observer_rights(&self.ticket, now).await? else {
            // It is over, and the writing half says how.
            return Ok(Look::Unknown);
        };
        let pod_labels = rights.access.pod_labels.take();
        rights.access = SessionAccess { action: AccessAction::Observe, pod_labels, basis: self.basis.clone() };
        let rules = store.access_rules(organisation).await?;
        let groups = store.group_ids_of(organisation, user).await?;
        if rights.inputs(&groups, &rules, &[]).goes_by_labels(now) && self.learn_labels(&mut rights).await.is_none() {
            return Ok(Look::Unknown);
        }
        Ok(match rights.inputs(&groups, &rules, &[]).stands_on(now) {
            Ok(basis) => Look::Stands(basis),
            Err(cause) => Look::Lost(cause),
        })
    }

    /// Puts the labels that its pod has now into the session's target; `None`: nobody can say them.
    async fn learn_labels(&self, rights: &mut SessionRights) -> Option<()> {
        let target = &rights.target;
        let pod = PodTarget { namespace: target.namespace.clone()?, pod: target.pod.clone()?, container: None };
        let described = self.terminals.sessions.describe_pod(target.cluster, &pod).await.ok()?;
        // Another pod of its name says nothing about this one.
        if rights.pod_uid.as_ref().is_some_and(|own| *own != described.uid) {
            return None;
        }
        rights.target.pod_labels = Some(described.labels.into_map());
        Some(())
    }
}
