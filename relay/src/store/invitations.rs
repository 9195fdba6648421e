//! Invitations: one-time links into an organisation.
//!
//! Whoever makes an invitation sees its link, so the link proves nothing about who opens it. It therefore signs in only whom
//! it cannot open anything else for: a person who is new here, or a member nowhere. Somebody who is a member elsewhere has to
//! be signed in already, and gets the membership alone.

use podlatch_protocol::id::{GroupId, InvitationId, OrganisationId, UserId};
use uuid::Uuid;

use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::login_sessions::sign_in;
use super::people::{changed_by, lock_people};
use super::redemption::Unredeemed;
use super::rows::{known, parse};
use super::{List, NewLoginSession, Page, PageRequest, Redemption, Store, StoreError, Tx};
use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NO_ORGANISATION, NewEvent, Origin, Outcome};
use crate::domain::name::{DisplayName, Email};
use crate::domain::organisation::{ClientInfo, LoginSession, Role};
use crate::domain::people::{ChangeRefused, ChangedBy, Invitation, MemberSource, may_invite};

/// An invitation to be stored.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// Its id.
    pub id: InvitationId,
    /// Its hash.
    pub hash: TokenHash,
    /// Into which organisation.
    pub organisation: OrganisationId,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// Into which groups.
    pub groups: Vec<GroupId>,
    /// Until when it is good.
    pub expires_at: UnixMillis,
}

/// What whoever has an invitation's link may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationPreview {
    /// What the organisation is called.
    pub organisation: DisplayName,
    /// Who is invited.
    pub email: Email,
    /// As what.
    pub role: Role,
}

/// Who accepts an invitation.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// The id that they get if their address is new here.
    pub user: UserId,
    /// What they are called if their address is new here.
    pub name: DisplayName,
    /// As whom the browser is signed in, if it is.
    pub signed_in_as: Option<UserId>,
    /// The login that they get if they are not.
    pub login: NewLoginSession,
}

/// What accepting an invitation gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// A membership and a login.
    SignedIn(LoginSession),
    /// A membership; they were signed in before.
    Joined(OrganisationId),
    /// Nothing: the person is a member elsewhere, and has to sign in first. The invitation stays good.
    SignInFirst(Email),
}

