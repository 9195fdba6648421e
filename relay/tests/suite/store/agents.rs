use std::time::Duration;

use podlatch_protocol::control::{About, GuardReport};
use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId};
use podlatch_relay::domain::agent::{Agent, AgentStatus, CloneSeen, PublicKeySha256};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::organisation::ClientInfo;
use podlatch_relay::store::{AgentSeen, PageRequest, RenewAgent};

use super::fixture::{Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    an_agent_comes_back_as_it_was_stored,
    an_agent_is_found_only_where_all_its_ids_belong_together,
    the_time_an_agent_was_seen_never_goes_back,
    a_lost_answer_to_a_renewal_locks_no_agent_out,
    a_foreign_or_revoked_key_renews_nothing,
    a_revoked_agent_is_accepted_with_no_key,
    the_first_key_is_over_once_the_agent_came_with_its_newest,
    a_copied_identity_is_noted_and_said,
);

async fn an_agent_comes_back_as_it_was_stored(at: Fixture) {
    let cluster = at.cluster(at.owner("ada@example.org").await.organisation.id).await;
    let mut agent = at.new_agent(&cluster);
    agent.previous_public_key = Some(PublicKeySha256([7; 32]));
    agent.last_seen_at = Some(SOON);
    at.store.insert_agent(&agent, &ClientInfo::default()).await.expect("inserts");
    assert_eq!(found(&at, &agent).await, Some(agent.clone()));
    let page = at.store.list_agents(cluster.organisation, cluster.id, PageRequest::default()).await.expect("lists");
    assert_eq!(page.items, vec![agent.clone()]);
    let organisation = at.store.organisation_of_agent(agent.id).await.expect("answers");
    assert_eq!(organisation, Some(cluster.organisation));
}

async fn an_agent_is_found_only_where_all_its_ids_belong_together(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let agent = at.agent(&at.cluster(here).await).await;
    let other = at.cluster(elsewhere).await;
    let get = async |organisation: OrganisationId, cluster: ClusterId, id: AgentId| {
        at.store.get_agent(organisation, cluster, id).await.expect("answers")
    };
    assert!(get(elsewhere, agent.cluster, agent.id).await.is_none());
    assert!(get(here, other.id, agent.id).await.is_none());
    assert!(get(elsewhere, other.id, agent.id).await.is_none());
    assert!(!at.store.revoke_agent(elsewhere, agent.id, &Origin::operator(), SOON).await.expect("answers"));
    at.store.touch_agent(elsewhere, agent.id, None, SOON).await.expect("touches nothing");
    assert_eq!(found(&at, &agent).await, Some(agent));
}

async fn the_time_an_agent_was_seen_never_goes_back(at: Fixture) {
    let agent = at.agent(&at.cluster(at.owner("ada@example.org").await.organisation.id).await).await;
    let said = AgentSeen { agent_version: "2", kubernetes_version: "v1" };
    at.store.touch_agent(agent.organisation, agent.id, Some(said), SOON).await.expect("touches");
    let stale = AgentSeen { agent_version: "1", kubernetes_version: "" };
    at.store.touch_agent(agent.organisation, agent.id, Some(stale), START).await.expect("touches");
    at.store.touch_agent(agent.organisation, agent.id, None, SOON).await.expect("touches");
    let now = found(&at, &agent).await.expect("is there");
    assert_eq!(
        (now.last_seen_at, now.agent_version.as_str(), now.kubernetes_version.as_str()),
        (Some(SOON), "2", "v1")
    );
}

async fn a_lost_answer_to_a_renewal_locks_no_agent_out(at: Fixture) {
    let agent = at.agent(&at.cluster(at.owner("ada@example.org").await.organisation.id).await).await;
    let (first, lost, lost_too) = (agent.public_key, PublicKeySha256([1; 32]), PublicKeySha256([2; 32]));
    assert_eq!(renew(&at, &agent, first, lost).await, Some(2));
    assert_eq!(renew(&at, &agent, first, lost_too).await, Some(3));
    let now = found(&at, &agent).await.expect("is there");
    assert!(now.accepts(first) && now.accepts(lost_too) && !now.accepts(lost));
    assert_eq!(now.certificate_expires_at, SOON.plus(Duration::from_hours(24)));

    let newest = PublicKeySha256([3; 32]);
    assert_eq!(renew(&at, &agent, lost_too, newest).await, Some(4));
    let now = found(&at, &agent).await.expect("is there");
    assert!(now.accepts(newest) && now.accepts(lost_too) && !now.accepts(first), "the first key is over");
}

