//! Accounts and organisations that the operator suspends, or lets in again.

use podlatch_protocol::id::{OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::{Store, StoreError, Tx};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NO_ORGANISATION, NewEvent, Origin};
use crate::domain::name::Email;
use crate::domain::people::Suspension;

impl Store {
    /// Suspends a person's account on the whole relay, or lifts that; false if it was so already. It is audited in each
    /// organisation of theirs, and the invitations that they made are void, as where they are suspended in one. Cancel safe.
    pub async fn suspend_account(
        &self,
        user: UserId,
        suspension: Suspension,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE users SET suspended_at = $2 WHERE id = $1 AND (suspended_at IS NULL) = ($2 IS NOT NULL)",
            user.as_uuid(),
            suspension.since(now),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        let action = match suspension {
            Suspension::Suspend => Action::AccountSuspended,
            Suspension::Lift => Action::AccountResumed,
        };
        if suspension == Suspension::Suspend {
            withdraw_invitations_of(&mut tx, user, now).await?;
        }
        for organisation in logs_of(&mut tx, user).await? {
            append(&mut tx, &NewEvent::new(action, organisation, by.clone(), now).about(user)).await?;
        }
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Suspends an organisation, or lifts that; false if it was so already. Cancel safe.
    pub async fn suspend_organisation(
        &self,
        organisation: OrganisationId,
        suspension: Suspension,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE organisations SET suspended_at = $2 WHERE id = $1 AND (suspended_at IS NULL) = ($2 IS NOT NULL)",
            organisation.as_uuid(),
            suspension.since(now),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        let action = match suspension {
            Suspension::Suspend => Action::OrganisationSuspended,
            Suspension::Lift => Action::OrganisationResumed,
        };
        append(&mut tx, &NewEvent::new(action, organisation, by.clone(), now)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Whether this address has an account, and whose it is: for the operator. Cancel safe.
    pub async fn account_of(&self, email: &Email) -> Result<Option<UserId>, StoreError> {
        let row = fetch_optional!(self.reader(), (Uuid,), "SELECT id FROM users WHERE email = $1", email.as_str())?;
        Ok(row.map(|(id,)| UserId::from_uuid(id)))
    }
}

/// In whose logs it is noted: those of the person's organisations, or the one of nobody.
async fn logs_of(tx: &mut Tx, user: UserId) -> Result<Vec<OrganisationId>, StoreError> {
    let rows = fetch_all!(
        tx.on(),
        (Uuid,),
        "SELECT organisation_id FROM memberships WHERE user_id = $1 ORDER BY organisation_id",
        user.as_uuid(),
    )?;
    let logs: Vec<_> = rows.into_iter().map(|(id,)| OrganisationId::from_uuid(id)).collect();
    Ok(if logs.is_empty() { vec![NO_ORGANISATION] } else { logs })
}

async fn withdraw_invitations_of(tx: &mut Tx, user: UserId, now: UnixMillis) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "UPDATE invitations SET revoked_at = $2 WHERE invited_by = $1 AND used_at IS NULL AND revoked_at IS NULL",
        user.as_uuid(),
        now.get(),
    )?;
    Ok(())
}
