use podlatch_relay::auth::seal::Sealed;
use podlatch_relay::domain::agent::{AgentStatus, PublicKeySha256};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::cluster::ClusterType;
use podlatch_relay::domain::organisation::ClientInfo;
use podlatch_relay::public::access::ApiServer;
use podlatch_relay::store::{AgentSeen, NewCluster, PageRequest, PublicCluster, Redemption, StoreError, StoredAccess};

use super::fixture::{Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    a_cluster_tells_what_its_agent_last_said,
    a_cluster_is_found_in_its_own_organisation_only,
    two_clusters_of_one_organisation_cannot_share_a_name,
    revoking_a_cluster_revokes_its_agents_and_tokens_and_frees_its_name,
    the_operator_names_a_cluster_by_name_or_id,
    a_name_with_quotes_and_foreign_letters_comes_back_as_it_was,
    a_public_clusters_access_is_its_organisations_and_goes_when_it_is_revoked,
);

async fn a_cluster_tells_what_its_agent_last_said(at: Fixture) {
    let actor = at.actor().await;
    let cluster = at.cluster(actor.organisation).await;
    let (older, newer) = (at.agent(&cluster).await, at.agent(&cluster).await);
    let overview = at.store.get_cluster(actor.organisation, cluster.id).await.expect("answers").expect("is there");
    assert_eq!((overview.cluster, overview.last_agent), (cluster.clone(), None), "never connected");

    let said = AgentSeen { agent_version: "0.2.0", kubernetes_version: "v1.33.0" };
    at.store.touch_agent(actor.organisation, newer.id, Some(said), SOON).await.expect("touches");
    at.store.touch_agent(actor.organisation, older.id, None, START).await.expect("touches");
    let overview = at.store.get_cluster(actor.organisation, cluster.id).await.expect("answers").expect("is there");
    let last = overview.last_agent.expect("has connected");
    assert_eq!((last.seen_at, last.agent_version.as_str()), (SOON, "0.2.0"));
    assert_eq!(last.kubernetes_version, "v1.33.0");
}

async fn a_cluster_is_found_in_its_own_organisation_only(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let cluster = at.cluster(here).await;
    assert!(at.store.get_cluster(elsewhere, cluster.id).await.expect("answers").is_none());
    assert!(at.store.list_clusters(elsewhere, PageRequest::default()).await.expect("lists").items.is_empty());
    assert!(!at.store.revoke_cluster(elsewhere, cluster.id, &Origin::operator(), SOON).await.expect("answers"));
    let mut foreign = at.new_join_token(&cluster);
    foreign.organisation = elsewhere;
    assert!(matches!(
        at.store.create_join_token(&foreign, &Origin::operator(), START).await,
        Err(StoreError::Missing(_))
    ));
    let mut foreign = at.new_agent(&cluster);
    foreign.organisation = elsewhere;
    assert!(matches!(at.store.insert_agent(&foreign, &ClientInfo::default()).await, Err(StoreError::Missing(_))));
    assert_eq!(at.store.list_clusters(here, PageRequest::default()).await.expect("lists").items.len(), 1);
}

async fn two_clusters_of_one_organisation_cannot_share_a_name(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    at.cluster(here).await;
    let again = at.store.create_cluster(&at.new_cluster(here, "berlin"), &Origin::operator(), START).await;
    assert!(matches!(again, Err(StoreError::Taken(_))), "{again:?}");
    at.cluster(elsewhere).await;
}

