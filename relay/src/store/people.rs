//! The people of an organisation.

use podlatch_protocol::id::{GroupId, OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::{known, number, parse, time};
use super::{List, Page, PageRequest, Store, StoreError, Tx};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, ActorRef, NewEvent, Origin, Outcome};
use crate::domain::name::DisplayName;
use crate::domain::organisation::{Role, User};
use crate::domain::people::{ChangeRefused, ChangedBy, Member, MemberChange, Person, may_change};

impl Store {
    /// The organisation's people, in the order of their ids. Cancel safe.
    pub async fn list_people(
        &self,
        organisation: OrganisationId,
        page: PageRequest,
    ) -> Result<Page<Person>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            PersonRow,
            person_sql!("WHERE m.organisation_id = $1 AND ($2 IS NULL OR u.id > $2) ORDER BY u.id LIMIT $3"),
            organisation.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        let people = rows.into_iter().map(Person::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut page = page.page(List::People, people, |person| person.user.id.as_uuid());
        self.add_groups(organisation, &mut page.items).await?;
        Ok(page)
    }

    /// One of the organisation's people. Cancel safe.
    pub async fn get_person(&self, organisation: OrganisationId, user: UserId) -> Result<Option<Person>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            PersonRow,
            person_sql!("WHERE m.organisation_id = $1 AND u.id = $2"),
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        let mut people: Vec<Person> = row.map(Person::try_from).transpose()?.into_iter().collect();
        self.add_groups(organisation, &mut people).await?;
        Ok(people.pop())
    }

    /// Looks up the groups of people who are in the order of their ids.
    async fn add_groups(&self, organisation: OrganisationId, people: &mut [Person]) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (people.first(), people.last()) else {
            return Ok(());
        };
        let rows = fetch_all!(
            self.reader(),
            (Uuid, Uuid, String),
            "SELECT DISTINCT m.user_id, g.id, g.name FROM group_members m JOIN user_groups g ON g.id = m.group_id
             WHERE m.organisation_id = $1 AND m.user_id >= $2 AND m.user_id <= $3 ORDER BY g.name, g.id",
            organisation.as_uuid(),
            first.user.id.as_uuid(),
            last.user.id.as_uuid(),
        )?;
        for (user, group, name) in rows {
            let user = UserId::from_uuid(user);
            if let Some(person) = people.iter_mut().find(|person| person.user.id == user) {
                person.groups.push((GroupId::from_uuid(group), parse("user_groups.name", &name)?));
            }
        }
        Ok(())
    }

    /// Changes what somebody is in the organisation, if whoever wants it may: as both are at that moment. A refusal is
    /// audited too. [`StoreError::Missing`] if they are no member. Cancel safe.
    pub async fn change_member(
        &self,
        (organisation, user): (OrganisationId, UserId),
        change: MemberChange,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<Result<(), ChangeRefused>, StoreError> {
        let mut tx = self.begin().await?;
        lock_people(&mut tx, organisation).await?;
        let target = member(&mut tx, organisation, user).await?.ok_or(StoreError::Missing("the person"))?;
        let who = changed_by(&mut tx, organisation, by).await?;
        if let Err(refused) = may_change(who, target, change, owners(&mut tx, organisation).await?) {
            let event = NewEvent::new(Action::AccessRefused, organisation, by.clone(), now).about(user);
            let event = event.outcome(Outcome::Refused).detail("asked", change.slug());
            append(&mut tx, &event.detail("reason", refused.sentence())).await?;
            self.commit_audited(tx).await?;
            return Ok(Err(refused));
        }
        let whose = (organisation, user);
        let event = NewEvent::new(action(change), organisation, by.clone(), now).about(user);
        let event = match change {
            MemberChange::Role(role) => {
                set_role(&mut tx, whose, role).await?;
                event.detail("from", target.role.slug()).detail("to", role.slug())
            }
            MemberChange::Suspend => {
                suspend(&mut tx, whose, Some(now)).await?;
                event
            }
            MemberChange::Resume => {
                suspend(&mut tx, whose, None).await?;
                event
            }
            MemberChange::Remove => {
                remove(&mut tx, whose, now).await?;
                event.detail("role", target.role.slug())
            }
        };
        if change != MemberChange::Resume {
            withdraw_invitations_by(&mut tx, whose, now).await?;
        }
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await?;
        Ok(Ok(()))
    }
}

const fn action(change: MemberChange) -> Action {
    match change {
        MemberChange::Role(_) => Action::MemberRoleChanged,
        MemberChange::Suspend => Action::MemberSuspended,
        MemberChange::Resume => Action::MemberResumed,
        MemberChange::Remove => Action::MemberRemoved,
    }
}

/// Makes the changes of one organisation's people wait for each other: two owners must not unmake one another at once.
pub(super) async fn lock_people(tx: &mut Tx, organisation: OrganisationId) -> Result<(), StoreError> {
    execute!(tx.on(), "UPDATE organisations SET name = name WHERE id = $1", organisation.as_uuid())?;
    Ok(())
}

/// Who wants a change, as they are now.
pub(super) async fn changed_by(
    tx: &mut Tx,
    organisation: OrganisationId,
    by: &Origin,
) -> Result<ChangedBy, StoreError> {
    Ok(match by.actor {
        ActorRef::Operator => ChangedBy::Operator,
        ActorRef::User(user) => ChangedBy::Member(member(tx, organisation, user).await?),
        ActorRef::SessionUser | ActorRef::Unknown | ActorRef::System | ActorRef::Agent(_) => ChangedBy::Member(None),
    })
}

