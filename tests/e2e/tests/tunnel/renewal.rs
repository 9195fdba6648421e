//! Renewal: a new key and certificate in time, without harming the connection.

use std::sync::Arc;
use std::time::Duration;

use podlatch_agent::identity::{FileStore, Identity, IdentityStore};
use podlatch_relay::pki::{AgentCertificate, Lifetimes};
use podlatch_relay::tunnel::AgentEvent;
use tokio::time::{Instant, sleep_until};

use crate::harness::{Agent, Relay, round_trip};

async fn stored(agent: &Agent) -> Identity {
    let stored = FileStore::new(agent.folder.path()).load().await.expect("reads").expect("is there");
    Identity::new(stored).expect("is whole")
}

#[tokio::test]
async fn an_agent_renews_with_a_new_key_and_stays_connected_beyond_its_first_certificate() {
    let lifetimes = Lifetimes { agent: Duration::from_secs(12), backdate: Duration::ZERO, ..Lifetimes::default() };
    let relay = Relay::start_with(lifetimes).await;
    let mut news = relay.news();
    let agent = Agent::enrol(&relay).await;
    let handle = news.connected().await;
    let first = stored(&agent).await;
    // The first certificate's whole life, and some more.
    sleep_until(Instant::now() + Duration::from_secs(17)).await;
    round_trip(&handle).await;
    let happened = news.so_far();
    assert!(happened.iter().all(|event| !matches!(event, AgentEvent::Disconnected { .. })), "{happened:?}");
    let renewed = stored(&agent).await;
    assert_ne!(first.private_key(), renewed.private_key());
    assert!(renewed.expires_at() > first.expires_at());
    let key = AgentCertificate::parse(renewed.certificate()).expect("is an agent's").public_key;
    let known = relay.store.get_agent(relay.organisation, relay.cluster, handle.agent()).await.expect("reads");
    let known = known.expect("is stored");
    assert!(known.generation >= 2 && known.accepts(key), "{known:?}");
    // The new identity is good for the next connection, also in another life of the agent.
    let folder = Arc::clone(&agent.folder);
    agent.stop().await;
    let agent = Agent::start(&relay, &folder, relay.address, None);
    let again = news.connected().await;
    assert_eq!(again.agent(), handle.agent());
    agent.stop().await;
}
