//! A relay that does not keep to the protocol, and what an agent makes of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use podlatch_link::framing::FrameReader;
use podlatch_link::transport::{End, transport_config};
use podlatch_protocol::close::RefusalCode;
use podlatch_protocol::codec;
use podlatch_protocol::control::{ToAgent, ToRelay};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::inventory::WatchScope;
use podlatch_protocol::request::Request;
use podlatch_protocol::session;
use podlatch_protocol::version::TUNNEL_ALPN;
use podlatch_relay::clock::Clock;
use podlatch_relay::pki::RelayCertificate;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, ServerConfig};
use tokio::time::timeout;

use crate::harness::{Agent, PATIENCE, Relay};

/// Listens with the certificate of a real relay.
pub(crate) struct RogueRelay {
    pub(crate) endpoint: Endpoint,
    pub(crate) address: SocketAddr,
}

/// An agent on it.
pub(crate) struct Visitor {
    pub(crate) connection: Connection,
    send: SendStream,
    reader: FrameReader<RecvStream>,
}

impl RogueRelay {
    fn start(relay: &Relay) -> Self {
        Self::start_for(relay, TUNNEL_ALPN)
    }

    pub(crate) fn start_for(relay: &Relay, alpn: &[u8]) -> Self {
        let certificate = RelayCertificate::new(Arc::clone(&relay.ca), Clock::system()).expect("is made");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("is possible")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        tls.alpn_protocols = vec![alpn.to_vec()];
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).expect("is TLS 1.3")));
        config.transport_config(Arc::new(transport_config(End::Relay)));
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).expect("binds");
        let address = endpoint.local_addr().expect("is bound");
        Self { endpoint, address }
    }

    /// The next agent that connects and says hello.
    pub(crate) async fn visitor(&self) -> Visitor {
        let visit = async {
            let connection = self.endpoint.accept().await.expect("listens").await.expect("connects");
            let (send, recv) = connection.accept_bi().await.expect("opens its control stream");
            let mut reader = FrameReader::new(recv);
            let hello = reader.next().await.expect("reads").expect("says hello");
            assert!(matches!(codec::decode(&hello.body), Ok(ToRelay::Hello(_))));
            Visitor { connection, send, reader }
        };
        timeout(PATIENCE, visit).await.expect("somebody comes")
    }
}

impl Visitor {
    pub(crate) async fn say(&mut self, message: &ToAgent) {
        let mut bytes = BytesMut::new();
        frame::put(&mut bytes, FrameKind::CONTROL_TO_AGENT, &codec::encode(message).expect("encodes"));
        self.say_raw(&bytes).await;
    }

    async fn say_raw(&mut self, bytes: &[u8]) {
        self.send.write_all(bytes).await.expect("sends");
    }

    /// Waits until the agent answers this ping: everything before it was survived.
    pub(crate) async fn ping(&mut self, number: u64) {
        self.say(&ToAgent::Ping(number)).await;
        let answered = async {
            loop {
                let frame = self.reader.next().await.expect("reads").expect("goes on");
                if codec::decode(&frame.body).ok() == Some(ToRelay::Pong(number)) {
                    return;
                }
            }
        };
        timeout(PATIENCE, answered).await.expect("answers");
    }
}

/// An agent that has enrolled at `relay` and now dials somebody who has taken its key.
async fn misled(relay: &Relay, rogue: &RogueRelay) -> Agent {
    misled_with(relay, rogue, &[]).await
}

/// The same, with further arguments.
pub(crate) async fn misled_with(relay: &Relay, rogue: &RogueRelay, more: &[&str]) -> Agent {
    let agent = Agent::enrol(relay).await;
    relay.news().connected().await;
    let folder = Arc::clone(&agent.folder);
    agent.stop().await;
    Agent::start_with(relay, &folder, rogue.address, None, more)
}

