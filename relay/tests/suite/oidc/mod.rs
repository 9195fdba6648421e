//! Signing in at a real OpenID Connect provider: npm's `oidc-provider`, as a process of its own, and the relay's binary.

mod harness;

use reqwest::StatusCode;
use serde_json::{Value, json};

use self::harness::{Browser, Office, ada};

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_person_is_let_in_where_the_organisation_says_so_and_is_in_the_groups_that_the_provider_says() {
    let office = Office::open(json!({
        "unknown_people": "become_members", "groups_claim": "groups", "scopes": ["groups"], "email_domains": ["example.org"],
    }))
    .await;
    let (operators, viewers) = (office.group("Operators").await, office.group("Viewers").await);
    office.change(json!({"group_mapping": {"ops": operators, "view": viewers}})).await;
    for (claims_in, given) in [("userinfo", &["Operators"][..]), ("id_token", &["Operators", "Viewers"])] {
        office.claims_in(claims_in).await;
        let browser = Browser::new();
        assert_eq!(office.sign_in(&browser, ada(&["ops", "unmapped"])).await, "/", "{claims_in}");
        let me = office.me(&browser).await;
        assert_eq!((&me["user"]["email"], &me["role"]), (&json!("ada@example.org"), &json!("member")));
        assert_eq!(office.groups_of("ada@example.org").await, given);
        // The next sign-in may say otherwise; what a person was given by people stays.
        office
            .execute(&format!(
            "INSERT INTO group_members SELECT g.id, g.organisation_id, u.id, 'manual', 0 FROM user_groups g, users u
             WHERE g.name = 'Viewers' AND u.email = 'ada@example.org' AND '{claims_in}' = 'userinfo'"
        ))
            .await;
        assert_eq!(office.sign_in(&Browser::new(), ada(&[])).await, "/");
        assert_eq!(office.groups_of("ada@example.org").await, ["Viewers"], "the claim is gone");
    }
    let events = office.audit().await;
    let of = |action: &str| events.iter().filter(|event| event["action"] == action).count();
    assert_eq!((of("identity_linked"), of("groups_from_provider")), (1, 4));
    assert!(events.iter().any(|event| event["action"] == "sign_in" && event["details"]["method"] == "oidc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_the_providers_for_this_relay_now_is_not_taken() {
    let office = Office::open(json!({"unknown_people": "become_members"})).await;
    office.claims_in("id_token").await;
    for fault in [
        "audience",
        "second_audience",
        "issuer",
        "nonce",
        "no_nonce",
        "expired",
        "signature",
        "unsigned",
        "symmetric",
        "quoted_verified",
    ] {
        office.fault(fault).await;
        let browser = Browser::new();
        // What is no token at all is told as the provider's failure.
        let why = if fault == "quoted_verified" { "provider_failed" } else { "not_good" };
        assert_eq!(office.sign_in(&browser, ada(&[])).await, format!("/sign-in?refused={why}"), "{fault}");
        assert_eq!(office.me_status(&browser).await, StatusCode::UNAUTHORIZED, "{fault}");
    }
    let refused = office.audit().await;
    let refused = refused.iter().filter(|event| event["action"] == "sign_in_refused");
    assert_eq!(refused.filter(|event| event["details"]["reason"] == "provider_token_not_good").count(), 9);
    office.fault("none").await;
    assert_eq!(office.sign_in(&Browser::new(), ada(&[])).await, "/");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() {
    let office = Office::open(json!({"unknown_people": "become_members"})).await;
    let refused = "/sign-in?refused=not_good";
    let (mine, other) = (Browser::new(), Browser::new());
    let callback = office.until_callback(&mine, ada(&[])).await;
    assert_eq!(other.land(&callback).await, refused, "another browser: the attacker's answer in the victim's hands");
    assert_eq!(mine.land(&callback).await, refused, "and it is used up");
    let callback = office.until_callback(&mine, ada(&[])).await;
    let changed = callback.replace("state=plc_", "state=plc_x");
    assert_eq!(mine.land(&changed).await, refused, "a state that the relay never gave");
    assert_eq!(
        mine.land(&format!("{callback}&iss=https%3A%2F%2Fanother.example.org")).await,
        refused,
        "another issuer"
    );
    let callback = office.until_callback(&mine, ada(&[])).await;
    assert_eq!(mine.land(&callback).await, "/");
    assert_eq!(mine.land(&callback).await, refused, "a replay");
    let elsewhere = callback.replace(&office.provider_id(), "01890000-0000-7000-8000-000000000000");
    assert_eq!(mine.land(&elsewhere).await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_invited_unverified_of_a_foreign_domain_or_suspended_stays_outside() {
    let office = Office::open(json!({"email_domains": ["example.org"]})).await;
    let land = async |person: Value| office.sign_in(&Browser::new(), person).await;
    assert_eq!(land(ada(&[])).await, "/sign-in?refused=not_invited");
    let mut unverified = ada(&[]);
    unverified["email_verified"] = json!(false);
    assert_eq!(land(unverified).await, "/sign-in?refused=unverified_email");
    let mut foreign = ada(&[]);
    foreign["email"] = json!("ada@example.org.evil.example");
    assert_eq!(land(foreign).await, "/sign-in?refused=foreign_domain");
    assert_eq!(land(Value::Null).await, "/sign-in?refused=declined");
    office.invite("ada@example.org", "admin").await;
    assert_eq!(land(ada(&[])).await, "/");
    let events = office.audit().await;
    assert!(
        events.iter().any(|event| event["action"] == "sign_in_refused" && event["details"]["reason"] == "not_invited")
    );
    office.execute("UPDATE memberships SET suspended_at = 1 WHERE role = 'admin'").await;
    assert_eq!(land(ada(&[])).await, "/sign-in?refused=no_place");
    office.execute("UPDATE memberships SET suspended_at = NULL").await;
    office.execute("UPDATE users SET suspended_at = 1 WHERE email = 'ada@example.org'").await;
    assert_eq!(land(ada(&[])).await, "/sign-in?refused=no_place");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_alone_opens_nobodys_account_but_its_person_may_link_it() {
    let office = Office::open(json!({"unknown_people": "become_members"})).await;
    let owner =
        |subject: &str| json!({"sub": subject, "email": "owner@example.org", "email_verified": true, "name": "O"});
    assert_eq!(office.sign_in(&Browser::new(), owner("o-1")).await, "/sign-in?refused=address_taken");
    let browser = Browser::new();
    assert_eq!(office.link(&browser, owner("o-1")).await, "/sign-in?refused=sign_in_first", "nobody is signed in");
    office.sign_in_with_link(&browser, "owner@example.org").await;
    assert_eq!(office.link(&browser, owner("o-1")).await, "/");
    let other = Browser::new();
    assert_eq!(office.sign_in(&other, owner("o-1")).await, "/");
    assert_eq!(office.me(&other).await["role"], "owner");
    assert_eq!(
        office.sign_in(&Browser::new(), owner("o-2")).await,
        "/sign-in?refused=address_taken",
        "another subject"
    );
    // A login by the provider's word makes no other proof of the person.
    let body = json!({"new_password": "correct horse battery"});
    assert_eq!(office.put(&other, "/api/v1/me/password", &body).await, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_let_a_provider_recognise_members_of_the_organisations_own_domains() {
    let office = Office::open(json!({"known_members": "are_recognised", "email_domains": ["example.org"]})).await;
    let owner = json!({"sub": "o-1", "email": "owner@example.org", "email_verified": true, "name": "O"});
    assert_eq!(office.sign_in(&Browser::new(), owner).await, "/");
}
