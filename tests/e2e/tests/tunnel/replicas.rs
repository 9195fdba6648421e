//! Several replicas of one agent: one token, an identity each.

use std::collections::BTreeSet;
use std::sync::Arc;

use podlatch_protocol::inventory::WatchScope;
use podlatch_protocol::request::Request;
use podlatch_relay::tunnel::{AgentEvent, AgentState};

use crate::harness::{Agent, Relay, round_trip};

fn replica(relay: &Relay, token: &str) -> Agent {
    let folder = Arc::new(tempfile::tempdir().expect("makes a folder"));
    Agent::start(relay, &folder, relay.address, Some(token))
}

#[tokio::test]
async fn replicas_join_with_one_token_share_the_work_and_fail_alone() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let token = relay.join_token_for(3).await;
    let (first, second) = (replica(&relay, &token), replica(&relay, &token));
    let (one, other) = (news.connected().await, news.connected().await);
    assert_eq!((one.cluster(), other.cluster()), (relay.cluster, relay.cluster));
    assert_ne!(one.agent(), other.agent(), "each is an agent of its own");

    // What is asked for goes to whoever has less to do.
    let mut asked = Vec::new();
    let mut busy = BTreeSet::new();
    for _ in 0..2 {
        let picked = relay.agents.pick(relay.cluster).expect("is connected");
        busy.insert(picked.agent());
        asked.push(picked.request(&Request::Watch(WatchScope::Namespaces)).await.expect("takes a request"));
    }
    assert_eq!(busy, BTreeSet::from([one.agent(), other.agent()]));

    // One leaves; it says so first, and the other one is not touched.
    first.lifecycle.drain.cancel();
    first.lifecycle.hurry.cancel();
    first.outcome().await.expect("ends well");
    let left = loop {
        if let AgentEvent::Disconnected { agent, .. } = news.next().await {
            break agent;
        }
    };
    let stays = relay.agents.pick(relay.cluster).expect("is connected");
    assert_ne!(stays.agent(), left);
    assert_eq!(stays.state(), AgentState::Answering);
    round_trip(&stays).await;

    // The token is good for a third, and for nobody else.
    let third = replica(&relay, &token);
    news.connected().await;
    let fourth = replica(&relay, &token).outcome().await.expect_err("is refused");
    assert!(fourth.to_string().contains("used already"), "{fourth}");
    second.stop().await;
    third.stop().await;
}