impl Store {
    /// Invites somebody; an earlier invitation of theirs is void. Refused as in [`may_invite`], which is audited.
    /// [`StoreError::Taken`] if they are a member, [`StoreError::Missing`] if there is no such group. Cancel safe.
    pub async fn create_invitation(
        &self,
        new: &NewInvitation,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<Result<(), ChangeRefused>, StoreError> {
        let mut tx = self.begin().await?;
        lock_people(&mut tx, new.organisation).await?;
        let about = |action| {
            let event = NewEvent::new(action, new.organisation, by.clone(), now);
            event.detail("email", new.email.as_str()).detail("role", new.role.slug())
        };
        let invited_by = match inviter(changed_by(&mut tx, new.organisation, by).await?, new.role) {
            Ok(inviter) => inviter,
            Err(refused) => {
                let event = about(Action::AccessRefused).outcome(Outcome::Refused).detail("asked", "invite");
                append(&mut tx, &event.detail("reason", refused.sentence())).await?;
                self.commit_audited(tx).await?;
                return Ok(Err(refused));
            }
        };
        refuse_members(&mut tx, new).await?;
        refuse_unknown_groups(&mut tx, new).await?;
        execute!(
            tx.on(),
            "UPDATE invitations SET revoked_at = $3
             WHERE organisation_id = $1 AND email = $2 AND used_at IS NULL AND revoked_at IS NULL",
            new.organisation.as_uuid(),
            new.email.as_str(),
            now.get(),
        )?;
        insert(&mut tx, new, invited_by, now).await?;
        let event = about(Action::InvitationCreated).detail("invitation", new.id.to_string());
        append(&mut tx, &event.detail("expires_at", new.expires_at.to_string())).await?;
        self.commit_audited(tx).await?;
        Ok(Ok(()))
    }

    /// The organisation's invitations that nobody has accepted or revoked, oldest first, those that have expired included.
    /// Cancel safe.
    pub async fn list_invitations(
        &self,
        organisation: OrganisationId,
        page: PageRequest,
    ) -> Result<Page<Invitation>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            InvitationRow,
            "SELECT id, email, role, group_ids, created_at, expires_at FROM invitations
             WHERE organisation_id = $1 AND used_at IS NULL AND revoked_at IS NULL AND ($2 IS NULL OR id > $2)
             ORDER BY id LIMIT $3",
            organisation.as_uuid(),
            page.after(),
            page.limit(),
        )?;
        page.read(List::Invitations, rows, Invitation::try_from, |invitation| invitation.id.as_uuid())
    }

    /// Revokes an invitation; false if there was none to revoke. Cancel safe.
    pub async fn revoke_invitation(
        &self,
        organisation: OrganisationId,
        id: InvitationId,
        by: &Origin,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoked = fetch_optional!(
            tx.on(),
            (String,),
            "UPDATE invitations SET revoked_at = $3
             WHERE organisation_id = $1 AND id = $2 AND used_at IS NULL AND revoked_at IS NULL RETURNING email",
            organisation.as_uuid(),
            id.as_uuid(),
            now.get(),
        )?;
        let Some((email,)) = revoked else {
            return Ok(false);
        };
        let event = NewEvent::new(Action::InvitationRevoked, organisation, by.clone(), now);
        append(&mut tx, &event.detail("invitation", id.to_string()).detail("email", email)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// What an invitation is about, while it is good; nothing is used up and nothing audited. Cancel safe.
    pub async fn preview_invitation(
        &self,
        hash: &TokenHash,
        now: UnixMillis,
    ) -> Result<Redemption<InvitationPreview>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (String, String, String),
            "SELECT o.name, i.email, i.role FROM invitations i JOIN organisations o ON o.id = i.organisation_id
             WHERE i.hash = $1 AND i.used_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $2
                 AND o.suspended_at IS NULL",
            hash.as_bytes().as_slice(),
            now.get(),
        )?;
        let Some((organisation, email, role)) = row else {
            let found = fetch_optional!(self.reader(), Unredeemed, unredeemed_sql(), hash.as_bytes().as_slice())?;
            return Ok(Unredeemed::explain(found, now.get()));
        };
        Ok(Redemption::Redeemed(InvitationPreview {
            organisation: parse("organisations.name", &organisation)?,
            email: parse("invitations.email", &email)?,
            role: known("invitations.role", Role::from_slug(&role))?,
        }))
    }

    /// Turns an invitation into a membership, exactly once however many present it, and signs in where that can open
    /// nothing else. Both outcomes are audited. Cancel safe.
    pub async fn accept_invitation(
        &self,
        hash: &TokenHash,
        who: &Acceptance,
        now: UnixMillis,
    ) -> Result<Redemption<Accepted>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(invitation) = redeem(&mut tx, hash, now).await? else {
            let refused = refused(&mut tx, hash, &who.login.client, now).await?;
            self.commit_audited(tx).await?;
            return Ok(refused);
        };
        let organisation = OrganisationId::from_uuid(invitation.organisation_id);
        let guest = guest(&mut tx, &invitation.email, who, now).await?;
        if guest.needs_to_sign_in(who.signed_in_as) {
            // The transaction is rolled back: the invitation waits.
            return Ok(Redemption::Redeemed(Accepted::SignInFirst(parse("invitations.email", &invitation.email)?)));
        }
        if guest.suspended {
            return Ok(Redemption::Withdrawn);
        }
        join(&mut tx, &invitation, guest.user, now).await?;
        let event =
            NewEvent::new(Action::MemberJoined, organisation, Origin::user(guest.user, who.login.client.clone()), now);
        let event = event.detail("invitation", invitation.id.to_string()).detail("role", invitation.role);
        append(&mut tx, &event).await?;
        if who.signed_in_as == Some(guest.user) {
            self.commit_audited(tx).await?;
            return Ok(Redemption::Redeemed(Accepted::Joined(organisation)));
        }
        match sign_in(&mut tx, (organisation, guest.user), &who.login, now).await? {
            Ok(login) => {
                self.commit_audited(tx).await?;
                Ok(Redemption::Redeemed(Accepted::SignedIn(login)))
            }
            Err(_) => Ok(Redemption::Withdrawn),
        }
    }
}

