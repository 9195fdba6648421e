use std::time::Duration;

use podlatch_protocol::id::{GroupId, InvitationId, UserId};
use podlatch_relay::auth::token::{TokenHash, TokenKind};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::login::{LoginEnd, LoginKind, Scope, Scopes};
use podlatch_relay::domain::organisation::{ClientInfo, LoginSession, Membership, Role};
use podlatch_relay::domain::people::{ChangeRefused, MemberChange, Suspension};
use podlatch_relay::store::{Acceptance, Accepted, NewApiToken, NewInvitation, PageRequest, Redemption};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    an_invitation_makes_one_member_however_many_present_it,
    two_owners_cannot_unmake_each_other,
    who_is_removed_keeps_nothing_that_would_bring_them_back,
    a_login_says_why_it_stands_no_more,
    a_group_is_left_with_the_organisation,
    one_sign_in_ends_everywhere_at_once,
    an_api_token_has_the_scopes_that_it_was_given,
    who_is_suspended_by_the_operator_is_so_everywhere_until_it_is_lifted,
);

fn by(member: &Membership) -> Origin {
    Origin::user(member.user.id, ClientInfo::default())
}

async fn invitation(at: &Fixture, into: &Membership, email: &str, role: Role, groups: Vec<GroupId>) -> TokenHash {
    let new = NewInvitation {
        id: InvitationId::new(START.since_epoch(), &at.entropy.bytes()),
        hash: at.token(TokenKind::Invitation),
        organisation: into.organisation.id,
        email: email.parse().expect("an address"),
        role,
        groups,
        expires_at: EXPIRY,
    };
    at.store.create_invitation(&new, &by(into), START).await.expect("answers").expect("may");
    new.hash
}

fn acceptance(at: &Fixture, signed_in_as: Option<UserId>) -> Acceptance {
    Acceptance {
        user: UserId::new(START.since_epoch(), &at.entropy.bytes()),
        name: "Bob".parse().expect("a name"),
        signed_in_as,
        login: at.new_login(),
    }
}

/// Somebody new in an organisation, signed in.
async fn joined(at: &Fixture, into: &Membership, email: &str, role: Role) -> LoginSession {
    let hash = invitation(at, into, email, role, Vec::new()).await;
    match at.store.accept_invitation(&hash, &acceptance(at, None), START).await.expect("answers") {
        Redemption::Redeemed(Accepted::SignedIn(login)) => login,
        other => panic!("{other:?}"),
    }
}

async fn an_invitation_makes_one_member_however_many_present_it(at: Fixture) {
    let ada = at.owner("ada@example.org").await;
    let hash = invitation(&at, &ada, "bob@example.org", Role::Member, Vec::new()).await;
    let presenters: Vec<_> = (0..8)
        .map(|_| {
            let (store, who) = (at.store.clone(), acceptance(&at, None));
            tokio::spawn(async move { store.accept_invitation(&hash, &who, SOON).await.expect("answers") })
        })
        .collect();
    let mut signed_in = 0;
    for presenter in presenters {
        match presenter.await.expect("joins") {
            Redemption::Redeemed(Accepted::SignedIn(_)) => signed_in += 1,
            other => assert_eq!(other, Redemption::Used),
        }
    }
    assert_eq!(signed_in, 1);
    let people = at.store.list_people(ada.organisation.id, PageRequest::default()).await.expect("lists");
    assert_eq!(people.items.len(), 2);
}

async fn two_owners_cannot_unmake_each_other(at: Fixture) {
    let ada = at.owner("ada@example.org").await;
    let bob = joined(&at, &ada, "bob@example.org", Role::Owner).await.membership;
    let demote = |who: &Membership, whom: &Membership| {
        let (store, by, whose) = (at.store.clone(), by(who), (whom.organisation.id, whom.user.id));
        tokio::spawn(async move {
            store.change_member(whose, MemberChange::Role(Role::Member), &by, SOON).await.expect("answers")
        })
    };
    let (one, other) = (demote(&ada, &bob), demote(&bob, &ada));
    let outcomes = [one.await.expect("joins"), other.await.expect("joins")];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    assert!(outcomes.contains(&Err(ChangeRefused::NotAllowed)), "{outcomes:?}");
    let people = at.store.list_people(ada.organisation.id, PageRequest::default()).await.expect("lists").items;
    assert_eq!(people.iter().filter(|person| person.role == Role::Owner).count(), 1);
}

