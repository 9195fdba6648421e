//! An identity that was copied: whoever comes with an older certificate, and whoever takes turns with another process.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use podlatch_e2e::poll;
use podlatch_protocol::control::ToAgent;
use podlatch_protocol::id::AgentId;
use podlatch_relay::domain::access::AuditScope;
use podlatch_relay::domain::agent;
use podlatch_relay::domain::audit::{Action, Outcome};
use podlatch_relay::pki::Lifetimes;
use podlatch_relay::store::AuditFilter;

use crate::harness::{Agent, PATIENCE, Relay, round_trip};
use crate::rogue::{Credentials, Rogue};

async fn stored(relay: &Relay, id: AgentId) -> agent::Agent {
    let found = relay.store.get_agent(relay.organisation, relay.cluster, id).await.expect("reads");
    found.expect("is stored")
}

async fn until(relay: &Relay, id: AgentId, holds: impl Fn(&agent::Agent) -> bool) -> agent::Agent {
    let holds = &holds;
    let look = poll::until("what is stored of the agent holds", PATIENCE, || async move {
        let agent = stored(relay, id).await;
        Ok(if holds(&agent) { Ok(agent) } else { Err(format!("{agent:?}")) })
    });
    look.await.expect("comes to hold")
}

async fn told_of_clones(relay: &Relay) -> usize {
    let everything = AuditFilter::everything(relay.organisation, AuditScope::All);
    let events = relay.store.audit_run(&everything, 0, 1_000).await.expect("answers").items;
    let cloned = events.iter().filter(|event| event.action == Action::AgentCloned);
    cloned.inspect(|event| assert_eq!(event.outcome, Outcome::Refused)).count()
}

/// Connects and says hello.
async fn greet(relay: &Relay, credentials: &Credentials) -> (Rogue, Option<ToAgent>) {
    let mut rogue = Rogue::dial(relay, Some(credentials)).await.expect("passes TLS");
    let answer = rogue.greet().await;
    (rogue, answer)
}

#[tokio::test]
async fn an_older_certificate_is_refused_and_flagged_once_the_newer_one_was_seen() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let first = Credentials::enrol(&relay).await;
    let (mut honest, answer) = greet(&relay, &first).await;
    assert_eq!(answer, Some(ToAgent::Welcome));
    let id = news.connected().await.agent();
    let second = honest.renew().await;
    assert_eq!(stored(&relay, id).await.generation, 2);

    // As after a crash between the issue and the store: nobody has shown the newer one yet.
    let (_again, answer) = greet(&relay, &first).await;
    assert_eq!(answer, Some(ToAgent::Welcome));
    assert_eq!((stored(&relay, id).await.cloned, told_of_clones(&relay).await), (None, 0));

    let (current, answer) = greet(&relay, &second).await;
    assert_eq!(answer, Some(ToAgent::Welcome));
    let (_copy, answer) = greet(&relay, &first).await;
    match answer {
        Some(ToAgent::Rejected(sentence)) => assert!(sentence.contains("copied"), "{sentence}"),
        other => panic!("{other:?}"),
    }
    let seen = stored(&relay, id).await.cloned.expect("is flagged");
    assert_eq!(seen.from, "127.0.0.1");
    assert_eq!(told_of_clones(&relay).await, 1);
    assert!(current.connection.close_reason().is_none(), "a thief does not take the agent away");
    assert!(relay.agents.is_connected(id));
}

#[tokio::test]
async fn a_copied_identity_folder_is_noticed_after_a_renewal() {
    let lifetimes = Lifetimes { agent: Duration::from_secs(30), backdate: Duration::ZERO, ..Lifetimes::default() };
    let relay = Relay::start_with(lifetimes).await;
    let mut news = relay.news();
    let agent = Agent::enrol(&relay).await;
    let id = news.connected().await.agent();
    let copy = Arc::new(tempfile::tempdir().expect("makes a folder"));
    let identity = |folder: &tempfile::TempDir| folder.path().join("identity.json");
    fs::copy(identity(&agent.folder), identity(&copy)).expect("copies");

    until(&relay, id, |agent| agent.generation >= 2).await;
    let written = poll::holds("the agent has stored its new identity", PATIENCE, || async {
        Ok(fs::read(identity(&agent.folder))? != fs::read(identity(&copy))?)
    });
    written.await.expect("is stored");
    let folder = Arc::clone(&agent.folder);
    agent.stop().await;
    let agent = Agent::start(&relay, &folder, relay.address, None);
    let handle = news.connected().await;
    round_trip(&handle).await;

    let thief = Agent::start(&relay, &copy, relay.address, None);
    until(&relay, id, |agent| agent.cloned.is_some()).await;
    assert_eq!(told_of_clones(&relay).await, 1);
    round_trip(&handle).await;
    let current = relay.agents.get(id).expect("is connected");
    assert_eq!(current.connection_id(), handle.connection_id(), "the honest agent is left alone");
    thief.stop().await;
    agent.stop().await;
}

#[tokio::test]
async fn two_processes_with_one_identity_are_noticed_when_they_take_turns() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let credentials = Credentials::enrol(&relay).await;
    let mut turns = Vec::new();
    for (turn, life) in [1_u8, 2, 1].into_iter().enumerate() {
        let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("passes TLS");
        assert_eq!(rogue.greet_as(life).await, Some(ToAgent::Welcome));
        let id = news.connected().await.agent();
        if turn == 2 {
            until(&relay, id, |agent| agent.cloned.is_some()).await;
            assert_eq!(told_of_clones(&relay).await, 1);
        } else {
            assert_eq!(stored(&relay, id).await.cloned, None, "a restarted agent is no copy");
        }
        turns.push(rogue);
    }
}
