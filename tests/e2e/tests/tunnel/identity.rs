//! Who is let in: the certificate decides, and what the store says about it.

use std::sync::Arc;
use std::time::Duration;

use podlatch_e2e::poll;
use podlatch_link::disconnect::Disconnect;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::{About, GuardReport, ToAgent, ToRelay};
use podlatch_protocol::id::{ClusterId, OrganisationId};
use podlatch_protocol::version::RELAY_TLS_NAME;
use podlatch_relay::clock::{Clock, UnixMillis};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::pki::{AgentCertificate, AgentIdentity, KEY_FILE};
use podlatch_relay::tunnel::AgentEvent;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use tokio::time::timeout;

use crate::harness::{Agent, PATIENCE, Relay, round_trip};
use crate::rogue::{Credentials, Rogue};

/// A certificate that the relay's own key signed, outside of the relay's rules.
fn signed_by(relay: &Relay, change: impl FnOnce(&mut CertificateParams)) -> Credentials {
    let text = std::fs::read_to_string(relay.data().join(KEY_FILE)).expect("reads");
    let ca_key = KeyPair::from_pem(&text).expect("is a key");
    let issuer = Issuer::from_ca_cert_der(relay.ca.certificate(), ca_key).expect("is a CA");
    let key = KeyPair::generate().expect("makes a key");
    let mut params = CertificateParams::default();
    change(&mut params);
    let certificate = params.signed_by(&key, &issuer).expect("signs").der().clone();
    Credentials { certificate, key: key.serialize_der() }
}

fn self_signed() -> Credentials {
    let key = KeyPair::generate().expect("makes a key");
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.self_signed(&key).expect("signs").der().clone();
    Credentials { certificate, key: key.serialize_der() }
}

/// Whether the relay lets somebody in who says hello with these credentials.
async fn is_let_in(relay: &Relay, credentials: Option<&Credentials>) -> bool {
    let Ok(mut rogue) = Rogue::dial(relay, credentials).await else {
        return false;
    };
    matches!(rogue.greet().await, Some(ToAgent::Welcome))
}