#[tokio::test]
async fn an_agent_refuses_streams_that_make_no_sense_and_answers_pings_all_the_same() {
    let relay = Relay::start().await;
    let rogue = RogueRelay::start(&relay);
    let agent = misled(&relay, &rogue).await;
    let mut visitor = rogue.visitor().await;
    visitor.say(&ToAgent::Welcome).await;
    visitor.ping(1).await;
    let mut wrong_kind = BytesMut::new();
    frame::put(&mut wrong_kind, FrameKind::OUTPUT, &[0; 16]);
    let mut senseless = BytesMut::new();
    frame::put(&mut senseless, FrameKind::REQUEST, &[0xff; 64]);
    let oversized = [0, 1, 0xff, 0xff, 0xff, 0xff];
    for (what, bytes) in
        [("a wrong kind", &wrong_kind[..]), ("a senseless request", &senseless), ("too much", &oversized)]
    {
        let (mut send, recv) = visitor.connection.open_bi().await.expect("opens");
        send.write_all(bytes).await.expect("sends");
        let frame = timeout(PATIENCE, FrameReader::new(recv).next()).await.expect("answers").expect("reads");
        match session::ToRelay::decode(frame.expect("answers")).expect("is a message") {
            Some(session::ToRelay::Refused(refusal)) => assert_eq!(refusal.code, RefusalCode::BadRequest, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
    // Streams that are opened and left, or broken off in the middle of a request, or given up at once.
    let mut left = Vec::new();
    for index in 0..60 {
        let (mut send, recv) = visitor.connection.open_bi().await.expect("opens");
        let mut request = BytesMut::new();
        let watch = codec::encode(&Request::Watch(WatchScope::Namespaces)).expect("encodes");
        frame::put(&mut request, FrameKind::REQUEST, &watch);
        match index % 3 {
            0 => send.write_all(&request[..4]).await.expect("sends"),
            1 => {
                send.write_all(&request).await.expect("sends");
                continue;
            }
            _ => send.write_all(&request[..6]).await.expect("sends"),
        }
        left.push((send, recv));
    }
    visitor.ping(2).await;
    agent.stop().await;
}

#[tokio::test]
async fn control_messages_that_make_no_sense_are_skipped_and_too_large_ones_end_the_connection() {
    let relay = Relay::start().await;
    let rogue = RogueRelay::start(&relay);
    let agent = misled(&relay, &rogue).await;
    let mut visitor = rogue.visitor().await;
    visitor.say(&ToAgent::Welcome).await;
    let mut noise = BytesMut::new();
    frame::put(&mut noise, FrameKind(0xfeed), b"?");
    frame::put(&mut noise, FrameKind::CONTROL_TO_AGENT, &[0xff; 32]);
    frame::put(&mut noise, FrameKind::CONTROL_TO_AGENT, b"");
    visitor.say_raw(&noise).await;
    // Certificates that nobody asked for are not taken.
    let certificate = podlatch_protocol::enrolment::Certificate {
        certificate: vec![1; 64],
        ca: vec![2; 64],
        not_after_unix_seconds: u64::MAX,
    };
    visitor.say(&ToAgent::Renewed(certificate)).await;
    visitor.say(&ToAgent::Welcome).await;
    visitor.ping(1).await;
    visitor.say_raw(&[0, 0x11, 0xff, 0xff, 0xff, 0xff]).await;
    timeout(PATIENCE, visitor.connection.closed()).await.expect("is ended by the agent");
    let mut again = rogue.visitor().await;
    again.say(&ToAgent::Welcome).await;
    again.ping(1).await;
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_rejected_comes_back_later_and_not_at_once() {
    let relay = Relay::start().await;
    let rogue = RogueRelay::start(&relay);
    let agent = misled(&relay, &rogue).await;
    let mut visitor = rogue.visitor().await;
    visitor.say(&ToAgent::Rejected("Not today.".to_owned())).await;
    timeout(PATIENCE, visitor.connection.closed()).await.expect("is ended by the agent");
    let soon = timeout(Duration::from_secs(5), rogue.endpoint.accept()).await;
    assert!(soon.is_err(), "it does not insist");
    agent.stop().await;
}