/// Who is to be noted as the inviter, or why they may not.
fn inviter(by: ChangedBy, invited: Role) -> Result<Option<UserId>, ChangeRefused> {
    match by {
        ChangedBy::Operator => Ok(None),
        ChangedBy::Member(member) => {
            let member = member.filter(|member| !member.suspended).ok_or(ChangeRefused::NotAllowed)?;
            may_invite(member.role, invited)?;
            Ok(Some(member.user))
        }
    }
}

async fn refuse_members(tx: &mut Tx, new: &NewInvitation) -> Result<(), StoreError> {
    let member = fetch_optional!(
        tx.on(),
        (i64,),
        "SELECT COUNT(*) FROM memberships m JOIN users u ON u.id = m.user_id
         WHERE m.organisation_id = $1 AND u.email = $2",
        new.organisation.as_uuid(),
        new.email.as_str(),
    )?;
    if member == Some((0,)) { Ok(()) } else { Err(StoreError::Taken("a member with this address")) }
}

async fn refuse_unknown_groups(tx: &mut Tx, new: &NewInvitation) -> Result<(), StoreError> {
    for group in &new.groups {
        let found = fetch_optional!(
            tx.on(),
            (i64,),
            "SELECT COUNT(*) FROM user_groups WHERE organisation_id = $1 AND id = $2",
            new.organisation.as_uuid(),
            group.as_uuid(),
        )?;
        if found != Some((1,)) {
            return Err(StoreError::Missing("the group"));
        }
    }
    Ok(())
}

async fn insert(
    tx: &mut Tx,
    new: &NewInvitation,
    invited_by: Option<UserId>,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let groups: Vec<String> = new.groups.iter().map(GroupId::to_string).collect();
    execute!(
        tx.on(),
        "INSERT INTO invitations (id, hash, organisation_id, email, role, group_ids, invited_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id.as_uuid(),
        new.hash.as_bytes().as_slice(),
        new.organisation.as_uuid(),
        new.email.as_str(),
        new.role.slug(),
        serde_json::json!(groups).to_string(),
        invited_by.map(|user| user.as_uuid()),
        now.get(),
        new.expires_at.get(),
    )?;
    Ok(())
}

/// Reads an invitation that could not be redeemed.
const fn unredeemed_sql() -> &'static str {
    "SELECT expires_at, COALESCE(used_at, revoked_at) AS used_at FROM invitations WHERE hash = $1"
}

#[derive(sqlx::FromRow)]
struct Redeemed {
    id: Uuid,
    organisation_id: Uuid,
    email: String,
    role: String,
    group_ids: String,
}

async fn redeem(tx: &mut Tx, hash: &TokenHash, now: UnixMillis) -> Result<Option<Redeemed>, StoreError> {
    Ok(fetch_optional!(
        tx.on(),
        Redeemed,
        "UPDATE invitations SET used_at = $2
         WHERE hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2 AND EXISTS (
             SELECT 1 FROM organisations o WHERE o.id = invitations.organisation_id AND o.suspended_at IS NULL)
         RETURNING id, organisation_id, email, role, group_ids",
        hash.as_bytes().as_slice(),
        now.get(),
    )?)
}

