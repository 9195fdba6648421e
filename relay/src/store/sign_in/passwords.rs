//! Passwords, as hashes.

use podlatch_protocol::id::{OrganisationId, UserId};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::name::Email;
use crate::store::audit::append;
use crate::store::engine::{execute, fetch_optional};
use crate::store::{Store, StoreError};

/// A person's password, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPassword {
    /// Whose.
    pub user: UserId,
    /// In the PHC form.
    pub hash: String,
}

impl Store {
    /// The password of whoever has this address. Cancel safe.
    pub async fn password_by_email(&self, email: &Email) -> Result<Option<StoredPassword>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (Uuid, String),
            "SELECT p.user_id, p.hash FROM passwords p JOIN users u ON u.id = p.user_id WHERE u.email = $1",
            email.as_str(),
        )?;
        Ok(row.map(|(user, hash)| StoredPassword { user: UserId::from_uuid(user), hash }))
    }

    /// A person's own password. Cancel safe.
    pub async fn password_of(&self, user: UserId) -> Result<Option<StoredPassword>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (String,),
            "SELECT hash FROM passwords WHERE user_id = $1",
            user.as_uuid(),
        )?;
        Ok(row.map(|(hash,)| StoredPassword { user, hash }))
    }

    /// Sets a person's password; the organisation is the one in whose log it is noted. Cancel safe.
    pub async fn set_password(
        &self,
        (organisation, user): (OrganisationId, UserId),
        hash: &str,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO passwords (user_id, hash, changed_at) VALUES ($1, $2, $3)
             ON CONFLICT (user_id) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at",
            user.as_uuid(),
            hash,
            now.get(),
        )?;
        append(&mut tx, &NewEvent::new(Action::PasswordSet, organisation, by.clone(), now).about(user)).await?;
        self.commit_audited(tx).await
    }

    /// Removes a person's password; false if there was none. Cancel safe.
    pub async fn remove_password(
        &self,
        (organisation, user): (OrganisationId, UserId),
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let removed = execute!(tx.on(), "DELETE FROM passwords WHERE user_id = $1", user.as_uuid())?;
        if removed == 1 {
            append(&mut tx, &NewEvent::new(Action::PasswordRemoved, organisation, by.clone(), now).about(user)).await?;
        }
        self.commit_audited(tx).await?;
        Ok(removed == 1)
    }
}
