//! What the audit log says of agents.

use podlatch_agent::enrolment::Enrolment;
use podlatch_agent::identity::FileStore;
use podlatch_e2e::poll;
use podlatch_protocol::control::ToAgent;
use podlatch_relay::clock::Clock;
use podlatch_relay::domain::access::AuditScope;
use podlatch_relay::domain::audit::{Action, ActorKind, Event, NO_ORGANISATION, Origin, Outcome};
use podlatch_relay::store::AuditFilter;
use secrecy::SecretString;

use crate::harness::{PATIENCE, Relay};
use crate::rogue::{Credentials, Rogue};

/// The log, once it holds this action; it is written beside the connection's end.
async fn log_with(relay: &Relay, action: Action) -> Vec<Event> {
    let everything = AuditFilter::everything(relay.organisation, AuditScope::All);
    let look = poll::until("the action is written", PATIENCE, || async {
        let events = relay.store.audit_run(&everything, 0, 100).await?.items;
        Ok(if events.iter().any(|event| event.action == action) { Ok(events) } else { Err(format!("{events:?}")) })
    });
    look.await.expect("is written")
}

#[tokio::test]
async fn an_agents_life_is_in_the_log() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let credentials = Credentials::enrol(&relay).await;
    let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    assert_eq!(rogue.greet().await, Some(ToAgent::Welcome));
    let handle = news.connected().await;
    relay
        .store
        .revoke_agent(relay.organisation, handle.agent(), &Origin::operator(), Clock::system().now())
        .await
        .expect("is stored");
    log_with(&relay, Action::AgentDisconnected).await;
    let mut again = Rogue::dial(&relay, Some(&credentials)).await.expect("passes TLS");
    assert!(matches!(again.greet().await, Some(ToAgent::Rejected(_))));
    let events = log_with(&relay, Action::AgentRefused).await;
    let told: Vec<_> = events.iter().map(|event| event.action).collect();
    let expected = [
        Action::OrganisationCreated,
        Action::AccessRuleCreated,
        Action::ClusterCreated,
        Action::JoinTokenCreated,
        Action::AgentEnrolled,
        Action::AgentConnected,
        Action::AgentRevoked,
        Action::AgentDisconnected,
        Action::AgentRefused,
    ];
    assert_eq!(told, expected);
    for event in events.iter().filter(|event| matches!(event.action, Action::AgentEnrolled | Action::AgentConnected)) {
        assert_eq!((event.actor.kind, event.actor.id), (ActorKind::Agent, Some(handle.agent().as_uuid())));
        assert_eq!(event.cluster.as_ref().map(|(id, _)| *id), Some(relay.cluster));
        assert_eq!(event.client_ip.as_deref(), Some("127.0.0.1"));
    }
    assert_eq!(events.last().map(|event| event.outcome), Some(Outcome::Refused));
}

#[tokio::test]
async fn who_may_not_enrol_is_in_the_log_and_cannot_fill_it() {
    let relay = Relay::start().await;
    let expired = relay.join_token_until(Clock::system().now()).await;
    let folder = tempfile::tempdir().expect("makes a folder");
    let store = FileStore::new(folder.path());
    let enrol = async |token: &str| {
        let address = relay.address.to_string().parse().expect("is an address");
        let enrolment = Enrolment { relay: address, pin: relay.ca.pin(), token: Some(SecretString::from(token)) };
        enrolment.obtain(&store).await.expect_err("is refused");
    };
    enrol(&expired).await;
    let events = log_with(&relay, Action::AgentEnrolmentRefused).await;
    let refused = events.last().expect("an event");
    assert_eq!((refused.outcome, refused.actor.kind), (Outcome::Refused, ActorKind::Unknown));
    assert_eq!(refused.cluster.as_ref().map(|(id, _)| *id), Some(relay.cluster));
    assert!(refused.details.to_string().contains("expired") && !refused.details.to_string().contains(&expired[4..]));

    for _ in 0..25 {
        enrol("plj_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").await;
    }
    let nobodys = AuditFilter::everything(NO_ORGANISATION, AuditScope::All);
    let written = relay.store.audit_run(&nobodys, 0, 100).await.expect("answers").items.len();
    assert!((1..25).contains(&written), "{written}");
}