async fn who_is_removed_keeps_nothing_that_would_bring_them_back(at: Fixture) {
    let ada = at.owner("ada@example.org").await;
    let bob = joined(&at, &ada, "bob@example.org", Role::Admin).await;
    let link = at.sign_in_link(&bob.membership).await;
    let promised = invitation(&at, &bob.membership, "crony@example.org", Role::Admin, Vec::new()).await;
    let whose = (ada.organisation.id, bob.membership.user.id);
    let change = async |change| at.store.change_member(whose, change, &by(&ada), SOON).await;
    assert_eq!(change(MemberChange::Remove).await.expect("answers"), Ok(()));
    assert!(change(MemberChange::Remove).await.is_err(), "they are no member");
    let standing = at.store.login_standing(ada.organisation.id, bob.id, SOON).await.expect("answers");
    assert_eq!(standing, Some(Err(LoginEnd::Revoked(LoginKind::Browser))));
    let redeemed = at.store.redeem_sign_in_link(&link, &at.new_login(), SOON).await.expect("answers");
    assert_eq!(redeemed, Redemption::Unknown);
    let crony = at.store.accept_invitation(&promised, &acceptance(&at, None), SOON).await.expect("answers");
    assert_eq!(crony, Redemption::Used);
    assert_eq!(at.store.get_person(whose.0, whose.1).await.expect("answers"), None);
    joined(&at, &ada, "bob@example.org", Role::Member).await;
    assert!(at.store.login_session(whose.0, bob.id, SOON).await.expect("answers").is_none(), "old logins stay over");
}

async fn a_login_says_why_it_stands_no_more(at: Fixture) {
    let ada = at.owner("ada@example.org").await;
    let bob = joined(&at, &ada, "bob@example.org", Role::Member).await;
    let organisation = ada.organisation.id;
    let standing = async |now| {
        let standing =
            at.store.login_standing(organisation, bob.id, now).await.expect("answers").expect("there is one");
        standing.map(|login| login.membership.role)
    };
    assert_eq!(standing(SOON).await, Ok(Role::Member));
    assert_eq!(standing(EXPIRY).await, Err(LoginEnd::Expired(LoginKind::Browser)));
    let change = async |change| {
        let whose = (organisation, bob.membership.user.id);
        at.store.change_member(whose, change, &by(&ada), SOON).await.expect("answers").expect("may");
    };
    change(MemberChange::Suspend).await;
    assert_eq!(standing(SOON).await, Err(LoginEnd::MembershipSuspended));
    let link = at.sign_in_link(&bob.membership).await;
    let refused = at.store.redeem_sign_in_link(&link, &at.new_login(), SOON).await.expect("answers");
    assert_eq!(refused, Redemption::Withdrawn);
    change(MemberChange::Resume).await;
    change(MemberChange::Role(Role::Auditor)).await;
    assert_eq!(standing(SOON).await, Ok(Role::Auditor));
    at.execute("UPDATE users SET suspended_at = 1").await.expect("updates");
    assert_eq!(standing(SOON).await, Err(LoginEnd::AccountSuspended));
    at.execute("UPDATE users SET suspended_at = NULL").await.expect("updates");
    at.execute("UPDATE organisations SET suspended_at = 1").await.expect("updates");
    assert_eq!(standing(SOON).await, Err(LoginEnd::OrganisationSuspended));
}

async fn a_group_is_left_with_the_organisation(at: Fixture) {
    let (ada, zoe) = (at.owner("ada@example.org").await, at.owner("zoe@example.org").await);
    let group = GroupId::new(START.since_epoch(), &at.entropy.bytes());
    let (here, name) = (ada.organisation.id, "Ops".parse().expect("a name"));
    let made = at.store.create_group((here, group), (&name, &["ops".to_owned()]), &by(&ada), START).await;
    made.expect("creates");
    let hash = invitation(&at, &ada, "bob@example.org", Role::Member, vec![group]).await;
    let accepted = at.store.accept_invitation(&hash, &acceptance(&at, None), START).await.expect("answers");
    let Redemption::Redeemed(Accepted::SignedIn(login)) = accepted else { panic!("{accepted:?}") };
    let bob = login.membership.user.id;
    assert_eq!(at.store.groups_of(here, bob).await.expect("answers"), [group]);
    assert!(at.store.groups_of(zoe.organisation.id, bob).await.expect("answers").is_empty());
    assert_eq!(at.store.get_group(zoe.organisation.id, group).await.expect("answers"), None);
    assert!(at.store.add_group_member((here, group), zoe.user.id, &by(&ada), START).await.is_err(), "no member");
    assert!(!at.store.add_group_member((here, group), bob, &by(&ada), START).await.expect("answers"), "is in it");
    at.store.change_member((here, bob), MemberChange::Remove, &by(&ada), SOON).await.expect("answers").expect("may");
    assert!(at.store.groups_of(here, bob).await.expect("answers").is_empty());
}

