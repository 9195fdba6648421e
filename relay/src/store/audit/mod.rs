//! The audit log: append-only, numbered without gaps.
//!
//! Whatever causes an effect appends its event in the same transaction, last of all its statements: from then on the
//! organisation's counter is locked, and every other append of the organisation waits.

mod append;
mod filter;
mod guard;
mod lead;
mod list;
mod row;
mod search;
mod sinks;

pub(super) use self::append::append;
pub use self::filter::{AuditFilter, UserFilter};
pub(super) use self::guard::refuse_changes;
#[cfg(test)]
pub(super) use self::lead::{Lead, Order};
pub use self::list::{AuditPage, AuditRun};
use super::{Store, StoreError, Tx};
use crate::domain::audit::{Appended, NewEvent};

impl Store {
    /// Appends an event in a transaction of its own; [`StoreError::Missing`] if it names a session or cluster that the
    /// organisation does not have. Cancel safe.
    pub async fn append_audit(&self, event: &NewEvent) -> Result<Appended, StoreError> {
        let mut tx = self.begin().await?;
        let appended = append(&mut tx, event).await?;
        self.commit_audited(tx).await?;
        Ok(appended)
    }

    /// Commits a transaction that has appended events, and wakes those who follow the log.
    pub(super) async fn commit_audited(&self, tx: Tx) -> Result<(), StoreError> {
        tx.commit().await?;
        self.audit_signal.send_replace(());
        Ok(())
    }

    /// Changes whenever this process has appended an event. Other processes append too: look now and then all the same.
    pub fn audit_signal(&self) -> tokio::sync::watch::Receiver<()> {
        self.audit_signal.subscribe()
    }
}
