//! The relay goes away and comes back.

use podlatch_protocol::id::{AgentId, AgentInstanceId};
use podlatch_relay::tunnel::AgentState;
use tokio::time::{Duration, Instant};

use crate::harness::{Agent, Relay, round_trip};

/// Which agent is connected, and which life of it, once it has its welcome. A handle itself would keep the socket of a relay
/// that is gone.
async fn welcomed(relay: &Relay) -> (AgentId, AgentInstanceId) {
    let handle = relay.news().connected().await;
    round_trip(&handle).await;
    (handle.agent(), handle.instance())
}

#[tokio::test]
async fn an_agent_comes_back_as_itself_after_a_restart_of_the_relay() {
    let relay = Relay::start().await;
    let agent = Agent::enrol(&relay).await;
    let before = welcomed(&relay).await;
    let relay = relay.restart().await;
    assert_eq!(welcomed(&relay).await, before);
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_notices_that_its_relay_was_killed_and_comes_back() {
    let relay = Relay::start().await;
    let agent = Agent::enrol(&relay).await;
    let before = welcomed(&relay).await;
    let relay = relay.kill_and_restart().await;
    let restarted = Instant::now();
    let after = relay.news().connected().await;
    // The old connection's idle timeout alone is 45 s: a stateless reset told the agent.
    assert!(restarted.elapsed() < Duration::from_secs(40), "took {:?}", restarted.elapsed());
    assert_eq!((after.agent(), after.instance()), before);
    agent.stop().await;
}

#[tokio::test]
async fn many_agents_come_back_to_a_restarted_relay_each_as_itself() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let (mut agents, mut before) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        agents.push(Agent::enrol(&relay).await);
        let handle = news.connected().await;
        round_trip(&handle).await;
        before.push(handle.agent());
    }
    let relay = relay.restart().await;
    let (mut news, mut after) = (relay.news(), Vec::new());
    for _ in &agents {
        after.push(news.connected().await.agent());
    }
    before.sort();
    after.sort();
    assert_eq!(before, after);
    for agent in agents {
        agent.stop().await;
    }
}

#[tokio::test]
async fn a_draining_agent_says_so_and_ends_when_nothing_lives() {
    let relay = Relay::start().await;
    let agent = Agent::enrol(&relay).await;
    let handle = relay.news().connected().await;
    round_trip(&handle).await;
    assert_eq!(handle.state(), AgentState::Answering);
    agent.lifecycle.drain.cancel();
    agent.outcome().await.expect("ends well");
    handle.closed().await;
}
