//! Where an organisation's people sign in.

use podlatch_protocol::id::{OrganisationId, SignInProviderId};
use uuid::Uuid;

use crate::auth::seal::Sealed;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::name::DisplayName;
use crate::domain::sign_in::ProviderSettings;
use crate::store::audit::append;
use crate::store::engine::{execute, fetch_all, fetch_optional};
use crate::store::error::taken;
use crate::store::rows::parse;
use crate::store::{Store, StoreError};

/// The most providers that one organisation has.
const MAX_PROVIDERS: i64 = 20;

/// An OpenID Connect provider of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInProvider {
    /// Its id.
    pub id: SignInProviderId,
    /// Whose.
    pub organisation: OrganisationId,
    /// What its button says.
    pub name: DisplayName,
    /// Who it is, exactly as its tokens say.
    pub issuer: String,
    /// Who the relay is there.
    pub client_id: String,
    /// With what the relay proves it, sealed.
    pub client_secret: Option<Sealed>,
    /// Everything else.
    pub settings: ProviderSettings,
    /// When it was created.
    pub created_at: UnixMillis,
    /// When it was changed last.
    pub updated_at: UnixMillis,
}

impl Store {
    /// Adds a provider; [`StoreError::Taken`] if the organisation has one of this name, or too many. Cancel safe.
    pub async fn create_sign_in_provider(
        &self,
        new: &SignInProvider,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let added = execute!(
            tx.on(),
            "INSERT INTO sign_in_providers
                 (id, organisation_id, name, issuer, client_id, client_secret, settings, created_at, updated_at)
             SELECT $1, o.id, $3, $4, $5, $6, $7, $8, $8 FROM organisations o
             WHERE o.id = $2 AND (SELECT COUNT(*) FROM sign_in_providers p WHERE p.organisation_id = o.id) < $9",
            new.id.as_uuid(),
            new.organisation.as_uuid(),
            new.name.as_str(),
            new.issuer.as_str(),
            new.client_id.as_str(),
            new.client_secret.as_ref().map(Sealed::as_str),
            settings(new)?,
            now.get(),
            MAX_PROVIDERS,
        )
        .map_err(taken("a provider of this name"))?;
        if added != 1 {
            return Err(StoreError::Taken("the last place for a provider"));
        }
        append(&mut tx, &event(Action::SignInProviderCreated, new, by, now)).await?;
        self.commit_audited(tx).await
    }

    /// Changes a provider; [`StoreError::Missing`] if the organisation has none of this id. Cancel safe.
    pub async fn change_sign_in_provider(
        &self,
        changed: &SignInProvider,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = execute!(
            tx.on(),
            "UPDATE sign_in_providers
             SET name = $3, issuer = $4, client_id = $5, client_secret = $6, settings = $7, updated_at = $8
             WHERE id = $1 AND organisation_id = $2",
            changed.id.as_uuid(),
            changed.organisation.as_uuid(),
            changed.name.as_str(),
            changed.issuer.as_str(),
            changed.client_id.as_str(),
            changed.client_secret.as_ref().map(Sealed::as_str),
            settings(changed)?,
            now.get(),
        )
        .map_err(taken("a provider of this name"))?;
        if done != 1 {
            return Err(StoreError::Missing("the sign-in provider"));
        }
        append(&mut tx, &event(Action::SignInProviderChanged, changed, by, now)).await?;
        self.commit_audited(tx).await
    }

