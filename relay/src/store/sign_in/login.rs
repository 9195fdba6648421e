//! From a proof of who somebody is to a login.

use podlatch_protocol::id::{LoginSessionId, OrganisationId, UserId};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NO_ORGANISATION, NewEvent, Origin, Outcome};
use crate::domain::login::LoginMethod;
use crate::domain::organisation::LoginSession;
use crate::domain::sign_in::ArrivalRefusal;
use crate::store::audit::append;
use crate::store::engine::fetch_optional;
use crate::store::login_sessions::sign_in;
use crate::store::rows::known;
use crate::store::{NewLoginSession, Store, StoreError, Tx};

/// Somebody who has proven who they are.
#[derive(Debug, Clone, Copy)]
pub struct SignInAs {
    /// Who.
    pub user: UserId,
    /// Where; unless given, where they signed in last.
    pub organisation: Option<OrganisationId>,
}

/// Why somebody who has proven who they are is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInRefusal {
    /// They are no member, or suspended: themselves, in the organisation, or the organisation.
    NoPlace,
    /// What the organisation says about its provider's people.
    Arrival(ArrivalRefusal),
}

impl SignInRefusal {
    /// The stable name, for the audit log and the console.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::NoPlace => "no_place",
            Self::Arrival(why) => why.slug(),
        }
    }
}

impl Store {
    /// Begins a login of somebody who has proven who they are, unless they or their place are suspended or gone. Both
    /// outcomes are audited. Cancel safe.
    pub async fn sign_in_as(
        &self,
        who: SignInAs,
        login: &NewLoginSession,
        now: UnixMillis,
    ) -> Result<Result<LoginSession, SignInRefusal>, StoreError> {
        let mut tx = self.begin().await?;
        let outcome = begin_login(&mut tx, who, login, now).await?;
        self.commit_audited(tx).await?;
        Ok(outcome)
    }

    /// Notes that somebody was not let in. `whose` is the account that was meant, where that is known. Cancel safe.
    pub async fn note_refused_sign_in(
        &self,
        whose: Option<(OrganisationId, Option<UserId>)>,
        reason: &'static str,
        (login, now): (&NewLoginSession, UnixMillis),
    ) -> Result<(), StoreError> {
        self.append_audit(&refused(whose, reason, login, now)).await.map(drop)
    }
}

/// The same within a transaction that does more.
pub(super) async fn begin_login(
    tx: &mut Tx,
    who: SignInAs,
    login: &NewLoginSession,
    now: UnixMillis,
) -> Result<Result<LoginSession, SignInRefusal>, StoreError> {
    let Some((organisation,)) = place(tx, who).await? else {
        let whose = who.organisation.map(|organisation| (organisation, Some(who.user)));
        append(tx, &refused(whose, SignInRefusal::NoPlace.slug(), login, now)).await?;
        return Ok(Err(SignInRefusal::NoPlace));
    };
    let whose = (OrganisationId::from_uuid(organisation), who.user);
    // The place was found by the same conditions in the same transaction.
    Ok(sign_in(tx, whose, login, now).await?.map_err(|_| SignInRefusal::NoPlace))
}

/// Where a login leads: to the organisation that was asked for, else where the person signed in last.
async fn place(tx: &mut Tx, who: SignInAs) -> Result<Option<(Uuid,)>, StoreError> {
    let organisation = who.organisation.map(|organisation| organisation.as_uuid());
    Ok(fetch_optional!(
        tx.on(),
        (Uuid,),
        "SELECT m.organisation_id FROM memberships m
         JOIN users u ON u.id = m.user_id JOIN organisations o ON o.id = m.organisation_id
         WHERE m.user_id = $1 AND ($2 IS NULL OR m.organisation_id = $2)
           AND m.suspended_at IS NULL AND u.suspended_at IS NULL AND o.suspended_at IS NULL
         ORDER BY COALESCE((SELECT MAX(l.created_at) FROM login_sessions l
             WHERE l.organisation_id = m.organisation_id AND l.user_id = m.user_id AND l.kind = 'browser'), 0) DESC,
             m.organisation_id
         LIMIT 1",
        who.user.as_uuid(),
        organisation,
    )?)
}

pub(super) fn refused(
    whose: Option<(OrganisationId, Option<UserId>)>,
    reason: &'static str,
    login: &NewLoginSession,
    now: UnixMillis,
) -> NewEvent {
    let (organisation, user) = whose.unwrap_or((NO_ORGANISATION, None));
    let event = NewEvent::new(Action::SignInRefused, organisation, Origin::unknown(login.client.clone()), now)
        .outcome(Outcome::Refused)
        .detail("method", login.method.slug())
        .detail("reason", reason);
    match user {
        Some(user) => event.about(user),
        None => event,
    }
}

/// How and when a login began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginProof {
    /// How.
    pub method: LoginMethod,
    /// When.
    pub at: UnixMillis,
}

impl Store {
    /// In whose log a refusal of somebody is noted: where they signed in last. `None` where there is nobody. Cancel safe.
    pub async fn log_of(&self, user: Option<UserId>) -> Result<Option<(OrganisationId, Option<UserId>)>, StoreError> {
        // Asked for nobody too: how long the answer takes must not tell who has an account.
        let row = fetch_optional!(
            self.reader(),
            (Uuid,),
            "SELECT m.organisation_id FROM memberships m WHERE m.user_id = $1
             ORDER BY COALESCE((SELECT MAX(l.created_at) FROM login_sessions l
                 WHERE l.organisation_id = m.organisation_id AND l.user_id = m.user_id AND l.kind = 'browser'), 0) DESC,
                 m.organisation_id
             LIMIT 1",
            user.map_or(Uuid::nil(), |user| user.as_uuid()),
        )?;
        Ok(row.map(|(organisation,)| (OrganisationId::from_uuid(organisation), user)))
    }

    /// How and when a login began. Cancel safe.
    pub async fn login_proof(
        &self,
        organisation: OrganisationId,
        id: LoginSessionId,
    ) -> Result<Option<LoginProof>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (String, i64),
            "SELECT method, created_at FROM login_sessions WHERE id = $1 AND organisation_id = $2",
            id.as_uuid(),
            organisation.as_uuid(),
        )?;
        row.map(|(method, at)| {
            let method = known("login_sessions.method", LoginMethod::from_slug(&method))?;
            Ok(LoginProof { method, at: UnixMillis::new(at) })
        })
        .transpose()
    }
}