async fn member(tx: &mut Tx, organisation: OrganisationId, user: UserId) -> Result<Option<Member>, StoreError> {
    let row = fetch_optional!(
        tx.on(),
        (String, Option<i64>, Option<i64>),
        "SELECT m.role, m.suspended_at, u.suspended_at FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organisation_id = $1 AND m.user_id = $2",
        organisation.as_uuid(),
        user.as_uuid(),
    )?;
    row.map(|(role, here, everywhere)| {
        let role = known("memberships.role", Role::from_slug(&role))?;
        Ok(Member { user, role, suspended: here.is_some() || everywhere.is_some() })
    })
    .transpose()
}

/// How many owners can act.
async fn owners(tx: &mut Tx, organisation: OrganisationId) -> Result<u64, StoreError> {
    let row = fetch_optional!(
        tx.on(),
        (i64,),
        "SELECT COUNT(*) FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organisation_id = $1 AND m.role = $2 AND m.suspended_at IS NULL AND u.suspended_at IS NULL",
        organisation.as_uuid(),
        Role::Owner.slug(),
    )?;
    number("memberships", known("memberships", row)?.0)
}

async fn set_role(tx: &mut Tx, (organisation, user): (OrganisationId, UserId), role: Role) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "UPDATE memberships SET role = $3 WHERE organisation_id = $1 AND user_id = $2",
        organisation.as_uuid(),
        user.as_uuid(),
        role.slug(),
    )?;
    Ok(())
}

/// Suspends somebody from a moment on, or no more. Whoever is suspended already stays so since then.
async fn suspend(
    tx: &mut Tx,
    (organisation, user): (OrganisationId, UserId),
    at: Option<UnixMillis>,
) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "UPDATE memberships SET suspended_at = $3
         WHERE organisation_id = $1 AND user_id = $2 AND (suspended_at IS NULL OR $3 IS NULL)",
        organisation.as_uuid(),
        user.as_uuid(),
        at.map(UnixMillis::get),
    )?;
    Ok(())
}

/// Takes a person out of the organisation. Whatever could bring them back goes too: logins and tokens end, links and
/// invitations are void.
async fn remove(
    tx: &mut Tx,
    (organisation, user): (OrganisationId, UserId),
    now: UnixMillis,
) -> Result<(), StoreError> {
    let (organisation, user) = (organisation.as_uuid(), user.as_uuid());
    execute!(
        tx.on(),
        "UPDATE login_sessions SET revoked_at = $3
         WHERE organisation_id = $1 AND user_id = $2 AND revoked_at IS NULL",
        organisation,
        user,
        now.get(),
    )?;
    execute!(
        tx.on(),
        "UPDATE invitations SET revoked_at = $3
         WHERE organisation_id = $1 AND used_at IS NULL AND revoked_at IS NULL
             AND email = (SELECT email FROM users WHERE id = $2)",
        organisation,
        user,
        now.get(),
    )?;
    execute!(
        tx.on(),
        "DELETE FROM sign_in_links WHERE organisation_id = $1 AND user_id = $2 AND used_at IS NULL",
        organisation,
        user,
    )?;
    execute!(tx.on(), "DELETE FROM group_members WHERE organisation_id = $1 AND user_id = $2", organisation, user,)?;
    execute!(tx.on(), "DELETE FROM memberships WHERE organisation_id = $1 AND user_id = $2", organisation, user)?;
    Ok(())
}

/// What somebody promised who may not promise it any more.
async fn withdraw_invitations_by(
    tx: &mut Tx,
    (organisation, user): (OrganisationId, UserId),
    now: UnixMillis,
) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "UPDATE invitations SET revoked_at = $3
         WHERE organisation_id = $1 AND invited_by = $2 AND used_at IS NULL AND revoked_at IS NULL",
        organisation.as_uuid(),
        user.as_uuid(),
        now.get(),
    )?;
    Ok(())
}

/// The columns of a [`PersonRow`], then whatever else the statement needs.
macro_rules! person_sql {
    ($rest:literal) => {
        concat!(
            "SELECT u.id AS user_id, u.email, u.name AS user_name, u.suspended_at AS account_suspended_at, m.role, \
             m.created_at AS joined_at, m.suspended_at, \
             (SELECT MAX(l.last_used_at) FROM login_sessions l \
                 WHERE l.organisation_id = m.organisation_id AND l.user_id = m.user_id) AS last_seen_at \
             FROM memberships m JOIN users u ON u.id = m.user_id ",
            $rest
        )
    };
}
use person_sql;

#[derive(sqlx::FromRow)]
struct PersonRow {
    user_id: Uuid,
    email: String,
    user_name: String,
    account_suspended_at: Option<i64>,
    role: String,
    joined_at: i64,
    suspended_at: Option<i64>,
    last_seen_at: Option<i64>,
}

impl TryFrom<PersonRow> for Person {
    type Error = StoreError;

    fn try_from(row: PersonRow) -> Result<Self, StoreError> {
        Ok(Self {
            user: user(row.user_id, &row.email, &row.user_name)?,
            role: known("memberships.role", Role::from_slug(&row.role))?,
            joined_at: UnixMillis::new(row.joined_at),
            suspended_at: time(row.suspended_at),
            account_suspended_at: time(row.account_suspended_at),
            last_seen_at: time(row.last_seen_at),
            groups: Vec::new(),
        })
    }
}

/// A person from their columns.
pub(super) fn user(id: Uuid, email: &str, name: &str) -> Result<User, StoreError> {
    let name: DisplayName = parse("users.name", name)?;
    Ok(User { id: UserId::from_uuid(id), email: parse("users.email", email)?, name })
}
