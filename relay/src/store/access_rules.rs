//! Access rules. Changed under their revision, so that nobody overwrites what they have not seen.

use podlatch_protocol::id::{AccessRuleId, OrganisationId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::error::taken;
use super::rows::number;
use super::{List, Page, PageRequest, Store, StoreError, Tx};
use crate::clock::UnixMillis;
use crate::domain::access::rule::{AccessRule, RuleSettings};
use crate::domain::audit::{Action, NewEvent, Origin};

/// More rules than this an organisation cannot have: each is looked at for each decision.
pub(super) const MAX_RULES: i64 = 500;

/// A rule to be stored.
#[derive(Debug, Clone)]
pub struct NewAccessRule {
    /// Its id.
    pub id: AccessRuleId,
    /// Whose.
    pub organisation: OrganisationId,
    /// What it says.
    pub settings: RuleSettings,
}

impl NewAccessRule {
    /// The rule that an organisation begins with. Its id is made of the organisation's, which is random already.
    pub(super) fn first_of(organisation: OrganisationId, now: UnixMillis) -> Result<Self, StoreError> {
        let hash: [u8; 32] =
            Sha256::new().chain_update(organisation.as_uuid()).chain_update(b"first rule").finalize().into();
        let mut ten = [0; 10];
        ten.copy_from_slice(&hash[..10]);
        let settings =
            RuleSettings::owners_open_everything().map_err(|_| StoreError::Corrupt("the first access rule"))?;
        Ok(Self { id: AccessRuleId::new(now.since_epoch(), &ten), organisation, settings })
    }
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleChange {
    /// It was done; this is the rule now, or was before it was deleted.
    Done(Box<AccessRule>),
    /// Somebody else changed it since; it has this revision now.
    Conflict(u64),
    /// There is no such rule.
    Missing,
}

/// What the audit log says of a new rule.
pub(super) fn created(new: &NewAccessRule, by: Origin, now: UnixMillis) -> NewEvent {
    describe(NewEvent::new(Action::AccessRuleCreated, new.organisation, by, now), new.id, &new.settings)
}

fn describe(event: NewEvent, id: AccessRuleId, settings: &RuleSettings) -> NewEvent {
    let whole = serde_json::to_value(settings).unwrap_or_default();
    event.detail("rule", id.to_string()).detail("name", settings.name.as_str()).detail("settings", whole)
}

fn text(settings: &RuleSettings) -> Result<String, StoreError> {
    serde_json::to_string(settings).map_err(|_| StoreError::Corrupt("access_rules.settings"))
}

pub(super) async fn insert(tx: &mut Tx, new: &NewAccessRule, now: UnixMillis) -> Result<(), StoreError> {
    let inserted = execute!(
        tx.on(),
        "INSERT INTO access_rules (id, organisation_id, revision, settings, created_at, updated_at)
         SELECT $1, $2, 1, $3, $4, $4 WHERE (SELECT COUNT(*) FROM access_rules WHERE organisation_id = $2) < $5",
        new.id.as_uuid(),
        new.organisation.as_uuid(),
        text(&new.settings)?,
        now.get(),
        MAX_RULES,
    )
    .map_err(taken("the access rule"))?;
    if inserted == 1 { Ok(()) } else { Err(StoreError::Taken("the last place for an access rule")) }
}

impl Store {
    /// Gives the rule that an organisation begins with to those that are older than access rules: they never had one, and
    /// without one nobody sees or opens anything. Whoever deleted their rules keeps none. Says how many. Cancel safe.
    pub async fn give_first_rules(&self, now: UnixMillis) -> Result<usize, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid, i64),
            "SELECT o.id, o.created_at FROM organisations o
             WHERE NOT EXISTS (SELECT 1 FROM access_rules r WHERE r.organisation_id = o.id)
             AND NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.organisation_id = o.id AND e.action = $1)
             ORDER BY o.id",
            Action::AccessRuleCreated.slug(),
        )?;
        let mut given = 0;
        for (organisation, created_at) in rows {
            // The same for every relay that starts at once.
            let first = NewAccessRule::first_of(OrganisationId::from_uuid(organisation), UnixMillis::new(created_at))?;
            match self.create_access_rule(&first, &Origin::system(), now).await {
                Ok(_) => given += 1,
                Err(StoreError::Taken(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(given)
    }

    /// Stores a rule; [`StoreError::Taken`] if the organisation has as many as it may. Cancel safe.
    pub async fn create_access_rule(
        &self,
        new: &NewAccessRule,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<AccessRule, StoreError> {
        let mut tx = self.begin().await?;
        insert(&mut tx, new, now).await?;
        append(&mut tx, &created(new, by.clone(), now)).await?;
        self.commit_audited(tx).await?;
        let NewAccessRule { id, organisation, settings } = new.clone();
        Ok(AccessRule { id, organisation, revision: 1, created_at: now, updated_at: now, settings })
    }

    /// Every rule of the organisation, which are a bounded number: what decisions need. Cancel safe.
    pub async fn access_rules(&self, organisation: OrganisationId) -> Result<Vec<AccessRule>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            RuleRow,
            "SELECT id, organisation_id, revision, settings, created_at, updated_at FROM access_rules
             WHERE organisation_id = $1 ORDER BY id",
            organisation.as_uuid(),
        )?;
        rows.into_iter().map(AccessRule::try_from).collect()
    }

    /// The organisation's rules, oldest first. Cancel safe.
    pub async fn list_access_rules(
        &self,
        organisation: OrganisationId,
        page: PageRequest,
    ) -> Result<Page<AccessRule>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            RuleRow,
            "SELECT id, organisation_id, revision, settings, created_at, updated_at FROM access_rules
             WHERE organisation_id = $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3",
            organisation.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        page.read(List::AccessRules, rows, AccessRule::try_from, |rule| rule.id.as_uuid())
    }

    /// A rule of the organisation. Cancel safe.
    pub async fn get_access_rule(
        &self,
        organisation: OrganisationId,
        id: AccessRuleId,
    ) -> Result<Option<AccessRule>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            RuleRow,
            "SELECT id, organisation_id, revision, settings, created_at, updated_at FROM access_rules
             WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(AccessRule::try_from).transpose()
    }

    /// Changes the rule that has this revision. Cancel safe.
    pub async fn change_access_rule(
        &self,
        (organisation, id, revision): (OrganisationId, AccessRuleId, u64),
        settings: &RuleSettings,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<RuleChange, StoreError> {
        let mut tx = self.begin().await?;
        let row = fetch_optional!(
            tx.on(),
            RuleRow,
            "UPDATE access_rules SET settings = $4, revision = revision + 1, updated_at = $5
             WHERE organisation_id = $1 AND id = $2 AND revision = $3
             RETURNING id, organisation_id, revision, settings, created_at, updated_at",
            organisation.as_uuid(),
            id.as_uuid(),
            i64::try_from(revision).unwrap_or(i64::MAX),
            text(settings)?,
            now.get(),
        )?;
        let Some(row) = row else {
            drop(tx);
            return self.unchanged(organisation, id).await;
        };
        let rule = AccessRule::try_from(row)?;
        let event = NewEvent::new(Action::AccessRuleChanged, organisation, by.clone(), now);
        append(&mut tx, &describe(event, id, settings).detail("revision", rule.revision)).await?;
        self.commit_audited(tx).await?;
        Ok(RuleChange::Done(Box::new(rule)))
    }

    /// Deletes the rule that has this revision. Cancel safe.
    pub async fn delete_access_rule(
        &self,
        (organisation, id, revision): (OrganisationId, AccessRuleId, u64),
        by: &Origin,
        now: UnixMillis,
    ) -> Result<RuleChange, StoreError> {
        let mut tx = self.begin().await?;
        let row = fetch_optional!(
            tx.on(),
            RuleRow,
            "DELETE FROM access_rules WHERE organisation_id = $1 AND id = $2 AND revision = $3
             RETURNING id, organisation_id, revision, settings, created_at, updated_at",
            organisation.as_uuid(),
            id.as_uuid(),
            i64::try_from(revision).unwrap_or(i64::MAX),
        )?;
        let Some(row) = row else {
            drop(tx);
            return self.unchanged(organisation, id).await;
        };
        let rule = AccessRule::try_from(row)?;
        let event = NewEvent::new(Action::AccessRuleDeleted, organisation, by.clone(), now);
        append(&mut tx, &describe(event, id, &rule.settings)).await?;
        self.commit_audited(tx).await?;
        Ok(RuleChange::Done(Box::new(rule)))
    }

    async fn unchanged(&self, organisation: OrganisationId, id: AccessRuleId) -> Result<RuleChange, StoreError> {
        let now = self.get_access_rule(organisation, id).await?;
        Ok(now.map_or(RuleChange::Missing, |rule| RuleChange::Conflict(rule.revision)))
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct RuleRow {
    id: Uuid,
    organisation_id: Uuid,
    revision: i64,
    settings: String,
    created_at: i64,
    updated_at: i64,
}

impl TryFrom<RuleRow> for AccessRule {
    type Error = StoreError;

    fn try_from(row: RuleRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: AccessRuleId::from_uuid(row.id),
            organisation: OrganisationId::from_uuid(row.organisation_id),
            revision: number("access_rules.revision", row.revision)?,
            settings: serde_json::from_str(&row.settings).map_err(|_| StoreError::Corrupt("access_rules.settings"))?,
            created_at: UnixMillis::new(row.created_at),
            updated_at: UnixMillis::new(row.updated_at),
        })
    }
}