#[tokio::test]
async fn only_an_agents_certificate_of_this_relay_opens_the_tunnel() {
    let (relay, other) = (Relay::start().await, Relay::start().await);
    let honest = Credentials::enrol(&relay).await;
    let foreign = Credentials::enrol(&other).await;
    let relays_own = signed_by(&relay, |params| {
        params.subject_alt_names = vec![SanType::DnsName(RELAY_TLS_NAME.try_into().expect("is a name"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let nameless = signed_by(&relay, |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    let uri = AgentCertificate::parse(&honest.certificate).expect("is an agent's").identity.uri();
    let both_usages = signed_by(&relay, |params| {
        params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("is a URI"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    });
    let expired = signed_by(&relay, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    assert!(is_let_in(&relay, Some(&honest)).await);
    for (what, credentials) in [
        ("none at all", None),
        ("self-signed", Some(self_signed())),
        ("another relay's agent", Some(foreign)),
        ("the relay's own certificate", Some(relays_own)),
        ("of this CA, but naming no agent", Some(nameless)),
        ("naming an agent, for too many uses", Some(both_usages)),
        ("expired", Some(expired)),
    ] {
        assert!(!is_let_in(&relay, credentials.as_ref()).await, "{what}");
    }
}

#[tokio::test]
async fn an_agent_of_a_restored_database_is_told_to_enrol_again() {
    let relay = Relay::start().await;
    let credentials = Credentials::enrol(&relay).await;
    let unknown = signed_by(&relay, |params| {
        let mut identity = AgentCertificate::parse(&credentials.certificate).expect("is an agent's").identity;
        identity.agent = podlatch_protocol::id::AgentId::new(9, &[9; 10]);
        params.subject_alt_names = vec![SanType::URI(identity.uri().try_into().expect("is a URI"))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let mut rogue = Rogue::dial(&relay, Some(&unknown)).await.expect("passes TLS");
    match rogue.greet().await {
        Some(ToAgent::Rejected(sentence)) => assert!(sentence.contains("join token"), "{sentence}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_revoked_agent_is_disconnected_and_not_let_in_again() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let credentials = Credentials::enrol(&relay).await;
    let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    assert_eq!(rogue.greet().await, Some(ToAgent::Welcome));
    let handle = news.connected().await;
    // As the admin command does it, in the database alone.
    relay
        .store
        .revoke_agent(relay.organisation, handle.agent(), &Origin::operator(), UnixMillis::new(0))
        .await
        .expect("is stored");
    let ended = timeout(PATIENCE, rogue.connection.closed()).await.expect("is disconnected");
    assert_eq!(Disconnect::of(&ended), Some(Disconnect::Revoked));
    let told = news.next().await;
    assert!(matches!(told, AgentEvent::Revoked { cause: EndCause::AgentRevoked, .. }), "{told:?}");
    assert!(matches!(news.next().await, AgentEvent::Disconnected { .. }));
    assert!(relay.agents.is_empty());
    let mut again = Rogue::dial(&relay, Some(&credentials)).await.expect("passes TLS");
    match again.greet().await {
        Some(ToAgent::Rejected(sentence)) => assert!(sentence.contains("revoked"), "{sentence}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_revoked_agent_enrols_anew_when_it_gets_another_token() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let agent = Agent::enrol(&relay).await;
    let first = news.connected().await;
    let folder = Arc::clone(&agent.folder);
    agent.stop().await;
    relay
        .store
        .revoke_agent(relay.organisation, first.agent(), &Origin::operator(), UnixMillis::new(0))
        .await
        .expect("is stored");
    let token = relay.join_token().await;
    let agent = Agent::start(&relay, &folder, relay.address, Some(&token));
    let second = news.connected().await;
    assert_ne!(first.agent(), second.agent());
    round_trip(&second).await;
    agent.stop().await;
}

#[tokio::test]
async fn a_newer_connection_of_an_agent_replaces_the_older() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let credentials = Credentials::enrol(&relay).await;
    let mut older = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    assert_eq!(older.greet().await, Some(ToAgent::Welcome));
    let first = news.connected().await;
    let mut newer = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    assert_eq!(newer.greet().await, Some(ToAgent::Welcome));
    let second = news.connected().await;
    let ended = timeout(PATIENCE, older.connection.closed()).await.expect("is disconnected");
    assert_eq!(Disconnect::of(&ended), Some(Disconnect::Replaced));
    assert_eq!(first.agent(), second.agent());
    let current = relay.agents.get(first.agent()).expect("is connected");
    assert_eq!(current.connection_id(), second.connection_id());
    match news.next().await {
        AgentEvent::Disconnected { connection, .. } => assert_eq!(connection, first.connection_id()),
        other => panic!("{other:?}"),
    }
    assert!(relay.agents.online(relay.cluster), "the older one's end takes nothing away");
}

#[tokio::test]
async fn a_certificate_that_is_not_renewed_ends_its_connection() {
    let lifetimes =
        podlatch_relay::pki::Lifetimes { agent: Duration::from_secs(10), ..podlatch_relay::pki::Lifetimes::default() };
    let relay = Relay::start_with(lifetimes).await;
    let credentials = Credentials::enrol(&relay).await;
    let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    assert_eq!(rogue.greet().await, Some(ToAgent::Welcome));
    let ended = timeout(PATIENCE, rogue.connection.closed()).await.expect("is disconnected");
    assert_eq!(Disconnect::of(&ended), Some(Disconnect::Expired));
    let expires_at = AgentCertificate::parse(&credentials.certificate).expect("is an agent's").expires_at;
    assert!(Clock::system().now() >= expires_at);
    assert!(!is_let_in(&relay, Some(&credentials)).await);
}

#[tokio::test]
async fn an_agents_id_is_worth_nothing_with_another_cluster_or_organisation() {
    let relay = Relay::start().await;
    let credentials = Credentials::enrol(&relay).await;
    let honest = AgentCertificate::parse(&credentials.certificate).expect("is an agent's").identity;
    let other_cluster = ClusterId::new(7, &[7; 10]);
    let other_organisation = OrganisationId::new(8, &[8; 10]);
    for (what, forged) in [
        ("another cluster", AgentIdentity { cluster: other_cluster, ..honest }),
        ("another organisation", AgentIdentity { organisation: other_organisation, ..honest }),
        ("both", AgentIdentity { cluster: other_cluster, organisation: other_organisation, ..honest }),
    ] {
        let forged = signed_by(&relay, |params| {
            params.subject_alt_names = vec![SanType::URI(forged.uri().try_into().expect("is a URI"))];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        });
        assert!(!is_let_in(&relay, Some(&forged)).await, "{what}");
    }
    assert!(relay.agents.is_empty());
}

#[tokio::test]
async fn what_an_agent_says_of_itself_is_kept_under_its_certificates_name_alone() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let honest = Agent::enrol(&relay).await;
    let victim = news.connected().await;
    let credentials = Credentials::enrol(&relay).await;
    let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    assert_eq!(rogue.greet().await, Some(ToAgent::Welcome));
    let handle = news.connected().await;
    // It calls itself what the victim is.
    let about = About { replica: format!("{}\u{1b}[2J", victim.agent()), guard: GuardReport::default() };
    rogue.say(&ToRelay::About(about)).await;
    let stored = async |id| {
        let found = relay.store.get_agent(relay.organisation, relay.cluster, id).await.expect("reads");
        found.expect("is stored").about
    };
    let told = poll::until("it is stored", PATIENCE, || async { Ok(stored(handle.agent()).await.ok_or("nothing")) });
    let kept = told.await.expect("is kept");
    assert_eq!(kept.replica, format!("{}2J", victim.agent()), "plain text, at the rogue's own row");
    assert!(stored(victim.agent()).await.is_none_or(|about| about.replica != kept.replica));
    round_trip(&victim).await;
    honest.stop().await;
}
