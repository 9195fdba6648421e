//! Join tokens and the pin: who gets an identity, and what the others are told.

use std::sync::Arc;

use bytes::BytesMut;
use podlatch_agent::enrolment::{Enrolment, EnrolmentError};
use podlatch_agent::identity::{FileStore, IdentityStore};
use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::read_one;
use podlatch_link::pin::CaPin;
use podlatch_protocol::close::RefusalCode;
use podlatch_protocol::codec;
use podlatch_protocol::enrolment::{EnrolReply, EnrolRequest};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::version::ENROLMENT_ALPN;
use podlatch_relay::clock::Clock;
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::pki::AgentCertificate;
use podlatch_relay::store::PageRequest;
use secrecy::SecretString;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{Agent, PATIENCE, Relay, round_trip};
use crate::rogue::ask_enrolment;
use crate::rogue_relay::RogueRelay;

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

/// A relay whose first answer is lost on its way: it has enrolled the agent all the same.
async fn forget_the_first_answer(relay: &Relay, rogue: &RogueRelay) -> Vec<EnrolRequest> {
    let mut asked = Vec::new();
    for answered in [false, true] {
        let connection = rogue.endpoint.accept().await.expect("listens").await.expect("connects");
        let (mut send, mut recv) = connection.accept_bi().await.expect("asks");
        let frame = read_one(&mut recv).await.expect("reads").expect("asks");
        let request: EnrolRequest = codec::decode(&frame.body).expect("is a question");
        let reply = ask_enrolment(relay, request.token.clone(), request.csr.clone()).await;
        assert!(matches!(reply, EnrolReply::Enrolled(_)), "{reply:?}");
        asked.push(request);
        if answered {
            let mut bytes = BytesMut::new();
            frame::put(&mut bytes, FrameKind::ENROL_REPLY, &codec::encode(&reply).expect("encodes"));
            send.write_all(&bytes).await.expect("sends");
            send.finish().expect("finishes");
            connection.closed().await;
        } else {
            Disconnect::Internal.close(&connection);
        }
    }
    asked
}

#[tokio::test]
async fn an_answer_that_is_lost_is_given_again_to_the_same_key_and_to_no_other() {
    let relay = Relay::start().await;
    let rogue = RogueRelay::start_for(&relay, ENROLMENT_ALPN);
    let token = relay.join_token().await;
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = FileStore::new(folder.path());
    let through = Enrolment {
        relay: rogue.address.to_string().parse().expect("is an address"),
        ..enrolment(&relay, relay.ca.pin(), &token)
    };
    let enrolled = async { through.obtain(&store).await.expect("enrols in the end") };
    let both = async { tokio::join!(enrolled, forget_the_first_answer(&relay, &rogue)) };
    let (identity, asked) = timeout(PATIENCE, both).await.expect("is answered");
    assert_eq!(asked[0].csr, asked[1].csr, "one key for all attempts");

    let page = PageRequest::new(None, 10);
    let agents = relay.store.list_agents(relay.organisation, relay.cluster, page).await.expect("reads").items;
    assert_eq!(agents.len(), 1, "it is one agent, not two");
    let certificate = AgentCertificate::parse(identity.certificate()).expect("is an agent's");
    assert_eq!(certificate.identity.agent, agents[0].id);
    assert!(agents[0].accepts(certificate.public_key));
    assert!(refusal(&relay, &token).await.contains("used already"), "another key is another agent");
}