async fn revoking_a_cluster_revokes_its_agents_and_tokens_and_frees_its_name(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let cluster = at.cluster(here).await;
    let (agent, token) = (at.agent(&cluster).await, at.join_token(&cluster).await);
    assert!(at.store.revoke_cluster(here, cluster.id, &Origin::operator(), SOON).await.expect("answers"));
    assert!(!at.store.revoke_cluster(here, cluster.id, &Origin::operator(), SOON).await.expect("answers"), "only once");

    let agent = at.store.get_agent(here, cluster.id, agent.id).await.expect("answers").expect("stays on record");
    assert_eq!(agent.status, AgentStatus::Revoked);
    let key = PublicKeySha256([1; 32]);
    assert_eq!(at.store.join_grant(&token, key, SOON).await.expect("answers"), Redemption::Withdrawn);
    let late = at.new_join_token(&cluster);
    assert!(matches!(at.store.create_join_token(&late, &Origin::operator(), SOON).await, Err(StoreError::Missing(_))));
    assert!(matches!(
        at.store.insert_agent(&at.new_agent(&cluster), &ClientInfo::default()).await,
        Err(StoreError::Missing(_))
    ));
    assert!(at.store.list_clusters(here, PageRequest::default()).await.expect("lists").items.is_empty());
    let kept = at.store.get_cluster(here, cluster.id).await.expect("answers").expect("stays on record");
    assert_eq!(kept.cluster.revoked_at, Some(SOON));
    at.cluster(here).await;
}

async fn the_operator_names_a_cluster_by_name_or_id(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let cluster = at.cluster(here).await;
    assert_eq!(at.store.clusters_named("berlin").await.expect("answers"), vec![cluster.clone()]);
    assert_eq!(at.store.clusters_named(&cluster.id.to_string()).await.expect("answers"), vec![cluster]);
    assert!(at.store.clusters_named("paris").await.expect("answers").is_empty());
    at.cluster(elsewhere).await;
    assert_eq!(at.store.clusters_named("berlin").await.expect("answers").len(), 2, "ambiguous");
}

async fn a_name_with_quotes_and_foreign_letters_comes_back_as_it_was(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let name = "'; DROP TABLE clusters; -- Ünïcødé 東京";
    let new = at.new_cluster(here, name);
    at.store.create_cluster(&new, &Origin::operator(), START).await.expect("creates");
    let found = at.store.get_cluster(here, new.id).await.expect("answers").expect("is there");
    assert_eq!(found.cluster.name.as_str(), name);
}

async fn a_public_clusters_access_is_its_organisations_and_goes_when_it_is_revoked(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let (store, by) = (&at.store, Origin::operator());
    let access = |server: &str| StoredAccess {
        server: ApiServer {
            url: server.parse().expect("a URL"),
            ca: None,
            tls_name: Some("kubernetes".parse().expect("a name")),
        },
        credential_kind: "token",
        credential: Sealed::stored("sealed".to_owned()),
    };
    let new = NewCluster { cluster_type: ClusterType::Public, ..at.new_cluster(here, "paris") };
    let (first, second) = (access("https://192.0.2.1:6443"), access("https://192.0.2.2"));
    store.create_public_cluster(&new, &first, &by, START).await.expect("creates");
    assert_eq!(store.public_access(here, new.id).await.expect("answers"), Some(first));
    assert_eq!(store.public_access(elsewhere, new.id).await.expect("answers"), None);
    let refused = store.replace_access((elsewhere, new.id), &second, &by, SOON).await;
    assert!(matches!(refused, Err(StoreError::Missing(_))), "{refused:?}");
    let private = at.cluster(here).await;
    let refused = store.replace_access((here, private.id), &second, &by, SOON).await;
    assert!(matches!(refused, Err(StoreError::Missing(_))), "a private cluster has none: {refused:?}");

    let served = async || store.public_clusters().await.expect("answers");
    let revision = |revision| PublicCluster { organisation: here, cluster: new.id, revision };
    assert_eq!(served().await, [revision(1)]);
    store.replace_access((here, new.id), &second, &by, SOON).await.expect("replaces");
    assert_eq!(served().await, [revision(2)], "every relay notices");
    assert_eq!(store.public_access(here, new.id).await.expect("answers"), Some(second));
    assert!(store.revoke_cluster(here, new.id, &by, SOON).await.expect("answers"));
    assert_eq!((served().await, store.public_access(here, new.id).await.expect("answers")), (vec![], None));
}
