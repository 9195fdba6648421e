//! Who somebody is at an organisation's provider, and what the provider's word makes of them there.

use std::collections::BTreeSet;

use podlatch_protocol::id::{GroupId, OrganisationId, UserId};
use uuid::Uuid;

use super::login::{SignInAs, SignInRefusal, begin_login, refused};
use super::providers::SignInProvider;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::name::{DisplayName, Email};
use crate::domain::organisation::{LoginSession, Role};
use crate::domain::sign_in::{Arrival, ArrivalFacts, ClaimedEmail, Claims, KnownAccount, Membership, arrival};
use crate::store::audit::append;
use crate::store::engine::{execute, fetch_all, fetch_optional};
use crate::store::rows::known;
use crate::store::{NewLoginSession, Store, StoreError, Tx};

/// Somebody whom a provider has named, its word checked.
#[derive(Debug, Clone)]
pub struct OidcSignIn<'a> {
    /// Which provider.
    pub provider: &'a SignInProvider,
    /// What it said.
    pub claims: &'a Claims,
    /// Who was signed in when they set out, and asked to link the two.
    pub linking: Option<UserId>,
    /// The id that they get if they are new here.
    pub new_user: UserId,
}

impl Store {
    /// Lets in whom a provider has named, makes known who they are, and puts them into the groups that it says. Whatever
    /// comes of it is audited. Cancel safe.
    pub async fn sign_in_by_provider(
        &self,
        who: &OidcSignIn<'_>,
        login: &NewLoginSession,
        now: UnixMillis,
    ) -> Result<Result<LoginSession, SignInRefusal>, StoreError> {
        let mut tx = self.begin().await?;
        let outcome = let_in(&mut tx, who, login, now).await?;
        self.commit_audited(tx).await?;
        Ok(outcome)
    }
}

async fn let_in(
    tx: &mut Tx,
    who: &OidcSignIn<'_>,
    login: &NewLoginSession,
    now: UnixMillis,
) -> Result<Result<LoginSession, SignInRefusal>, StoreError> {
    let (organisation, settings) = (who.provider.organisation, &who.provider.settings);
    let facts = facts(tx, who, now).await?;
    let user = match arrival(settings, who.claims.email.as_ref(), &facts) {
        Err(why) => {
            let whose = facts.identity.or(facts.linking);
            let event = refused(Some((organisation, whose)), why.slug(), login, now);
            append(tx, &event.detail("provider", who.provider.id.to_string())).await?;
            return Ok(Err(SignInRefusal::Arrival(why)));
        }
        Ok(Arrival::Known(user) | Arrival::Linked(user)) => user,
        Ok(Arrival::Joins(user, role)) => {
            join(tx, who, (user, role), now).await?;
            user
        }
        Ok(Arrival::New(role)) => {
            create_user(tx, who, now).await?;
            join(tx, who, (who.new_user, role), now).await?;
            who.new_user
        }
    };
    let as_whom = SignInAs { user, organisation: Some(organisation) };
    let signed_in = match begin_login(tx, as_whom, login, now).await? {
        Ok(signed_in) => signed_in,
        Err(why) => return Ok(Err(why)),
    };
    let by = Origin::user(user, login.client.clone());
    remember(tx, who, user, &by, now).await?;
    put_into_groups(tx, (organisation, user), &settings.groups_of(who.claims), &by, now).await?;
    Ok(Ok(signed_in))
}

async fn facts(tx: &mut Tx, who: &OidcSignIn<'_>, now: UnixMillis) -> Result<ArrivalFacts, StoreError> {
    let organisation = who.provider.organisation.as_uuid();
    let identity = fetch_optional!(
        tx.on(),
        (Uuid,),
        "SELECT user_id FROM user_identities WHERE organisation_id = $1 AND issuer = $2 AND subject = $3",
        organisation,
        who.provider.issuer.as_str(),
        who.claims.subject.as_str(),
    )?;
    let identity = identity.map(|(user,)| UserId::from_uuid(user));
    let Some(ClaimedEmail::Verified(email)) = &who.claims.email else {
        return Ok(ArrivalFacts { identity, linking: who.linking, ..ArrivalFacts::default() });
    };
    let account = fetch_optional!(
        tx.on(),
        (Uuid, Option<Uuid>),
        "SELECT u.id, m.user_id FROM users u
         LEFT JOIN memberships m ON m.user_id = u.id AND m.organisation_id = $1 WHERE u.email = $2",
        organisation,
        email.as_str(),
    )?;
    let account = account.map(|(user, member)| KnownAccount {
        user: UserId::from_uuid(user),
        membership: member.map_or(Membership::Elsewhere, |_| Membership::Here),
    });
    let invited = invitation(tx, who.provider.organisation, email, now).await?.map(|invited| invited.role);
    Ok(ArrivalFacts { identity, linking: who.linking, account, invited })
}

async fn create_user(tx: &mut Tx, who: &OidcSignIn<'_>, now: UnixMillis) -> Result<(), StoreError> {
    let email = known("users.email", verified(who))?;
    let called = who.claims.name.as_deref().and_then(|name| name.parse::<DisplayName>().ok());
    let before_at = email.as_str().split('@').next().unwrap_or_default();
    execute!(
        tx.on(),
        "INSERT INTO users (id, email, name, created_at) VALUES ($1, $2, $3, $4)",
        who.new_user.as_uuid(),
        email.as_str(),
        called.as_ref().map_or(before_at, DisplayName::as_str),
        now.get(),
    )?;
    Ok(())
}

