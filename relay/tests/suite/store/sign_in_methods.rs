//! Passwords, passkeys, challenges, providers and the identities at them.

use podlatch_protocol::id::{PasskeyId, SignInProviderId, UserId};
use podlatch_relay::auth::seal::Sealed;
use podlatch_relay::auth::token::TokenKind;
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::organisation::Membership;
use podlatch_relay::domain::sign_in::{ClaimedEmail, Claims, ProviderSettings, UnknownPeople};
use podlatch_relay::store::{
    ChallengePurpose, NewChallenge, NewPasskey, OidcSignIn, SignInProvider, StoreError, StoredPasskey,
};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    a_password_is_its_persons_and_is_replaced_whole,
    a_passkey_is_its_persons_alone_and_a_copy_shows,
    a_person_has_so_many_passkeys_and_no_more,
    a_challenge_is_taken_once_for_what_it_was_made_and_in_time,
    a_provider_is_its_organisations_alone,
    an_identity_is_one_person_in_one_organisation,
);

async fn a_password_is_its_persons_and_is_replaced_whole(at: Fixture) {
    let (ada, bob) = (at.owner("ada@example.org").await, at.owner("bob@example.org").await);
    let (store, by) = (&at.store, Origin::operator());
    let whose = (ada.organisation.id, ada.user.id);
    assert_eq!(store.password_of(ada.user.id).await.expect("answers"), None);
    for hash in ["$argon2id$first", "$argon2id$second"] {
        store.set_password(whose, hash, &by, SOON).await.expect("sets");
        let by_email = store.password_by_email(&ada.user.email).await.expect("answers").expect("is set");
        assert_eq!((by_email.user, by_email.hash.as_str()), (ada.user.id, hash));
    }
    assert_eq!(store.password_of(bob.user.id).await.expect("answers"), None, "nobody else's");
    assert_eq!(store.password_by_email(&bob.user.email).await.expect("answers"), None);
    assert!(store.remove_password(whose, &by, SOON).await.expect("removes"));
    assert!(!store.remove_password(whose, &by, SOON).await.expect("answers"), "there is none any more");
    assert_eq!(store.password_by_email(&ada.user.email).await.expect("answers"), None);
}

fn new_passkey(at: &Fixture, of: &Membership, credential_id: &[u8]) -> NewPasskey {
    NewPasskey {
        id: PasskeyId::new(START.since_epoch(), &at.entropy.bytes()),
        user: of.user.id,
        credential_id: credential_id.to_vec(),
        name: "Key".parse().expect("a name"),
        credential: "{\"counter\":1}".to_owned(),
    }
}

async fn a_passkey_is_its_persons_alone_and_a_copy_shows(at: Fixture) {
    let (ada, bob) = (at.owner("ada@example.org").await, at.owner("bob@example.org").await);
    let (store, by) = (&at.store, Origin::operator());
    let new = new_passkey(&at, &ada, &[0, 1, 255]);
    store.add_passkey(ada.organisation.id, &new, &by, START).await.expect("adds");
    let again = store.add_passkey(bob.organisation.id, &new_passkey(&at, &bob, &[0, 1, 255]), &by, START).await;
    assert!(matches!(again, Err(StoreError::Taken(_))), "{again:?}");
    let found = store.passkey_by_credential(ada.user.id, &[0, 1, 255]).await.expect("answers").expect("is there");
    let expected = StoredPasskey {
        id: new.id,
        user: ada.user.id,
        credential_id: vec![0, 1, 255],
        name: new.name.clone(),
        credential: new.credential.clone(),
        created_at: START,
        last_used_at: None,
    };
    assert_eq!(
        (&found, store.passkeys_of(ada.user.id).await.expect("answers").as_slice()),
        (&expected, &[expected.clone()][..])
    );
    assert_eq!(store.passkey_by_credential(bob.user.id, &[0, 1, 255]).await.expect("answers"), None);

    // Of two that saw the same counter one goes on.
    let used = async |after: &str| {
        store.note_passkey_use((new.id, ada.user.id), (&new.credential, after), SOON).await.expect("answers")
    };
    assert_eq!((used("{\"counter\":2}").await, used("{\"counter\":3}").await), (true, false));
    assert!(!store.note_passkey_use((new.id, bob.user.id), ("{\"counter\":2}", "x"), SOON).await.expect("answers"));
    assert_eq!(store.passkeys_of(ada.user.id).await.expect("answers")[0].last_used_at, Some(SOON));

    let (hers, his) = ((ada.organisation.id, ada.user.id), (bob.organisation.id, bob.user.id));
    let name = "Other".parse().expect("a name");
    assert!(!store.rename_passkey(his, new.id, &name, (&by, SOON)).await.expect("answers"));
    assert!(store.rename_passkey(hers, new.id, &name, (&by, SOON)).await.expect("answers"));
    assert!(!store.remove_passkey(his, new.id, (&by, SOON)).await.expect("answers"));
    assert_eq!(store.passkeys_of(ada.user.id).await.expect("answers")[0].name, name);
    assert!(store.remove_passkey(hers, new.id, (&by, SOON)).await.expect("answers"));
    assert_eq!(store.passkeys_of(ada.user.id).await.expect("answers"), []);
}

async fn a_person_has_so_many_passkeys_and_no_more(at: Fixture) {
    let ada = at.owner("ada@example.org").await;
    for number in 0..20 {
        let new = new_passkey(&at, &ada, &[number]);
        at.store.add_passkey(ada.organisation.id, &new, &Origin::operator(), START).await.expect("adds");
    }
    let one_more = new_passkey(&at, &ada, &[99]);
    let refused = at.store.add_passkey(ada.organisation.id, &one_more, &Origin::operator(), START).await;
    assert!(matches!(refused, Err(StoreError::Taken(_))), "{refused:?}");
}

