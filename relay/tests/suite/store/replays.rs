use podlatch_protocol::id::{OrganisationId, SessionId, UserId};
use podlatch_relay::auth::token::{TokenHash, TokenKind};
use podlatch_relay::domain::access::{Actor, AuditScope};
use podlatch_relay::domain::audit::{Action, NewEvent, Origin, Place};
use podlatch_relay::domain::organisation::ClientInfo;
use podlatch_relay::store::{AuditFilter, NewReplay, StoreError};

use super::fixture::{EXPIRY, Fixture, START};
use super::on_both_engines;

on_both_engines!(
    a_replay_is_one_persons_for_one_session_until_it_expires,
    a_replay_of_a_foreign_session_is_neither_opened_nor_audited,
);

async fn a_replay_is_one_persons_for_one_session_until_it_expires(at: Fixture) {
    let (organisation, user, session) = session(&at, "ada@example.org").await;
    let hash = at.token(TokenKind::Replay);
    open(&at, hash, organisation, session, user).await.expect("opens");
    let may = async |organisation, session, user, now| {
        at.store.may_replay(organisation, session, user, &hash, now).await.expect("answers")
    };
    assert!(may(organisation, session, user, START).await);
    assert!(!may(OrganisationId::new(1, &[0; 10]), session, user, START).await);
    assert!(!may(organisation, SessionId::new(1, &[0; 10]), user, START).await);
    assert!(!may(organisation, session, UserId::new(1, &[0; 10]), START).await);
    assert!(!may(organisation, session, user, EXPIRY).await);
    let other = at.token(TokenKind::Replay);
    assert!(!at.store.may_replay(organisation, session, user, &other, START).await.expect("answers"));
    assert_eq!(replays(&at, organisation).await, 1);
}

async fn a_replay_of_a_foreign_session_is_neither_opened_nor_audited(at: Fixture) {
    let (organisation, user, _) = session(&at, "ada@example.org").await;
    let (_, _, foreign) = session(&at, "bob@example.org").await;
    let hash = at.token(TokenKind::Replay);
    let opened = open(&at, hash, organisation, foreign, user).await;
    assert!(matches!(opened, Err(StoreError::Missing(_))));
    assert!(!at.store.may_replay(organisation, foreign, user, &hash, START).await.expect("answers"));
    assert_eq!(replays(&at, organisation).await, 0);
}

async fn open(
    at: &Fixture,
    hash: TokenHash,
    organisation: OrganisationId,
    session: SessionId,
    user: UserId,
) -> Result<(), StoreError> {
    let origin = Origin::user(user, ClientInfo::default());
    let event = NewEvent::new(Action::Replay, organisation, origin, START).at(Place::Session(session));
    at.store.open_replay(&NewReplay { hash, organisation, session, user, expires_at: EXPIRY }, &event).await
}

async fn session(at: &Fixture, email: &str) -> (OrganisationId, UserId, SessionId) {
    let owner = at.owner(email).await;
    let actor = Actor::from(&at.signed_in(&owner).await);
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    (actor.organisation, actor.user, at.session(&actor, &agent).await.id)
}

async fn replays(at: &Fixture, organisation: OrganisationId) -> usize {
    let everything = AuditFilter::everything(organisation, AuditScope::All);
    let filter = AuditFilter { action: Some(Action::Replay), ..everything };
    at.store.audit_run(&filter, 0, 100).await.expect("answers").items.len()
}
