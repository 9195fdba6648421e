//! Stores what a session is about to do, before it does it, without keeping its owner waiting: keys must not wait for a
//! database.

use std::sync::Arc;
use std::time::Duration;

use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error;

use super::life::IdleFlag;
use super::sessions::Shared;
use crate::store::StoreError;

/// How long to wait after the database failed.
const RETRY: Duration = Duration::from_secs(1);

/// What is to be stored before it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// The process is told this size.
    Resize(TerminalSize),
    /// The session is flagged idle, or is not any more.
    Idle(IdleFlag),
}

/// Stores one deed at a time.
pub(super) struct Clerk {
    shared: Arc<Shared>,
    organisation: OrganisationId,
    session: SessionId,
    /// What is being stored; the channel tells when it is.
    work: Option<(Deed, oneshot::Receiver<()>)>,
}

impl Clerk {
    pub(super) fn new(shared: Arc<Shared>, organisation: OrganisationId, session: SessionId) -> Self {
        Self { shared, organisation, session, work: None }
    }

    /// Whether something may be given to it.
    pub(super) const fn is_free(&self) -> bool {
        self.work.is_none()
    }

    /// Begins to store a deed, and goes on until it is stored or the clerk is gone; only to be called while it is free.
    pub(super) fn begin(&mut self, deed: Deed) {
        let (mut stored, done) = oneshot::channel();
        let (shared, organisation, session) = (Arc::clone(&self.shared), self.organisation, self.session);
        self.shared.tracker.spawn(async move {
            while let Err(error) = shared.store_deed(organisation, session, deed).await {
                error!(session.id = %session, %error, ?deed, "what a session is to do could not be stored; trying again");
                if timeout(RETRY, stored.closed()).await.is_ok() {
                    return;
                }
            }
            // An error means that the owner is gone.
            let _over = stored.send(());
        });
        self.work = Some((deed, done));
    }

    /// Returns the deed once it is stored. Cancel safe.
    pub(super) async fn stored(&mut self) -> Deed {
        if let Some((deed, done)) = &mut self.work
            && done.await.is_ok()
        {
            let deed = *deed;
            self.work = None;
            return deed;
        }
        std::future::pending().await
    }
}

impl Shared {
    async fn store_deed(&self, organisation: OrganisationId, session: SessionId, deed: Deed) -> Result<(), StoreError> {
        let now = self.clock.now();
        match deed {
            Deed::Resize(size) => self.store.session_resized(organisation, session, size, now).await.map(drop),
            Deed::Idle(flag) => self.store.session_idle(organisation, session, flag.since(), now).await.map(drop),
        }
    }
}