async fn a_challenge_is_taken_once_for_what_it_was_made_and_in_time(at: Fixture) {
    let make = async |purpose, expires_at| {
        let hash = at.token(TokenKind::Challenge);
        let new = NewChallenge { hash, purpose, state: "{\"a\":1}".to_owned(), expires_at };
        at.store.create_challenge(&new, START).await.expect("creates");
        hash
    };
    let take = async |hash, purpose, now| at.store.take_challenge(&hash, purpose, now).await.expect("answers");
    let all = [ChallengePurpose::PasskeyRegistration, ChallengePurpose::PasskeySignIn, ChallengePurpose::Oidc];
    for purpose in all {
        let hash = make(purpose, EXPIRY).await;
        for other in all.into_iter().filter(|other| *other != purpose) {
            assert_eq!(take(hash, other, SOON).await, None, "{purpose:?} is none for {other:?}");
        }
        assert_eq!(take(hash, purpose, SOON).await.as_deref(), Some("{\"a\":1}"));
        assert_eq!(take(hash, purpose, SOON).await, None, "it is used up");
    }
    let late = make(ChallengePurpose::Oidc, SOON).await;
    assert_eq!(take(late, ChallengePurpose::Oidc, SOON).await, None);
    let contested = make(ChallengePurpose::Oidc, EXPIRY).await;
    let takers = (0..8).map(|_| take(contested, ChallengePurpose::Oidc, SOON));
    let taken = futures_util::future::join_all(takers).await;
    assert_eq!(taken.into_iter().flatten().count(), 1);
}

fn provider(at: &Fixture, of: &Membership, name: &str) -> SignInProvider {
    SignInProvider {
        id: SignInProviderId::new(START.since_epoch(), &at.entropy.bytes()),
        organisation: of.organisation.id,
        name: name.parse().expect("a name"),
        issuer: "https://login.example.org".to_owned(),
        client_id: "podlatch".to_owned(),
        client_secret: Some(Sealed::stored("sealed".to_owned())),
        settings: ProviderSettings { unknown_people: UnknownPeople::BecomeMembers, ..ProviderSettings::default() },
        created_at: START,
        updated_at: START,
    }
}

async fn a_provider_is_its_organisations_alone(at: Fixture) {
    let (ada, bob) = (at.owner("ada@example.org").await, at.owner("bob@example.org").await);
    let (store, by, new) = (&at.store, Origin::operator(), provider(&at, &ada, "Office"));
    store.create_sign_in_provider(&new, &by, START).await.expect("creates");
    let again = store.create_sign_in_provider(&provider(&at, &ada, "Office"), &by, START).await;
    assert!(matches!(again, Err(StoreError::Taken(_))), "{again:?}");
    store
        .create_sign_in_provider(&provider(&at, &bob, "Office"), &by, START)
        .await
        .expect("another organisation's name");
    assert_eq!(store.sign_in_providers(ada.organisation.id).await.expect("answers"), std::slice::from_ref(&new));
    assert_eq!(store.sign_in_provider(bob.organisation.id, new.id).await.expect("answers"), None);
    let stolen = SignInProvider { organisation: bob.organisation.id, ..new.clone() };
    let changed = store.change_sign_in_provider(&stolen, &by, SOON).await;
    assert!(matches!(changed, Err(StoreError::Missing(_))), "{changed:?}");
    let changed = SignInProvider { client_secret: None, updated_at: SOON, ..new.clone() };
    store.change_sign_in_provider(&changed, &by, SOON).await.expect("changes");
    assert_eq!(store.sign_in_provider(ada.organisation.id, new.id).await.expect("answers"), Some(changed));
    assert!(!store.remove_sign_in_provider(bob.organisation.id, new.id, &by, SOON).await.expect("answers"));
    assert!(store.remove_sign_in_provider(ada.organisation.id, new.id, &by, SOON).await.expect("answers"));
    assert_eq!(store.sign_in_providers(ada.organisation.id).await.expect("answers"), []);
}

async fn an_identity_is_one_person_in_one_organisation(at: Fixture) {
    let (ada, bob) = (at.owner("ada@example.org").await, at.owner("bob@example.org").await);
    let claims = |subject: &str, email: &str| Claims {
        subject: subject.to_owned(),
        email: Some(ClaimedEmail::Verified(email.parse().expect("an address"))),
        name: Some("Eve".to_owned()),
        all: serde_json::Map::new(),
    };
    let new_user = || UserId::new(START.since_epoch(), &at.entropy.bytes());
    let sign_in = async |provider: &SignInProvider, claims: &Claims| {
        let who = OidcSignIn { provider, claims, linking: None, new_user: new_user() };
        at.store.sign_in_by_provider(&who, &at.new_login(), SOON).await.expect("answers").expect("is let in")
    };
    let here = provider(&at, &ada, "Office");
    let there = provider(&at, &bob, "Office");
    for provider in [&here, &there] {
        at.store.create_sign_in_provider(provider, &Origin::operator(), START).await.expect("creates");
    }
    let eve = sign_in(&here, &claims("eve-1", "eve@example.net")).await.membership.user.id;
    let again = sign_in(&here, &claims("eve-1", "renamed@example.net")).await.membership;
    assert_eq!(
        (again.user.id, again.organisation.id),
        (eve, ada.organisation.id),
        "the subject counts, not the address"
    );
    let other = sign_in(&here, &claims("eve-2", "other@example.net")).await.membership.user.id;
    assert_ne!(other, eve);
    let elsewhere = sign_in(&there, &claims("eve-1", "third@example.net")).await.membership;
    assert_ne!(elsewhere.user.id, eve, "what one organisation's provider says counts in no other");
    assert_eq!(elsewhere.organisation.id, bob.organisation.id);
}