/// Makes somebody a member, and uses their invitation up.
async fn join(
    tx: &mut Tx,
    who: &OidcSignIn<'_>,
    (user, role): (UserId, Role),
    now: UnixMillis,
) -> Result<(), StoreError> {
    let organisation = who.provider.organisation;
    execute!(
        tx.on(),
        "INSERT INTO memberships (organisation_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)",
        organisation.as_uuid(),
        user.as_uuid(),
        role.slug(),
        now.get(),
    )?;
    let email = known("users.email", verified(who))?;
    use_invitation(tx, (organisation, user), email, now).await
}

fn verified<'a>(who: &OidcSignIn<'a>) -> Option<&'a Email> {
    match &who.claims.email {
        Some(ClaimedEmail::Verified(email)) => Some(email),
        Some(ClaimedEmail::Unverified) | None => None,
    }
}

async fn remember(
    tx: &mut Tx,
    who: &OidcSignIn<'_>,
    user: UserId,
    by: &Origin,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let organisation = who.provider.organisation;
    let (issuer, subject) = (who.provider.issuer.as_str(), who.claims.subject.as_str());
    let seen = execute!(
        tx.on(),
        "UPDATE user_identities SET last_used_at = $4 WHERE organisation_id = $1 AND issuer = $2 AND subject = $3",
        organisation.as_uuid(),
        issuer,
        subject,
        now.get(),
    )?;
    if seen == 1 {
        return Ok(());
    }
    execute!(
        tx.on(),
        "INSERT INTO user_identities (organisation_id, issuer, subject, user_id, created_at, last_used_at)
         VALUES ($1, $2, $3, $4, $5, $5)",
        organisation.as_uuid(),
        issuer,
        subject,
        user.as_uuid(),
        now.get(),
    )?;
    let event = NewEvent::new(Action::IdentityLinked, organisation, by.clone(), now).about(user);
    append(tx, &event.detail("issuer", issuer).detail("subject", subject)).await?;
    Ok(())
}

/// Makes the groups that a provider speaks for what it says now; those that people gave stay.
async fn put_into_groups(
    tx: &mut Tx,
    (organisation, user): (OrganisationId, UserId),
    groups: &BTreeSet<GroupId>,
    by: &Origin,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let rows = fetch_all!(
        tx.on(),
        (Uuid,),
        "SELECT group_id FROM group_members WHERE organisation_id = $1 AND user_id = $2 AND source = 'oidc'",
        organisation.as_uuid(),
        user.as_uuid(),
    )?;
    let before: BTreeSet<GroupId> = rows.into_iter().map(|(group,)| GroupId::from_uuid(group)).collect();
    let mut added = Vec::new();
    for group in groups.difference(&before) {
        // A group that was deleted since it was mapped, or is another organisation's, is none.
        let done = execute!(
            tx.on(),
            "INSERT INTO group_members (group_id, organisation_id, user_id, source, created_at)
             SELECT id, organisation_id, $3, 'oidc', $4 FROM user_groups WHERE id = $1 AND organisation_id = $2",
            group.as_uuid(),
            organisation.as_uuid(),
            user.as_uuid(),
            now.get(),
        )?;
        if done == 1 {
            added.push(group.to_string());
        }
    }
    let removed: Vec<&GroupId> = before.difference(groups).collect();
    for group in &removed {
        execute!(
            tx.on(),
            "DELETE FROM group_members
             WHERE group_id = $1 AND organisation_id = $2 AND user_id = $3 AND source = 'oidc'",
            group.as_uuid(),
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
    }
    if !added.is_empty() || !removed.is_empty() {
        let removed: Vec<String> = removed.into_iter().map(ToString::to_string).collect();
        let event = NewEvent::new(Action::GroupsFromProvider, organisation, by.clone(), now).about(user);
        append(tx, &event.detail("added", added).detail("removed", removed)).await?;
    }
    Ok(())
}

struct Invited {
    id: Uuid,
    role: Role,
    groups: Vec<GroupId>,
}

/// The newest invitation of an address that is still good.
async fn invitation(
    tx: &mut Tx,
    organisation: OrganisationId,
    email: &Email,
    now: UnixMillis,
) -> Result<Option<Invited>, StoreError> {
    let row = fetch_optional!(
        tx.on(),
        (Uuid, String, String),
        "SELECT id, role, group_ids FROM invitations
         WHERE organisation_id = $1 AND email = $2 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $3
         ORDER BY id DESC LIMIT 1",
        organisation.as_uuid(),
        email.as_str(),
        now.get(),
    )?;
    row.map(|(id, role, groups)| {
        let groups = serde_json::from_str(&groups).map_err(|_| StoreError::Corrupt("invitations.group_ids"))?;
        Ok(Invited { id, role: known("invitations.role", Role::from_slug(&role))?, groups })
    })
    .transpose()
}

/// Uses up the invitation of an address, if there is one: its groups are the person's from now on.
async fn use_invitation(
    tx: &mut Tx,
    (organisation, user): (OrganisationId, UserId),
    email: &Email,
    now: UnixMillis,
) -> Result<(), StoreError> {
    let Some(invited) = invitation(tx, organisation, email, now).await? else {
        return Ok(());
    };
    execute!(
        tx.on(),
        "UPDATE invitations SET used_at = $3 WHERE id = $1 AND organisation_id = $2",
        invited.id,
        organisation.as_uuid(),
        now.get(),
    )?;
    for group in invited.groups {
        execute!(
            tx.on(),
            "INSERT INTO group_members (group_id, organisation_id, user_id, source, created_at)
             SELECT id, organisation_id, $3, 'manual', $4 FROM user_groups WHERE id = $1 AND organisation_id = $2
             ON CONFLICT DO NOTHING",
            group.as_uuid(),
            organisation.as_uuid(),
            user.as_uuid(),
            now.get(),
        )?;
    }
    Ok(())
}