/// Audits that an invitation was no good, and says why.
async fn refused(
    tx: &mut Tx,
    hash: &TokenHash,
    client: &ClientInfo,
    now: UnixMillis,
) -> Result<Redemption<Accepted>, StoreError> {
    let found = fetch_optional!(tx.on(), Unredeemed, unredeemed_sql(), hash.as_bytes().as_slice())?;
    let refused = Unredeemed::explain(found, now.get());
    let whose = fetch_optional!(
        tx.on(),
        (Uuid, Uuid),
        "SELECT organisation_id, id FROM invitations WHERE hash = $1",
        hash.as_bytes().as_slice(),
    )?;
    let organisation = whose.map_or(NO_ORGANISATION, |(organisation, _)| OrganisationId::from_uuid(organisation));
    let event = NewEvent::new(Action::SignInRefused, organisation, Origin::unknown(client.clone()), now);
    let event = event.outcome(Outcome::Refused).detail("method", "invitation").detail("reason", refused.slug());
    let event = match whose {
        Some((_, id)) => event.detail("invitation", id.to_string()),
        None => event,
    };
    append(tx, &event).await?;
    Ok(refused)
}

/// Whom an invitation is for.
#[derive(Debug, Clone, Copy)]
struct Guest {
    user: UserId,
    /// Whether they are a member of any organisation.
    elsewhere: bool,
    suspended: bool,
}

impl Guest {
    fn needs_to_sign_in(self, signed_in_as: Option<UserId>) -> bool {
        self.elsewhere && signed_in_as != Some(self.user)
    }
}

/// Finds the person of an address; makes them if they are new.
async fn guest(tx: &mut Tx, email: &str, who: &Acceptance, now: UnixMillis) -> Result<Guest, StoreError> {
    execute!(
        tx.on(),
        "INSERT INTO users (id, email, name, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (email) DO NOTHING",
        who.user.as_uuid(),
        email,
        who.name.as_str(),
        now.get(),
    )?;
    let row = fetch_optional!(
        tx.on(),
        (Uuid, Option<i64>, i64),
        "SELECT u.id, u.suspended_at, (SELECT COUNT(*) FROM memberships m WHERE m.user_id = u.id)
         FROM users u WHERE u.email = $1",
        email,
    )?;
    let (user, suspended_at, memberships) = known("users", row)?;
    Ok(Guest { user: UserId::from_uuid(user), elsewhere: memberships > 0, suspended: suspended_at.is_some() })
}

/// Makes a person a member, and puts them into those of the invitation's groups that there still are.
async fn join(tx: &mut Tx, invitation: &Redeemed, user: UserId, now: UnixMillis) -> Result<(), StoreError> {
    execute!(
        tx.on(),
        "INSERT INTO memberships (organisation_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        invitation.organisation_id,
        user.as_uuid(),
        invitation.role.as_str(),
        now.get(),
    )?;
    for group in groups(&invitation.group_ids)? {
        execute!(
            tx.on(),
            "INSERT INTO group_members (group_id, organisation_id, user_id, source, created_at)
             SELECT id, organisation_id, $3, $4, $5 FROM user_groups WHERE organisation_id = $1 AND id = $2
             ON CONFLICT DO NOTHING",
            invitation.organisation_id,
            group.as_uuid(),
            user.as_uuid(),
            MemberSource::Manual.slug(),
            now.get(),
        )?;
    }
    Ok(())
}

fn groups(stored: &str) -> Result<Vec<GroupId>, StoreError> {
    let corrupt = || StoreError::Corrupt("invitations.group_ids");
    let ids: Vec<String> = serde_json::from_str(stored).map_err(|_| corrupt())?;
    ids.iter().map(|id| id.parse().map_err(|_| corrupt())).collect()
}

#[derive(sqlx::FromRow)]
struct InvitationRow {
    id: Uuid,
    email: String,
    role: String,
    group_ids: String,
    created_at: i64,
    expires_at: i64,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: InvitationId::from_uuid(row.id),
            email: parse("invitations.email", &row.email)?,
            role: known("invitations.role", Role::from_slug(&row.role))?,
            groups: groups(&row.group_ids)?,
            created_at: UnixMillis::new(row.created_at),
            expires_at: UnixMillis::new(row.expires_at),
        })
    }
}
