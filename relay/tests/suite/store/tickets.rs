use std::time::Duration;

use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_relay::auth::token::{TokenHash, TokenKind};
use podlatch_relay::domain::access::Actor;
use podlatch_relay::domain::access::right::{LoginKind, LoginStanding};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::session::{NewSession, Purpose, Ticket};
use podlatch_relay::store::{NewTicket, Redemption, StoreError};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    a_ticket_attaches_exactly_once_however_many_present_it,
    a_ticket_that_is_unknown_used_or_expired_says_so,
    a_ticket_for_another_session_is_unknown_and_stays_good,
    a_ticket_dies_with_its_login,
    a_ticket_is_for_what_it_was_given,
    what_an_observers_right_depends_on_is_the_observers_own,
    a_ticket_for_a_foreign_session_is_not_made,
    old_tickets_are_forgotten,
);

async fn a_ticket_attaches_exactly_once_however_many_present_it(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let hash = issue(&at, &actor, session.id).await;
    let presenters: Vec<_> = (0..16)
        .map(|_| {
            let (store, id) = (at.store.clone(), session.id);
            tokio::spawn(async move { store.redeem_ticket(&hash, id, START).await.expect("answers") })
        })
        .collect();
    let mut redeemed = Vec::new();
    for presenter in presenters {
        match presenter.await.expect("joins") {
            Redemption::Redeemed(ticket) => redeemed.push(ticket),
            other => assert_eq!(other, Redemption::Used),
        }
    }
    assert_eq!(redeemed, vec![ticket(&actor, session.id)]);
}

async fn a_ticket_that_is_unknown_used_or_expired_says_so(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let (hash, unknown) = (issue(&at, &actor, session.id).await, at.token(TokenKind::Ticket));
    let redeem = async |hash, now| at.store.redeem_ticket(hash, session.id, now).await.expect("answers");
    assert_eq!(redeem(&unknown, START).await, Redemption::Unknown);
    assert_eq!(redeem(&hash, SOON).await, Redemption::Expired);
    assert!(redeem(&hash, START).await.redeemed().is_some());
    assert_eq!(redeem(&hash, START).await, Redemption::Used);
}

async fn a_ticket_for_another_session_is_unknown_and_stays_good(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let hash = issue(&at, &actor, session.id).await;
    let other = SessionId::new(1, &[0; 10]);
    assert_eq!(at.store.redeem_ticket(&hash, other, START).await.expect("answers"), Redemption::Unknown);
    assert!(at.store.redeem_ticket(&hash, session.id, START).await.expect("answers").redeemed().is_some());
}

async fn a_ticket_dies_with_its_login(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let hash = issue(&at, &actor, session.id).await;
    at.store
        .revoke_login_session(actor.organisation, actor.login_session, &Origin::operator(), START)
        .await
        .expect("answers");
    assert_eq!(at.store.redeem_ticket(&hash, session.id, START).await.expect("answers"), Redemption::Withdrawn);
}

async fn a_ticket_is_for_what_it_was_given(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    for purpose in [Purpose::Attach, Purpose::Observe] {
        let mut new = new_ticket(&at, &actor, session.id);
        new.ticket.purpose = purpose;
        at.store.issue_ticket(&new, START).await.expect("issues");
        let redeemed = at.store.redeem_ticket(&new.hash, session.id, START).await.expect("answers").redeemed();
        assert_eq!(redeemed.map(|ticket| ticket.purpose), Some(purpose));
    }
}

async fn what_an_observers_right_depends_on_is_the_observers_own(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let own = ticket(&actor, session.id);
    let rights = async |ticket: &Ticket| at.store.observer_rights(ticket, START).await.expect("answers");
    let found = rights(&own).await.expect("is live");
    assert_eq!((found.session, found.user, found.login), (session.id, actor.user, LoginStanding::Good));
    assert!(found.membership.is_some());

    // Somebody of another organisation: neither in their own organisation nor in the session's do they find it.
    let stranger = Actor::from(&at.signed_in(&at.owner("eve@example.net").await).await);
    let foreign = ticket(&stranger, session.id);
    assert!(rights(&foreign).await.is_none());
    let posing = Ticket { organisation: actor.organisation, ..foreign };
    assert!(rights(&posing).await.is_none(), "their login is of another organisation");

    let origin = Origin::operator();
    at.store.revoke_login_session(actor.organisation, actor.login_session, &origin, START).await.expect("answers");
    let found = rights(&own).await.expect("is live");
    assert_eq!(found.login, LoginStanding::Revoked(LoginKind::Browser));
}

async fn a_ticket_for_a_foreign_session_is_not_made(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let mut foreign = new_ticket(&at, &actor, session.id);
    foreign.ticket.organisation = OrganisationId::new(1, &[0; 10]);
    assert!(matches!(at.store.issue_ticket(&foreign, START).await, Err(StoreError::Missing(_))));
}

async fn old_tickets_are_forgotten(at: Fixture) {
    let (actor, session) = actor_and_session(&at).await;
    let old = issue(&at, &actor, session.id).await;
    let later = EXPIRY.plus(Duration::from_hours(1));
    let new = NewTicket { expires_at: later.plus(Duration::from_secs(30)), ..new_ticket(&at, &actor, session.id) };
    at.store.issue_ticket(&new, later).await.expect("issues");
    assert_eq!(at.store.redeem_ticket(&old, session.id, later).await.expect("answers"), Redemption::Unknown);
}

async fn actor_and_session(at: &Fixture) -> (Actor, NewSession) {
    let actor = at.actor().await;
    let agent = at.agent(&at.cluster(actor.organisation).await).await;
    let session = at.session(&actor, &agent).await;
    (actor, session)
}

fn ticket(actor: &Actor, session: SessionId) -> Ticket {
    let Actor { organisation, user, login_session, .. } = *actor;
    Ticket { organisation, session, user, login_session, purpose: Purpose::Attach }
}

fn new_ticket(at: &Fixture, actor: &Actor, session: SessionId) -> NewTicket {
    let expires_at = START.plus(Duration::from_secs(30));
    NewTicket { hash: at.token(TokenKind::Ticket), ticket: ticket(actor, session), expires_at }
}

async fn issue(at: &Fixture, actor: &Actor, session: SessionId) -> TokenHash {
    let new = new_ticket(at, actor, session);
    at.store.issue_ticket(&new, START).await.expect("issues");
    new.hash
}