    /// Removes a provider; false if the organisation has none of this id. What it said of people's groups goes with it:
    /// nobody can say it anew. Cancel safe.
    pub async fn remove_sign_in_provider(
        &self,
        organisation: OrganisationId,
        id: SignInProviderId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let removed = execute!(
            tx.on(),
            "DELETE FROM sign_in_providers WHERE id = $1 AND organisation_id = $2",
            id.as_uuid(),
            organisation.as_uuid(),
        )?;
        if removed == 1 {
            execute!(
                tx.on(),
                "DELETE FROM group_members WHERE organisation_id = $1 AND source = 'oidc' AND NOT EXISTS (
                     SELECT 1 FROM sign_in_providers p WHERE p.organisation_id = $1)",
                organisation.as_uuid(),
            )?;
            let event = NewEvent::new(Action::SignInProviderRemoved, organisation, by.clone(), now);
            append(&mut tx, &event.detail("provider", id.to_string())).await?;
        }
        self.commit_audited(tx).await?;
        Ok(removed == 1)
    }

    /// An organisation's providers, oldest first: few. Cancel safe.
    pub async fn sign_in_providers(&self, organisation: OrganisationId) -> Result<Vec<SignInProvider>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            ProviderRow,
            "SELECT id, organisation_id, name, issuer, client_id, client_secret, settings, created_at, updated_at
             FROM sign_in_providers WHERE organisation_id = $1 ORDER BY id",
            organisation.as_uuid(),
        )?;
        rows.into_iter().map(SignInProvider::try_from).collect()
    }

    /// The provider of this id, if it is this organisation's. Cancel safe.
    pub async fn sign_in_provider(
        &self,
        organisation: OrganisationId,
        id: SignInProviderId,
    ) -> Result<Option<SignInProvider>, StoreError> {
        let found = self.sign_in_provider_to_start(id).await?;
        Ok(found.filter(|provider| provider.organisation == organisation))
    }

    /// The provider of this id, for somebody who is about to sign in there, so belongs nowhere yet. Cancel safe.
    pub async fn sign_in_provider_to_start(&self, id: SignInProviderId) -> Result<Option<SignInProvider>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            ProviderRow,
            "SELECT id, organisation_id, name, issuer, client_id, client_secret, settings, created_at, updated_at
             FROM sign_in_providers WHERE id = $1",
            id.as_uuid(),
        )?;
        row.map(SignInProvider::try_from).transpose()
    }

    /// The organisation of a relay that has but one. Cancel safe.
    pub async fn only_organisation(&self) -> Result<Option<OrganisationId>, StoreError> {
        let rows = fetch_all!(self.reader(), (Uuid,), "SELECT id FROM organisations LIMIT 2")?;
        Ok(match rows.as_slice() {
            [(id,)] => Some(OrganisationId::from_uuid(*id)),
            _ => None,
        })
    }
}

fn settings(provider: &SignInProvider) -> Result<String, StoreError> {
    serde_json::to_string(&provider.settings).map_err(|_| StoreError::Corrupt("sign_in_providers.settings"))
}

fn event(action: Action, provider: &SignInProvider, by: &Origin, now: UnixMillis) -> NewEvent {
    let settings = &provider.settings;
    NewEvent::new(action, provider.organisation, by.clone(), now)
        .detail("provider", provider.id.to_string())
        .detail("name", provider.name.as_str())
        .detail("issuer", provider.issuer.as_str())
        .detail("unknown_people", serde_json::to_value(settings.unknown_people).unwrap_or_default())
        .detail("known_members", serde_json::to_value(settings.known_members).unwrap_or_default())
}

#[derive(sqlx::FromRow)]
struct ProviderRow {
    id: Uuid,
    organisation_id: Uuid,
    name: String,
    issuer: String,
    client_id: String,
    client_secret: Option<String>,
    settings: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<ProviderRow> for SignInProvider {
    type Error = StoreError;

    fn try_from(row: ProviderRow) -> Result<Self, StoreError> {
        let settings = serde_json::from_str(&row.settings);
        Ok(Self {
            id: SignInProviderId::from_uuid(row.id),
            organisation: OrganisationId::from_uuid(row.organisation_id),
            name: parse("sign_in_providers.name", &row.name)?,
            issuer: row.issuer,
            client_id: row.client_id,
            client_secret: row.client_secret.map(Sealed::stored),
            settings: settings.map_err(|_| StoreError::Corrupt("sign_in_providers.settings"))?,
            created_at: UnixMillis::new(row.created_at),
            updated_at: UnixMillis::new(row.updated_at),
        })
    }
}