async fn one_sign_in_ends_everywhere_at_once(at: Fixture) {
    let (ada, zoe) = (at.owner("ada@example.org").await, at.owner("zoe@example.org").await);
    let login = at.signed_in(&zoe).await;
    let hash = invitation(&at, &ada, "zoe@example.org", Role::Member, Vec::new()).await;
    let stranger = at.store.accept_invitation(&hash, &acceptance(&at, None), START).await.expect("answers");
    assert_eq!(stranger, Redemption::Redeemed(Accepted::SignInFirst(zoe.user.email.clone())));
    let accepted =
        at.store.accept_invitation(&hash, &acceptance(&at, Some(zoe.user.id)), START).await.expect("answers");
    assert_eq!(accepted, Redemption::Redeemed(Accepted::Joined(ada.organisation.id)));
    let switched = at.store.switch_organisation(&login, ada.organisation.id, &at.new_login(), SOON).await;
    let switched = switched.expect("answers").expect("may");
    assert_eq!((switched.expires_at, switched.membership.role), (login.expires_at, Role::Member));
    let ended = at.store.revoke_login_session(zoe.organisation.id, login.id, &by(&zoe), SOON).await;
    assert!(ended.expect("answers"));
    for (organisation, id) in [(zoe.organisation.id, login.id), (ada.organisation.id, switched.id)] {
        assert!(at.store.login_session(organisation, id, SOON).await.expect("answers").is_none());
    }
}

async fn an_api_token_has_the_scopes_that_it_was_given(at: Fixture) {
    let ada = at.owner("ada@example.org").await;
    let new = NewApiToken {
        id: podlatch_protocol::id::LoginSessionId::new(START.since_epoch(), &at.entropy.bytes()),
        hash: at.token(TokenKind::Api),
        organisation: ada.organisation.id,
        user: ada.user.id,
        name: "CI".parse().expect("a name"),
        scopes: Scopes::from_iter([Scope::Sessions]),
        expires_at: START.plus(Duration::from_hours(48)),
        client: ClientInfo::default(),
    };
    at.store.create_api_token(&new, &by(&ada), START).await.expect("creates");
    let login = at.store.login_session_by_cookie(&new.hash, SOON).await.expect("answers").expect("stands");
    assert_eq!((login.kind, login.scopes), (LoginKind::Token, new.scopes));
    let ended = at.store.login_by_secret(&new.hash, new.expires_at).await.expect("answers");
    assert_eq!(ended, Some(Err(LoginEnd::Expired(LoginKind::Token))));
}

async fn who_is_suspended_by_the_operator_is_so_everywhere_until_it_is_lifted(at: Fixture) {
    let (ada, operator) = (at.owner("ada@example.org").await, Origin::operator());
    let eve = joined(&at, &ada, "eve@example.net", Role::Admin).await;
    let (store, whose) = (&at.store, eve.membership.user.id);
    assert_eq!(store.account_of(&eve.membership.user.email).await.expect("answers"), Some(whose));
    let promised = invitation(&at, &eve.membership, "bob@example.org", Role::Member, Vec::new()).await;
    let account = async |change| store.suspend_account(whose, change, &operator, SOON).await.expect("answers");
    let standing = async || {
        let person = store.get_person(ada.organisation.id, whose).await.expect("answers").expect("is there");
        (person.status(), person.account_suspended_at)
    };
    assert!(!account(Suspension::Lift).await, "it is not suspended");
    assert!(account(Suspension::Suspend).await);
    assert!(!account(Suspension::Suspend).await, "it is already");
    assert_eq!(standing().await, ("account_suspended", Some(SOON)));
    let void = store.preview_invitation(&promised, SOON).await.expect("answers").redeemed();
    assert_eq!(void, None, "what they promised is void");
    assert!(account(Suspension::Lift).await);
    assert_eq!(standing().await, ("active", None));

    let all =
        async |change| store.suspend_organisation(ada.organisation.id, change, &operator, SOON).await.expect("answers");
    let link = at.sign_in_link(&ada).await;
    assert!(store.sign_in_link_is_good(&link, SOON).await.expect("answers"));
    assert_eq!(
        (all(Suspension::Lift).await, all(Suspension::Suspend).await, all(Suspension::Suspend).await),
        (false, true, false)
    );
    assert!(!store.sign_in_link_is_good(&link, SOON).await.expect("answers"));
    assert!(all(Suspension::Lift).await);
    assert!(store.sign_in_link_is_good(&link, SOON).await.expect("answers"));
}
