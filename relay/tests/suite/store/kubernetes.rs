use podlatch_protocol::debug::DebugImage;
use podlatch_protocol::id::GroupId;
use podlatch_protocol::identity::KubernetesGroup;
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::kubernetes::{KubernetesIdentity, UserPrefix};
use podlatch_relay::store::StoreError;

use super::fixture::{Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    terminals_are_opened_by_the_agents_rights_until_that_is_changed,
    a_person_is_named_by_address_and_the_groups_of_all_their_groups,
    a_mapped_group_that_nobody_may_have_is_an_error_and_not_left_out,
    debug_images_are_an_organisations_own,
);

fn by() -> (Origin, podlatch_relay::clock::UnixMillis) {
    (Origin::operator(), SOON)
}

fn impersonate(prefix: &str) -> KubernetesIdentity {
    KubernetesIdentity::Impersonate(prefix.parse::<UserPrefix>().expect("a prefix"))
}

async fn terminals_are_opened_by_the_agents_rights_until_that_is_changed(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let cluster = at.cluster(here).await.id;
    let read = || at.store.kubernetes_identity(here, cluster);
    assert_eq!(read().await.expect("answers"), KubernetesIdentity::Agent);
    for wanted in [impersonate("corp:"), impersonate(""), KubernetesIdentity::Agent] {
        at.store.set_kubernetes_identity((here, cluster), &wanted, by()).await.expect("is changed");
        assert_eq!(read().await.expect("answers"), wanted);
    }
    let foreign = at.store.set_kubernetes_identity((elsewhere, cluster), &impersonate("x:"), by()).await;
    assert!(matches!(foreign, Err(StoreError::Missing(_))), "{foreign:?}");
    assert!(matches!(at.store.kubernetes_identity(elsewhere, cluster).await, Err(StoreError::Missing(_))));
    assert!(at.store.revoke_cluster(here, cluster, &Origin::operator(), SOON).await.expect("answers"));
    let late = at.store.set_kubernetes_identity((here, cluster), &impersonate("x:"), by()).await;
    assert!(matches!(late, Err(StoreError::Missing(_))), "{late:?}");
    assert_eq!(read().await.expect("answers"), KubernetesIdentity::Agent);
}

async fn a_person_is_named_by_address_and_the_groups_of_all_their_groups(at: Fixture) {
    let owner = at.owner("ada@example.org").await;
    let (here, ada) = (owner.organisation.id, owner.user.id);
    let bob = at.owner("bob@example.org").await;
    let group = async |organisation, name: &str, groups: &[&str]| {
        let id = GroupId::new(START.since_epoch(), &at.entropy.bytes());
        let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
        let name = name.parse().expect("a name");
        let what = (&name, groups.as_slice());
        at.store.create_group((organisation, id), what, &Origin::operator(), START).await.expect("is made");
        id
    };
    let (dev, ops) = (group(here, "Dev", &["dev", "all"]).await, group(here, "Ops", &["ops", "all"]).await);
    group(here, "Others", &["others"]).await;
    let named = async || at.store.kubernetes_person(here, ada).await.expect("is a member");
    assert!(named().await.groups.is_empty());
    for group in [dev, ops] {
        at.store.add_group_member((here, group), ada, &Origin::operator(), START).await.expect("is added");
    }
    let person = named().await;
    assert_eq!(person.email.as_str(), "ada@example.org");
    assert_eq!(person.groups.iter().map(KubernetesGroup::as_str).collect::<Vec<_>>(), ["all", "dev", "ops"]);
    assert!(matches!(at.store.kubernetes_person(here, bob.user.id).await, Err(StoreError::Missing(_))));
    assert!(matches!(at.store.kubernetes_person(bob.organisation.id, ada).await, Err(StoreError::Missing(_))));
}

async fn a_mapped_group_that_nobody_may_have_is_an_error_and_not_left_out(at: Fixture) {
    let owner = at.owner("ada@example.org").await;
    let (here, ada) = (owner.organisation.id, owner.user.id);
    let id = GroupId::new(START.since_epoch(), &at.entropy.bytes());
    let (name, groups) = ("Dev".parse().expect("a name"), vec!["dev".to_owned()]);
    at.store.create_group((here, id), (&name, &groups), &Origin::operator(), START).await.expect("is made");
    at.store.add_group_member((here, id), ada, &Origin::operator(), START).await.expect("is added");
    at.execute(r#"UPDATE user_groups SET kubernetes_groups = '["dev","system:masters"]'"#).await.expect("is changed");
    let named = at.store.kubernetes_person(here, ada).await;
    assert!(matches!(named, Err(StoreError::Corrupt(_))), "{named:?}");
}

async fn debug_images_are_an_organisations_own(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let images =
        |names: &[&str]| -> Vec<DebugImage> { names.iter().map(|name| name.parse().expect("valid")).collect() };
    let set = async |organisation, names: &[&str]| {
        at.store.set_debug_images(organisation, &images(names), by()).await.expect("is changed");
    };
    assert!(at.store.debug_images(here).await.expect("answers").is_empty());
    set(here, &["busybox:1.36", "alpine:3", "alpine:3"]).await;
    set(elsewhere, &["debian:12"]).await;
    assert_eq!(at.store.debug_images(here).await.expect("answers"), images(&["alpine:3", "busybox:1.36"]));
    set(here, &[]).await;
    assert!(at.store.debug_images(here).await.expect("answers").is_empty());
    assert_eq!(at.store.debug_images(elsewhere).await.expect("answers"), images(&["debian:12"]));
}
