use podlatch_protocol::id::LoginSessionId;
use podlatch_relay::auth::token::TokenKind;
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::organisation::Role;
use podlatch_relay::store::{NewSignInLink, Page, PageRequest, Redemption, StoreError};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    an_organisation_begins_with_its_owner,
    a_known_person_owns_a_second_organisation_under_their_own_name,
    a_sign_in_link_signs_in_exactly_once_however_many_present_it,
    a_sign_in_link_that_is_unknown_used_or_expired_says_so,
    a_link_for_a_stranger_is_not_made,
    a_cookie_is_good_until_it_is_revoked,
    a_cookie_is_good_until_it_expires,
    a_login_session_is_found_in_its_own_organisation_only,
    organisations_come_in_pages,
);

async fn an_organisation_begins_with_its_owner(at: Fixture) {
    let owner = at.owner("Ada@Example.org").await;
    assert_eq!(owner.role, Role::Owner);
    assert_eq!(owner.user.email.as_str(), "ada@example.org");
    assert_eq!(at.store.memberships_of(&owner.user.email).await.expect("answers"), vec![owner.clone()]);
    assert_eq!(at.store.get_organisation(owner.organisation.id).await.expect("answers"), Some(owner.organisation));
}

async fn a_known_person_owns_a_second_organisation_under_their_own_name(at: Fixture) {
    let first = at.owner("ada@example.org").await;
    let second = at.owner("ada@example.org").await;
    assert_eq!(first.user, second.user);
    assert_ne!(first.organisation.id, second.organisation.id);
    assert_eq!(at.store.organisations_named(&first.organisation.name).await.expect("answers").len(), 2);
}

async fn a_sign_in_link_signs_in_exactly_once_however_many_present_it(at: Fixture) {
    let owner = at.owner("ada@example.org").await;
    let link = at.sign_in_link(&owner).await;
    let presenters: Vec<_> = (0..16)
        .map(|_| {
            let (store, login) = (at.store.clone(), at.new_login());
            tokio::spawn(async move {
                let outcome = store.redeem_sign_in_link(&link, &login, SOON).await.expect("answers");
                (login.hash, outcome)
            })
        })
        .collect();
    let mut signed_in = 0;
    for presenter in presenters {
        let (cookie, outcome) = presenter.await.expect("joins");
        let login = at.store.login_session_by_cookie(&cookie, SOON).await.expect("answers");
        match outcome {
            Redemption::Redeemed(session) => {
                signed_in += 1;
                assert_eq!(session.membership, owner);
                assert_eq!(login, Some(session));
            }
            other => assert_eq!((other, login), (Redemption::Used, None)),
        }
    }
    assert_eq!(signed_in, 1);
}

async fn a_sign_in_link_that_is_unknown_used_or_expired_says_so(at: Fixture) {
    let owner = at.owner("ada@example.org").await;
    let unknown = at.token(TokenKind::SignInLink);
    let link = at.sign_in_link(&owner).await;
    let redeem = async |hash, now| at.store.redeem_sign_in_link(hash, &at.new_login(), now).await.expect("answers");
    assert_eq!(redeem(&unknown, SOON).await, Redemption::Unknown);
    assert_eq!(redeem(&link, EXPIRY).await, Redemption::Expired);
    assert!(redeem(&link, SOON).await.redeemed().is_some(), "asking too late does not use it up");
    assert_eq!(redeem(&link, EXPIRY).await, Redemption::Used);
}

async fn a_link_for_a_stranger_is_not_made(at: Fixture) {
    let (ada, bob) = (at.owner("ada@example.org").await, at.owner("bob@example.org").await);
    let new = NewSignInLink {
        hash: at.token(TokenKind::SignInLink),
        organisation: ada.organisation.id,
        user: bob.user.id,
        expires_at: EXPIRY,
    };
    assert!(matches!(
        at.store.create_sign_in_link(&new, &Origin::operator(), START).await,
        Err(StoreError::Missing(_))
    ));
}

async fn a_cookie_is_good_until_it_is_revoked(at: Fixture) {
    let (login, cookie) = login_with_cookie(&at).await;
    let organisation = login.membership.organisation.id;
    assert!(at.store.login_session(organisation, login.id, SOON).await.expect("answers").is_some());
    assert!(at.store.revoke_login_session(organisation, login.id, &Origin::operator(), SOON).await.expect("answers"));
    assert!(
        !at.store.revoke_login_session(organisation, login.id, &Origin::operator(), SOON).await.expect("answers"),
        "only once"
    );
    assert_eq!(at.store.login_session_by_cookie(&cookie, SOON).await.expect("answers"), None);
    assert_eq!(at.store.login_session(organisation, login.id, SOON).await.expect("answers"), None);
}

async fn a_cookie_is_good_until_it_expires(at: Fixture) {
    let (login, cookie) = login_with_cookie(&at).await;
    assert_eq!(at.store.login_session_by_cookie(&cookie, SOON).await.expect("answers"), Some(login));
    assert_eq!(at.store.login_session_by_cookie(&cookie, EXPIRY).await.expect("answers"), None);
}

async fn a_login_session_is_found_in_its_own_organisation_only(at: Fixture) {
    let (login, cookie) = login_with_cookie(&at).await;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    assert_eq!(at.store.login_session(elsewhere, login.id, SOON).await.expect("answers"), None);
    assert!(!at.store.revoke_login_session(elsewhere, login.id, &Origin::operator(), SOON).await.expect("answers"));
    assert!(at.store.login_session_by_cookie(&cookie, SOON).await.expect("answers").is_some());
    let found = at.store.organisation_of_login_session(login.id).await.expect("answers");
    assert_eq!(found, Some(login.membership.organisation.id));
    let nobody = LoginSessionId::new(1, &[0; 10]);
    assert_eq!(at.store.organisation_of_login_session(nobody).await.expect("answers"), None);
}

async fn organisations_come_in_pages(at: Fixture) {
    for _ in 0..5 {
        at.owner("ada@example.org").await;
    }
    let all = at.store.list_organisations(PageRequest::default()).await.expect("lists");
    assert_eq!((all.items.len(), all.next), (5, None));
    let mut paged = Vec::new();
    let mut request = PageRequest::new(None, 2);
    loop {
        let Page { items, next } = at.store.list_organisations(request).await.expect("lists");
        paged.extend(items);
        let Some(next) = next else { break };
        request = PageRequest::new(Some(next.to_string().parse().expect("what was given out")), 2);
    }
    assert_eq!(paged, all.items);
}

async fn login_with_cookie(
    at: &Fixture,
) -> (podlatch_relay::domain::organisation::LoginSession, podlatch_relay::auth::token::TokenHash) {
    let owner = at.owner("ada@example.org").await;
    let (link, new) = (at.sign_in_link(&owner).await, at.new_login());
    let outcome = at.store.redeem_sign_in_link(&link, &new, START).await.expect("answers");
    (outcome.redeemed().expect("is good"), new.hash)
}
