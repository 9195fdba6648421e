//! Passkeys: public keys of people's authenticators.

use podlatch_protocol::id::{OrganisationId, PasskeyId, UserId};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::name::DisplayName;
use crate::store::audit::append;
use crate::store::engine::{execute, fetch_all, fetch_optional};
use crate::store::error::taken;
use crate::store::rows::{parse, time};
use crate::store::{Store, StoreError};

/// The most passkeys that one person has.
const MAX_PASSKEYS: i64 = 20;

/// A passkey to be stored.
#[derive(Debug, Clone)]
pub struct NewPasskey {
    /// Its id.
    pub id: PasskeyId,
    /// Whose.
    pub user: UserId,
    /// The authenticator's own id for it.
    pub credential_id: Vec<u8>,
    /// What its person calls it.
    pub name: DisplayName,
    /// The credential, as JSON.
    pub credential: String,
}

/// A passkey as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPasskey {
    /// Its id.
    pub id: PasskeyId,
    /// Whose.
    pub user: UserId,
    /// The authenticator's own id for it.
    pub credential_id: Vec<u8>,
    /// What its person calls it.
    pub name: DisplayName,
    /// The credential, as JSON.
    pub credential: String,
    /// When it was added.
    pub created_at: UnixMillis,
    /// When somebody signed in with it last.
    pub last_used_at: Option<UnixMillis>,
}

impl Store {
    /// Adds a passkey; [`StoreError::Taken`] if this one is known, or its person has too many. Cancel safe.
    pub async fn add_passkey(
        &self,
        organisation: OrganisationId,
        new: &NewPasskey,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let added = execute!(
            tx.on(),
            "INSERT INTO passkeys (id, user_id, credential_id, name, credential, created_at)
             SELECT $1, u.id, $3, $4, $5, $6 FROM users u
             WHERE u.id = $2 AND (SELECT COUNT(*) FROM passkeys p WHERE p.user_id = u.id) < $7",
            new.id.as_uuid(),
            new.user.as_uuid(),
            new.credential_id.as_slice(),
            new.name.as_str(),
            new.credential.as_str(),
            now.get(),
            MAX_PASSKEYS,
        )
        .map_err(taken("the passkey"))?;
        if added != 1 {
            return Err(StoreError::Taken("the last place for a passkey"));
        }
        let event = NewEvent::new(Action::PasskeyAdded, organisation, by.clone(), now).about(new.user);
        append(&mut tx, &event.detail("passkey", new.id.to_string()).detail("name", new.name.as_str())).await?;
        self.commit_audited(tx).await
    }

    /// A person's passkeys, oldest first: few. Cancel safe.
    pub async fn passkeys_of(&self, user: UserId) -> Result<Vec<StoredPasskey>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            PasskeyRow,
            "SELECT id, user_id, credential_id, name, credential, created_at, last_used_at
             FROM passkeys WHERE user_id = $1 ORDER BY id",
            user.as_uuid(),
        )?;
        rows.into_iter().map(StoredPasskey::try_from).collect()
    }

    /// The passkey with this credential id, if it is this person's. Cancel safe.
    pub async fn passkey_by_credential(
        &self,
        user: UserId,
        credential_id: &[u8],
    ) -> Result<Option<StoredPasskey>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            PasskeyRow,
            "SELECT id, user_id, credential_id, name, credential, created_at, last_used_at
             FROM passkeys WHERE user_id = $1 AND credential_id = $2",
            user.as_uuid(),
            credential_id,
        )?;
        row.map(StoredPasskey::try_from).transpose()
    }

    /// Notes that a passkey was used: what was known of it, what is known now. False if another sign-in was faster, which
    /// must then count as a copy of the passkey. Cancel safe.
    pub async fn note_passkey_use(
        &self,
        (id, user): (PasskeyId, UserId),
        (before, after): (&str, &str),
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let changed = execute!(
            self.writer(),
            "UPDATE passkeys SET credential = $4, last_used_at = $5 WHERE id = $1 AND user_id = $2 AND credential = $3",
            id.as_uuid(),
            user.as_uuid(),
            before,
            after,
            now.get(),
        )?;
        Ok(changed == 1)
    }

    /// Gives a passkey another name; false if it is not this person's. Cancel safe.
    pub async fn rename_passkey(
        &self,
        (organisation, user): (OrganisationId, UserId),
        id: PasskeyId,
        name: &DisplayName,
        (by, now): (&Origin, UnixMillis),
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2",
            id.as_uuid(),
            user.as_uuid(),
            name.as_str(),
        )?;
        if changed == 1 {
            let event = NewEvent::new(Action::PasskeyRenamed, organisation, by.clone(), now).about(user);
            append(&mut tx, &event.detail("passkey", id.to_string()).detail("name", name.as_str())).await?;
        }
        self.commit_audited(tx).await?;
        Ok(changed == 1)
    }

    /// Removes a passkey; false if it is not this person's. Cancel safe.
    pub async fn remove_passkey(
        &self,
        (organisation, user): (OrganisationId, UserId),
        id: PasskeyId,
        (by, now): (&Origin, UnixMillis),
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let removed =
            execute!(tx.on(), "DELETE FROM passkeys WHERE id = $1 AND user_id = $2", id.as_uuid(), user.as_uuid(),)?;
        if removed == 1 {
            let event = NewEvent::new(Action::PasskeyRemoved, organisation, by.clone(), now).about(user);
            append(&mut tx, &event.detail("passkey", id.to_string())).await?;
        }
        self.commit_audited(tx).await?;
        Ok(removed == 1)
    }
}

#[derive(sqlx::FromRow)]
struct PasskeyRow {
    id: Uuid,
    user_id: Uuid,
    credential_id: Vec<u8>,
    name: String,
    credential: String,
    created_at: i64,
    last_used_at: Option<i64>,
}

impl TryFrom<PasskeyRow> for StoredPasskey {
    type Error = StoreError;

    fn try_from(row: PasskeyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: PasskeyId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            credential_id: row.credential_id,
            name: parse("passkeys.name", &row.name)?,
            credential: row.credential,
            created_at: UnixMillis::new(row.created_at),
            last_used_at: time(row.last_used_at),
        })
    }
}
