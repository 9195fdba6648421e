//! Organisations, users and memberships.

use podlatch_protocol::id::{OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::{known, parse};
use super::{List, NewAccessRule, Page, PageRequest, Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::name::{DisplayName, Email};
use crate::domain::organisation::{Membership, Organisation, Role, User};

/// An organisation and its first owner.
#[derive(Debug, Clone)]
pub struct NewOrganisation {
    /// The organisation's id.
    pub id: OrganisationId,
    /// Its name.
    pub name: DisplayName,
    /// The id that the owner gets if their address is new here.
    pub owner_id: UserId,
    /// The owner's address.
    pub owner_email: Email,
    /// What the owner is called if their address is new here.
    pub owner_name: DisplayName,
}

impl Store {
    /// Creates an organisation with its first owner. A person who is known by this address becomes the owner under the
    /// id and name that they have. Cancel safe.
    pub async fn create_organisation_with_owner(
        &self,
        new: &NewOrganisation,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<Membership, StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO organisations (id, name, created_at) VALUES ($1, $2, $3)",
            new.id.as_uuid(),
            new.name.as_str(),
            now.get(),
        )?;
        execute!(
            tx.on(),
            "INSERT INTO users (id, email, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (email) DO NOTHING",
            new.owner_id.as_uuid(),
            new.owner_email.as_str(),
            new.owner_name.as_str(),
            now.get(),
        )?;
        execute!(
            tx.on(),
            "INSERT INTO memberships (organisation_id, user_id, role, created_at)
             SELECT $1, id, $2, $3 FROM users WHERE email = $4",
            new.id.as_uuid(),
            Role::Owner.slug(),
            now.get(),
            new.owner_email.as_str(),
        )?;
        let first = NewAccessRule::first_of(new.id, now)?;
        super::access_rules::insert(&mut tx, &first, now).await?;
        let row = fetch_optional!(
            tx.on(),
            MembershipRow,
            membership_sql!("WHERE m.organisation_id = $1 AND u.email = $2"),
            new.id.as_uuid(),
            new.owner_email.as_str(),
        )?;
        let membership: Membership = known("memberships", row)?.try_into()?;
        let event = NewEvent::new(Action::OrganisationCreated, new.id, by.clone(), now);
        append(&mut tx, &event.about(membership.user.id).detail("name", new.name.as_str())).await?;
        append(&mut tx, &super::access_rules::created(&first, by.clone(), now)).await?;
        self.commit_audited(tx).await?;
        Ok(membership)
    }

    /// Every organisation, oldest first: for the operator. Cancel safe.
    pub async fn list_organisations(&self, page: PageRequest) -> Result<Page<Organisation>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            OrganisationRow,
            "SELECT id, name, created_at FROM organisations WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2",
            page.after(),
            page.limit(),
        )?;
        page.read(List::Organisations, rows, Organisation::try_from, |organisation| organisation.id.as_uuid())
    }

    /// The organisation with this id. Cancel safe.
    pub async fn get_organisation(&self, id: OrganisationId) -> Result<Option<Organisation>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            OrganisationRow,
            "SELECT id, name, created_at FROM organisations WHERE id = $1",
            id.as_uuid(),
        )?;
        row.map(Organisation::try_from).transpose()
    }

    /// The organisations of this name (names are not unique): for the operator. At most two, which is enough to know
    /// that a name is ambiguous. Cancel safe.
    pub async fn organisations_named(&self, name: &DisplayName) -> Result<Vec<Organisation>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            OrganisationRow,
            "SELECT id, name, created_at FROM organisations WHERE name = $1 ORDER BY id LIMIT 2",
            name.as_str(),
        )?;
        rows.into_iter().map(Organisation::try_from).collect()
    }

    /// What the person with this address is, wherever they are a member: for the operator. Cancel safe.
    pub async fn memberships_of(&self, email: &Email) -> Result<Vec<Membership>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            MembershipRow,
            membership_sql!("WHERE u.email = $1 ORDER BY o.id"),
            email.as_str(),
        )?;
        rows.into_iter().map(Membership::try_from).collect()
    }
}

/// The columns of a [`MembershipRow`], then whatever else the statement needs.
macro_rules! membership_sql {
    ($rest:literal) => {
        concat!(
            "SELECT u.id AS user_id, u.email, u.name AS user_name, o.id AS organisation_id, \
             o.name AS organisation_name, o.created_at AS organisation_created_at, m.role \
             FROM memberships m JOIN users u ON u.id = m.user_id JOIN organisations o ON o.id = m.organisation_id ",
            $rest
        )
    };
}
use membership_sql;

#[derive(sqlx::FromRow)]
struct OrganisationRow {
    id: Uuid,
    name: String,
    created_at: i64,
}

impl TryFrom<OrganisationRow> for Organisation {
    type Error = StoreError;

    fn try_from(row: OrganisationRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: OrganisationId::from_uuid(row.id),
            name: parse("organisations.name", &row.name)?,
            created_at: UnixMillis::new(row.created_at),
        })
    }
}

#[derive(sqlx::FromRow)]
pub(super) struct MembershipRow {
    user_id: Uuid,
    email: String,
    user_name: String,
    organisation_id: Uuid,
    organisation_name: String,
    organisation_created_at: i64,
    role: String,
}

impl TryFrom<MembershipRow> for Membership {
    type Error = StoreError;

    fn try_from(row: MembershipRow) -> Result<Self, StoreError> {
        Ok(Self {
            user: User {
                id: UserId::from_uuid(row.user_id),
                email: parse("users.email", &row.email)?,
                name: parse("users.name", &row.user_name)?,
            },
            organisation: Organisation {
                id: OrganisationId::from_uuid(row.organisation_id),
                name: parse("organisations.name", &row.organisation_name)?,
                created_at: UnixMillis::new(row.organisation_created_at),
            },
            role: known("memberships.role", Role::from_slug(&row.role))?,
        })
    }
}