async fn a_foreign_or_revoked_key_renews_nothing(at: Fixture) {
    let agent = at.agent(&at.cluster(at.owner("ada@example.org").await.organisation.id).await).await;
    let (foreign, new) = (PublicKeySha256([1; 32]), PublicKeySha256([2; 32]));
    assert_eq!(renew(&at, &agent, foreign, new).await, None);
    assert!(at.store.revoke_agent(agent.organisation, agent.id, &Origin::operator(), SOON).await.expect("answers"));
    assert_eq!(renew(&at, &agent, agent.public_key, new).await, None);
    let now = found(&at, &agent).await.expect("is there");
    assert_eq!((now.generation, now.public_key), (1, agent.public_key));
}

async fn a_revoked_agent_is_accepted_with_no_key(at: Fixture) {
    let agent = at.agent(&at.cluster(at.owner("ada@example.org").await.organisation.id).await).await;
    assert!(at.store.revoke_agent(agent.organisation, agent.id, &Origin::operator(), SOON).await.expect("answers"));
    assert!(
        !at.store.revoke_agent(agent.organisation, agent.id, &Origin::operator(), SOON).await.expect("answers"),
        "only once"
    );
    let now = found(&at, &agent).await.expect("is there");
    assert_eq!(now.status, AgentStatus::Revoked);
    assert!(!now.accepts(agent.public_key));
}

async fn the_first_key_is_over_once_the_agent_came_with_its_newest(at: Fixture) {
    let agent = at.agent(&at.cluster(at.owner("ada@example.org").await.organisation.id).await).await;
    let (first, newest) = (agent.public_key, PublicKeySha256([1; 32]));
    assert_eq!(renew(&at, &agent, first, newest).await, Some(2));
    let ids = (agent.organisation, agent.cluster, agent.id);
    at.store.confirm_agent_key(ids, first).await.expect("answers");
    assert!(found(&at, &agent).await.expect("is there").accepts(first), "it may have crashed before it had the newest");
    at.store.confirm_agent_key(ids, newest).await.expect("answers");
    let now = found(&at, &agent).await.expect("is there");
    assert!(now.accepts(newest) && !now.accepts(first));
    assert_eq!(renew(&at, &agent, first, PublicKeySha256([2; 32])).await, None, "a copy renews nothing");
}

async fn a_copied_identity_is_noted_and_said(at: Fixture) {
    let agent = at.agent(&at.cluster(at.owner("ada@example.org").await.organisation.id).await).await;
    let elsewhere = at.owner("bob@example.org").await.organisation.id;
    let seen = CloneSeen { at: SOON, from: "192.0.2.7".to_owned() };
    at.store.agent_cloned((elsewhere, agent.cluster, agent.id), &seen, None).await.expect("touches nothing");
    assert_eq!(found(&at, &agent).await.expect("is there").cloned, None);
    at.store.agent_cloned((agent.organisation, agent.cluster, agent.id), &seen, None).await.expect("is stored");
    let guard = GuardReport { namespaces: vec!["shop-*".to_owned()], pod_labels: vec![] };
    let about = About { replica: "agent-0".to_owned(), guard };
    at.store.agent_about(agent.organisation, agent.id, &about).await.expect("is stored");
    let now = found(&at, &agent).await.expect("is there");
    assert_eq!((now.cloned, now.about), (Some(seen), Some(about)));
}

async fn found(at: &Fixture, agent: &Agent) -> Option<Agent> {
    at.store.get_agent(agent.organisation, agent.cluster, agent.id).await.expect("answers")
}

async fn renew(at: &Fixture, agent: &Agent, by: PublicKeySha256, public_key: PublicKeySha256) -> Option<u32> {
    let renewal = RenewAgent {
        organisation: agent.organisation,
        cluster: agent.cluster,
        agent: agent.id,
        by,
        public_key,
        certificate_expires_at: SOON.plus(Duration::from_hours(24)),
    };
    at.store.update_agent_certificate(&renewal, &ClientInfo::default(), SOON).await.expect("answers")
}
