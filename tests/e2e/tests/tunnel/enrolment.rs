//! Join tokens and the pin: who gets an identity, and what the others are told.

use std::sync::Arc;

use podlatch_agent::enrolment::{Enrolment, EnrolmentError};
use podlatch_agent::identity::{FileStore, IdentityStore};
use podlatch_link::pin::CaPin;
use podlatch_protocol::close::RefusalCode;
use podlatch_relay::clock::Clock;
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::store::PageRequest;
use secrecy::SecretString;
use tokio::task::JoinSet;

use crate::harness::{Agent, Relay, round_trip};

fn enrolment(relay: &Relay, pin: CaPin, token: &str) -> Enrolment {
    let address = relay.address.to_string().parse().expect("is an address");
    Enrolment { relay: address, pin, token: Some(SecretString::from(token)) }
}

async fn refusal(relay: &Relay, token: &str) -> String {
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = FileStore::new(folder.path());
    let error = enrolment(relay, relay.ca.pin(), token).obtain(&store).await.expect_err("is refused");
    assert!(store.load().await.expect("reads").is_none(), "nothing is stored");
    assert!(matches!(error, EnrolmentError::Refused(_)), "{error}");
    error.to_string()
}

#[tokio::test]
async fn an_agent_enrols_connects_and_is_reached() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let agent = Agent::enrol(&relay).await;
    let handle = news.connected().await;
    assert_eq!((handle.cluster(), handle.organisation()), (relay.cluster, relay.organisation));
    assert!(relay.agents.online(relay.cluster));
    assert_eq!(relay.agents.pick(relay.cluster).map(|picked| picked.agent()), Some(handle.agent()));
    assert_eq!(round_trip(&handle).await, RefusalCode::NoSuchSession);
    agent.stop().await;
    handle.closed().await;
    let stored = relay.store.get_agent(relay.organisation, relay.cluster, handle.agent()).await.expect("reads");
    let stored = stored.expect("is stored");
    assert!(stored.last_seen_at.is_some());
    assert_eq!(stored.agent_version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_used_an_expired_an_unknown_and_a_senseless_token_are_each_refused_in_words() {
    let relay = Relay::start().await;
    let used = relay.join_token().await;
    let folder = tempfile::tempdir().expect("makes a folder");
    enrolment(&relay, relay.ca.pin(), &used).obtain(&FileStore::new(folder.path())).await.expect("enrols");
    let expired = relay.join_token_until(Clock::system().now()).await;
    let other = Relay::start().await;
    let foreign = other.join_token().await;
    for (token, says) in [
        (used.as_str(), "used already"),
        (&expired, "expired"),
        (&foreign, "does not know"),
        ("plj_x", "not a join token"),
    ] {
        let sentence = refusal(&relay, token).await;
        assert!(sentence.contains(says), "{sentence}");
        assert!(!sentence.contains(token), "no token in a message");
    }
}

#[tokio::test]
async fn the_token_of_a_revoked_cluster_is_refused() {
    let relay = Relay::start().await;
    let token = relay.join_token().await;
    let now = Clock::system().now();
    relay.store.revoke_cluster(relay.organisation, relay.cluster, &Origin::operator(), now).await.expect("is stored");
    assert!(refusal(&relay, &token).await.contains("revoked"));
}

#[tokio::test]
async fn of_many_that_present_one_token_at_once_exactly_one_enrols() {
    let relay = Arc::new(Relay::start().await);
    let token = relay.join_token().await;
    let mut attempts = JoinSet::new();
    for _ in 0..8 {
        let enrolment = enrolment(&relay, relay.ca.pin(), &token);
        attempts.spawn(async move {
            let folder = tempfile::tempdir().expect("makes a folder");
            enrolment.obtain(&FileStore::new(folder.path())).await.is_ok()
        });
    }
    let outcomes = attempts.join_all().await;
    assert_eq!(outcomes.iter().filter(|enrolled| **enrolled).count(), 1, "{outcomes:?}");
    let page = PageRequest::new(None, 10);
    let agents = relay.store.list_agents(relay.organisation, relay.cluster, page).await.expect("reads");
    assert_eq!(agents.items.len(), 1);
}

#[tokio::test]
async fn a_wrong_pin_ends_the_agent_with_a_sentence_and_does_not_use_up_the_token() {
    let relay = Relay::start().await;
    let token = relay.join_token().await;
    let wrong = CaPin::of_public_key(b"another key");
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = FileStore::new(folder.path());
    let error = enrolment(&relay, wrong, &token).obtain(&store).await.expect_err("is refused");
    assert!(error.to_string().contains("--ca-pin"), "{error}");
    enrolment(&relay, relay.ca.pin(), &token).obtain(&store).await.expect("the token is still good");
}

#[tokio::test]
async fn an_agent_without_identity_and_token_ends_with_a_sentence() {
    let relay = Relay::start().await;
    let folder = Arc::new(tempfile::tempdir().expect("makes a folder"));
    let error = Agent::start(&relay, &folder, relay.address, None).outcome().await.expect_err("cannot go on");
    assert!(error.to_string().contains("join-token"), "{error}");
}
