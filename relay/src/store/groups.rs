//! Groups of people.

use podlatch_protocol::id::{GroupId, OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::error::taken;
use super::people::user;
use super::rows::{known, number, parse};
use super::{List, Page, PageRequest, Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::name::DisplayName;
use crate::domain::people::{Group, GroupMember, MemberSource};

/// What a group is to be.
#[derive(Debug, Clone)]
pub struct GroupChange {
    /// Its name; `None` leaves it.
    pub name: Option<DisplayName>,
    /// All of its Kubernetes groups; `None` leaves them.
    pub kubernetes_groups: Option<Vec<String>>,
}

impl Store {
    /// The groups that a person is in, whoever put them there. Cancel safe.
    pub async fn groups_of(&self, organisation: OrganisationId, user: UserId) -> Result<Vec<GroupId>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid,),
            "SELECT DISTINCT group_id FROM group_members WHERE organisation_id = $1 AND user_id = $2 ORDER BY group_id",
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        Ok(rows.into_iter().map(|(group,)| GroupId::from_uuid(group)).collect())
    }

    /// The organisation's groups, oldest first. Cancel safe.
    pub async fn list_groups(
        &self,
        organisation: OrganisationId,
        page: PageRequest,
    ) -> Result<Page<Group>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            GroupRow,
            group_sql!("WHERE g.organisation_id = $1 AND ($2 IS NULL OR g.id > $2) ORDER BY g.id LIMIT $3"),
            organisation.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        page.read(List::Groups, rows, Group::try_from, |group| group.id.as_uuid())
    }

    /// A group of the organisation. Cancel safe.
    pub async fn get_group(&self, organisation: OrganisationId, id: GroupId) -> Result<Option<Group>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            GroupRow,
            group_sql!("WHERE g.organisation_id = $1 AND g.id = $2"),
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(Group::try_from).transpose()
    }

    /// Makes a group; [`StoreError::Taken`] if the organisation has one of this name. Cancel safe.
    pub async fn create_group(
        &self,
        (organisation, id): (OrganisationId, GroupId),
        (name, kubernetes_groups): (&DisplayName, &[String]),
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(
            tx.on(),
            "INSERT INTO user_groups (id, organisation_id, name, kubernetes_groups, created_at)
             VALUES ($1, $2, $3, $4, $5)",
            id.as_uuid(),
            organisation.as_uuid(),
            name.as_str(),
            serde_json::json!(kubernetes_groups).to_string(),
            now.get(),
        )
        .map_err(taken("a group of this name"))?;
        let event = NewEvent::new(Action::GroupCreated, organisation, by.clone(), now).detail("group", id.to_string());
        let event = event.detail("name", name.as_str()).detail("kubernetes_groups", kubernetes_groups.to_vec());
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await
    }

    /// Changes a group; [`StoreError::Missing`] if the organisation has none of this id, [`StoreError::Taken`] if it has
    /// another of this name. Cancel safe.
    pub async fn change_group(
        &self,
        (organisation, id): (OrganisationId, GroupId),
        change: &GroupChange,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let kubernetes_groups = change.kubernetes_groups.as_ref().map(|groups| serde_json::json!(groups).to_string());
        let changed = execute!(
            tx.on(),
            "UPDATE user_groups SET name = COALESCE($3, name), kubernetes_groups = COALESCE($4, kubernetes_groups)
             WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            id.as_uuid(),
            change.name.as_ref().map(DisplayName::as_str),
            kubernetes_groups,
        )
        .map_err(taken("a group of this name"))?;
        if changed != 1 {
            return Err(StoreError::Missing("the group"));
        }
        let mut event =
            NewEvent::new(Action::GroupChanged, organisation, by.clone(), now).detail("group", id.to_string());
        if let Some(name) = &change.name {
            event = event.detail("name", name.as_str());
        }
        if let Some(groups) = &change.kubernetes_groups {
            event = event.detail("kubernetes_groups", groups.clone());
        }
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await
    }

    /// Deletes a group, with everybody's being in it; false if there was none. Cancel safe.
    pub async fn delete_group(
        &self,
        organisation: OrganisationId,
        id: GroupId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let deleted = fetch_optional!(
            tx.on(),
            (String,),
            "DELETE FROM user_groups WHERE organisation_id = $1 AND id = $2 RETURNING name",
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        let Some((name,)) = deleted else {
            return Ok(false);
        };
        let event = NewEvent::new(Action::GroupDeleted, organisation, by.clone(), now).detail("group", id.to_string());
        append(&mut tx, &event.detail("name", name)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Who is in a group, in the order of their ids. Cancel safe.
    pub async fn list_group_members(
        &self,
        organisation: OrganisationId,
        group: GroupId,
        page: PageRequest,
    ) -> Result<Page<GroupMember>, StoreError> {
        // "manual" sorts before "oidc": whom an administrator put in stays in, whatever the provider says.
        let rows = fetch_all!(
            self.reader(),
            (Uuid, String, String, String),
            "SELECT u.id, u.email, u.name, MIN(m.source) FROM group_members m JOIN users u ON u.id = m.user_id
             WHERE m.organisation_id = $1 AND m.group_id = $2 AND ($3 IS NULL OR u.id > $3)
             GROUP BY u.id, u.email, u.name ORDER BY u.id LIMIT $4",
            organisation.as_uuid(),
            group.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        let member = |(id, email, name, source): (Uuid, String, String, String)| {
            let source = known("group_members.source", MemberSource::from_slug(&source))?;
            Ok::<_, StoreError>(GroupMember { user: user(id, &email, &name)?, source })
        };
        page.read(List::GroupMembers, rows, member, |member| member.user.id.as_uuid())
    }

    /// Puts a member of the organisation into a group; false if they were put there before. [`StoreError::Missing`] if the
    /// organisation has no such group or no such member. Cancel safe.
    pub async fn add_group_member(
        &self,
        (organisation, group): (OrganisationId, GroupId),
        user: UserId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let found = fetch_optional!(
            tx.on(),
            (i64,),
            "SELECT COUNT(*) FROM user_groups g JOIN memberships m ON m.organisation_id = g.organisation_id
             WHERE g.organisation_id = $1 AND g.id = $2 AND m.user_id = $3",
            organisation.as_uuid(),
            group.as_uuid(),
            user.as_uuid(),
        )?;
        if found != Some((1,)) {
            return Err(StoreError::Missing("the group or the person"));
        }
        let added = execute!(
            tx.on(),
            "INSERT INTO group_members (group_id, organisation_id, user_id, source, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            group.as_uuid(),
            organisation.as_uuid(),
            user.as_uuid(),
            MemberSource::Manual.slug(),
            now.get(),
        )?;
        if added != 1 {
            return Ok(false);
        }
        let event = NewEvent::new(Action::GroupMemberAdded, organisation, by.clone(), now).about(user);
        append(&mut tx, &event.detail("group", group.to_string())).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Takes somebody out of a group into which an administrator put them; false if none did. Cancel safe.
    pub async fn remove_group_member(
        &self,
        (organisation, group): (OrganisationId, GroupId),
        user: UserId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let removed = execute!(
            tx.on(),
            "DELETE FROM group_members WHERE organisation_id = $1 AND group_id = $2 AND user_id = $3 AND source = $4",
            organisation.as_uuid(),
            group.as_uuid(),
            user.as_uuid(),
            MemberSource::Manual.slug(),
        )?;
        if removed != 1 {
            return Ok(false);
        }
        let event = NewEvent::new(Action::GroupMemberRemoved, organisation, by.clone(), now).about(user);
        append(&mut tx, &event.detail("group", group.to_string())).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }
}

/// The columns of a [`GroupRow`], then whatever else the statement needs.
macro_rules! group_sql {
    ($rest:literal) => {
        concat!(
            "SELECT g.id, g.name, g.kubernetes_groups, g.created_at, \
             (SELECT COUNT(DISTINCT m.user_id) FROM group_members m WHERE m.group_id = g.id) AS members \
             FROM user_groups g ",
            $rest
        )
    };
}
use group_sql;

#[derive(sqlx::FromRow)]
struct GroupRow {
    id: Uuid,
    name: String,
    kubernetes_groups: String,
    created_at: i64,
    members: i64,
}

impl TryFrom<GroupRow> for Group {
    type Error = StoreError;

    fn try_from(row: GroupRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: GroupId::from_uuid(row.id),
            name: parse("user_groups.name", &row.name)?,
            kubernetes_groups: serde_json::from_str(&row.kubernetes_groups)
                .map_err(|_| StoreError::Corrupt("user_groups.kubernetes_groups"))?,
            created_at: UnixMillis::new(row.created_at),
            members: number("group_members", row.members)?,
        })
    }
}
