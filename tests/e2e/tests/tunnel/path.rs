//! The way between agent and relay changes, or breaks for a while.

use std::net::Ipv4Addr;
use std::sync::Arc;

use podlatch_impair::{Cut, Profile, UdpProxy};
use podlatch_relay::tunnel::{AgentEvent, AgentState};

use crate::harness::{Agent, Relay, round_trip};

async fn proxied(relay: &Relay) -> (UdpProxy, Agent) {
    let listen = (Ipv4Addr::LOCALHOST, 0).into();
    let proxy = UdpProxy::start(listen, relay.address, Profile::default(), 1).await.expect("starts");
    let folder = Arc::new(tempfile::tempdir().expect("makes a folder"));
    let agent = Agent::start(relay, &folder, proxy.address(), Some(&relay.join_token().await));
    (proxy, agent)
}

#[tokio::test]
async fn the_connection_survives_a_change_of_the_agents_address() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let (proxy, agent) = proxied(&relay).await;
    let handle = news.connected().await;
    // The agent has its welcome now; before, it would wait for it at its old address.
    round_trip(&handle).await;
    for _ in 0..3 {
        proxy.change_address();
        round_trip(&handle).await;
    }
    let happened = news.so_far();
    assert!(happened.is_empty(), "{happened:?}");
    agent.stop().await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_cut_is_told_as_silence_and_its_end_as_an_answer_on_the_same_connection() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let (proxy, agent) = proxied(&relay).await;
    let handle = news.connected().await;
    // The agent has its welcome now.
    round_trip(&handle).await;
    proxy.cut(Cut::Both);
    assert!(matches!(news.next().await, AgentEvent::Silent { agent } if agent == handle.agent()));
    assert_eq!(handle.state(), AgentState::Silent);
    assert!(!relay.agents.online(relay.cluster));
    proxy.heal();
    let event = news.next().await;
    assert!(matches!(event, AgentEvent::Answering { agent } if agent == handle.agent()), "{event:?}");
    assert_eq!(handle.state(), AgentState::Answering);
    round_trip(&handle).await;
    agent.stop().await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_long_cut_ends_in_a_new_connection_of_the_same_life() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let (proxy, agent) = proxied(&relay).await;
    let before = news.connected().await;
    round_trip(&before).await;
    proxy.cut(Cut::Both);
    before.closed().await;
    proxy.heal();
    let after = news.connected().await;
    assert_eq!((after.agent(), after.instance()), (before.agent(), before.instance()));
    assert_ne!(after.connection_id(), before.connection_id());
    round_trip(&after).await;
    agent.stop().await;
    proxy.shutdown().await;
}
