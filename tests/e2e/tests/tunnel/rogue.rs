//! A peer that does not keep to the protocol, and an honest agent beside it.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use podlatch_agent::tls;
use podlatch_link::disconnect::Disconnect;
use podlatch_link::framing::FrameReader;
use podlatch_link::transport::{End, transport_config};
use podlatch_protocol::codec;
use podlatch_protocol::control::{Hello, ToAgent, ToRelay};
use podlatch_protocol::enrolment::{EnrolReply, EnrolRequest};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::id::{AgentId, AgentInstanceId};
use podlatch_protocol::version::{ENROLMENT_ALPN, RELAY_TLS_NAME, TUNNEL_ALPN};
use podlatch_relay::pki::{AgentCertificate, AgentIdentity};
use podlatch_relay::tunnel::AgentEvent;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, ConnectionError, Endpoint, RecvStream, SendStream};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::time::timeout;

use crate::harness::{Agent, PATIENCE, Relay, round_trip};

/// A certificate and its key.
pub(crate) struct Credentials {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: Vec<u8>,
}

impl Credentials {
    /// Enrols properly.
    pub(crate) async fn enrol(relay: &Relay) -> Self {
        let key = KeyPair::generate().expect("makes a key");
        let csr = CertificateParams::default().serialize_request(&key).expect("makes a request").der().to_vec();
        match ask_enrolment(relay, relay.join_token().await, csr).await {
            EnrolReply::Enrolled(answer) => Self { certificate: answer.certificate.into(), key: key.serialize_der() },
            EnrolReply::Refused(sentence) => panic!("{sentence}"),
        }
    }
}

pub(crate) async fn ask_enrolment(relay: &Relay, token: String, csr: Vec<u8>) -> EnrolReply {
    let (_endpoint, connection) = connect(relay, None, ENROLMENT_ALPN).await.expect("connects");
    let (mut send, recv) = connection.open_bi().await.expect("opens");
    let mut bytes = BytesMut::new();
    let request = EnrolRequest { token, csr, agent_version: "1".to_owned() };
    frame::put(&mut bytes, FrameKind::ENROL_REQUEST, &codec::encode(&request).expect("encodes"));
    send.write_all(&bytes).await.expect("sends");
    let frame = FrameReader::new(recv).next().await.expect("answers").expect("answers");
    codec::decode(&frame.body).expect("is an answer")
}

/// Connects with any certificate, or none.
async fn connect(
    relay: &Relay,
    credentials: Option<&Credentials>,
    alpn: &[u8],
) -> Result<(Endpoint, Connection), ConnectionError> {
    let mut tls = tls::client_config(relay.ca.pin(), tls::Credentials::None, alpn).expect("has settings");
    if let Some(Credentials { certificate, key }) = credentials {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = PrivatePkcs8KeyDer::from(key.clone()).into();
        let key =
            rustls::sign::CertifiedKey::from_der(vec![certificate.clone()], key, &provider).expect("belong together");
        tls.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
    }
    let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("is TLS 1.3")));
    config.transport_config(Arc::new(transport_config(End::Agent { max_streams: 8 })));
    let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).expect("binds");
    let connection = endpoint.connect_with(config, relay.address, RELAY_TLS_NAME).expect("dials").await?;
    Ok((endpoint, connection))
}

/// A peer that may do anything.
pub(crate) struct Rogue {
    _endpoint: Endpoint,
    pub(crate) connection: Connection,
    control: Option<(SendStream, FrameReader<RecvStream>)>,
}

impl Rogue {
    pub(crate) async fn dial(relay: &Relay, credentials: Option<&Credentials>) -> Result<Self, ConnectionError> {
        let (endpoint, connection) = connect(relay, credentials, TUNNEL_ALPN).await?;
        Ok(Self { _endpoint: endpoint, connection, control: None })
    }

    /// Says hello properly; the relay's first answer, if it gives one.
    pub(crate) async fn greet(&mut self) -> Option<ToAgent> {
        self.greet_as(1).await
    }

    /// The same, as this life of an agent's process.
    pub(crate) async fn greet_as(&mut self, life: u8) -> Option<ToAgent> {
        let hello = ToRelay::Hello(Hello {
            minor: 0,
            agent_version: "1".to_owned(),
            kubernetes_version: "v1".to_owned(),
            instance: AgentInstanceId::new(1, &[life; 10]),
            sessions: vec![],
        });
        self.send(&control_frame(&hello)).await.ok()?;
        let (_, reader) = self.control.as_mut()?;
        let frame = timeout(PATIENCE, reader.next()).await.expect("answers in time").ok()??;
        codec::decode(&frame.body).ok()
    }

    /// Asks for a certificate to a new key, and gets it.
    pub(crate) async fn renew(&mut self) -> Credentials {
        let key = KeyPair::generate().expect("makes a key");
        let csr = CertificateParams::default().serialize_request(&key).expect("makes a request").der().to_vec();
        self.send(&control_frame(&ToRelay::Renew(csr))).await.expect("sends");
        let (_, reader) = self.control.as_mut().expect("is open");
        let answered = async {
            loop {
                let frame = reader.next().await.expect("reads").expect("goes on");
                if let Ok(ToAgent::Renewed(answer)) = codec::decode(&frame.body) {
                    return Credentials { certificate: answer.certificate.into(), key: key.serialize_der() };
                }
            }
        };
        timeout(PATIENCE, answered).await.expect("answers")
    }

    /// Says what is on the control stream as an agent.
    pub(crate) async fn say(&mut self, message: &ToRelay) {
        self.send(&control_frame(message)).await.expect("sends");
    }

    /// Sends any bytes on the control stream.
    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.control.is_none() {
            let (send, recv) = self.connection.open_bi().await?;
            self.control = Some((send, FrameReader::new(recv)));
        }
        if let Some((send, _)) = &mut self.control {
            send.write_all(bytes).await?;
        }
        Ok(())
    }

    /// Why the relay ends this connection.
    async fn ended(&self) -> Option<Disconnect> {
        let error = timeout(PATIENCE, self.connection.closed()).await.expect("is ended by the relay");
        Disconnect::of(&error)
    }
}

fn control_frame(message: &ToRelay) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, FrameKind::CONTROL_TO_RELAY, &codec::encode(message).expect("encodes"));
    bytes
}

/// An announced length beyond what is allowed.
const OVERSIZED: [u8; 6] = [0, 0x10, 0xff, 0xff, 0xff, 0xff];

#[tokio::test]
async fn each_breach_of_the_protocol_ends_its_connection_and_no_other() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let honest = Agent::enrol(&relay).await;
    let handle = news.connected().await;
    let credentials = Credentials::enrol(&relay).await;
    let mut unknown_kinds = BytesMut::new();
    for _ in 0..1_000 {
        frame::put(&mut unknown_kinds, FrameKind(0xfeed), b"?");
    }
    let hello_again = control_frame(&ToRelay::Hello(Hello {
        minor: 0,
        agent_version: String::new(),
        kubernetes_version: String::new(),
        instance: AgentInstanceId::new(1, &[1; 10]),
        sessions: vec![],
    }));
    for (what, bytes) in [
        ("an oversized frame", OVERSIZED.to_vec()),
        ("nothing but unknown kinds", unknown_kinds.to_vec()),
        ("a second greeting", hello_again.to_vec()),
    ] {
        let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
        assert_eq!(rogue.greet().await, Some(ToAgent::Welcome), "{what}");
        rogue.send(&bytes).await.expect("sends");
        assert_eq!(rogue.ended().await, Some(Disconnect::Protocol), "{what}");
        round_trip(&handle).await;
    }
    for (what, bytes) in [
        ("an oversized greeting", OVERSIZED.to_vec()),
        ("a pong instead of a greeting", control_frame(&ToRelay::Pong(1)).to_vec()),
    ] {
        let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
        rogue.send(&bytes).await.expect("sends");
        assert_eq!(rogue.ended().await, Some(Disconnect::Protocol), "{what}");
        round_trip(&handle).await;
    }
    assert!(relay.agents.get(handle.agent()).is_some_and(|now| now.connection_id() == handle.connection_id()));
    honest.stop().await;
}

#[tokio::test]
async fn a_greeting_that_is_cut_off_ends_the_connection() {
    let relay = Relay::start().await;
    let credentials = Credentials::enrol(&relay).await;
    let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
    rogue.send(&[0, 0x10, 0, 0, 0, 9, 1]).await.expect("sends");
    let (mut send, _reader) = rogue.control.take().expect("is open");
    send.finish().expect("finishes");
    assert_eq!(rogue.ended().await, Some(Disconnect::Done));
    assert!(relay.agents.is_empty());
}

#[tokio::test]
async fn peers_that_stall_are_cut_off_and_do_not_keep_others_out() {
    let relay = Relay::start().await;
    let credentials = Credentials::enrol(&relay).await;
    let mut stalled = Vec::new();
    for index in 0..40 {
        let with = if index % 2 == 0 { Some(&credentials) } else { None };
        let alpn = if index % 4 == 1 { ENROLMENT_ALPN } else { TUNNEL_ALPN };
        if let Ok((endpoint, connection)) = connect(&relay, with, alpn).await {
            stalled.push((endpoint, connection));
        }
    }
    let mut news = relay.news();
    let agent = Agent::enrol(&relay).await;
    let handle = news.connected().await;
    round_trip(&handle).await;
    for (_endpoint, connection) in &stalled {
        let ended = timeout(PATIENCE, connection.closed()).await.expect("is cut off");
        assert!(
            matches!(Disconnect::of(&ended), Some(Disconnect::TooSlow | Disconnect::CertificateRequired)),
            "{ended:?}"
        );
    }
    agent.stop().await;
}

#[tokio::test]
async fn malformed_enrolments_are_cut_off_and_use_up_no_token() {
    let relay = Relay::start().await;
    let token = relay.join_token().await;
    for bytes in [&OVERSIZED[..], &[0, 0x20, 0, 0, 0, 2, 0xff, 0xff][..], &[0, 0x20, 0, 0, 0, 9, 1][..]] {
        let (_endpoint, connection) = connect(&relay, None, ENROLMENT_ALPN).await.expect("connects");
        let (mut send, _recv) = connection.open_bi().await.expect("opens");
        send.write_all(bytes).await.expect("sends");
        send.finish().expect("finishes");
        let ended = timeout(PATIENCE, connection.closed()).await.expect("is cut off");
        assert_eq!(Disconnect::of(&ended), Some(Disconnect::Protocol));
    }
    for csr in [vec![], vec![0x30; 100], vec![0; 5_000]] {
        let reply = ask_enrolment(&relay, token.clone(), csr).await;
        assert!(matches!(reply, EnrolReply::Refused(sentence) if sentence.contains("certificate request")));
    }
    let key = KeyPair::generate().expect("makes a key");
    let csr = CertificateParams::default().serialize_request(&key).expect("makes a request").der().to_vec();
    assert!(matches!(ask_enrolment(&relay, token, csr).await, EnrolReply::Enrolled(_)), "the token is still good");
}

#[tokio::test]
async fn names_in_a_certificate_request_are_not_believed() {
    let relay = Relay::start().await;
    let victim =
        AgentIdentity { organisation: relay.organisation, cluster: relay.cluster, agent: AgentId::new(5, &[5; 10]) };
    let key = KeyPair::generate().expect("makes a key");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(victim.uri().try_into().expect("is a URI"))];
    let csr = params.serialize_request(&key).expect("makes a request").der().to_vec();
    let EnrolReply::Enrolled(answer) = ask_enrolment(&relay, relay.join_token().await, csr).await else {
        panic!("is refused");
    };
    let issued = AgentCertificate::parse(&answer.certificate).expect("is an agent's").identity;
    assert_eq!((issued.organisation, issued.cluster), (relay.organisation, relay.cluster));
    assert_ne!(issued.agent, victim.agent);
}

#[tokio::test]
async fn noise_on_the_port_and_many_greetings_leave_an_honest_agent_alone() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let honest = Agent::enrol(&relay).await;
    let handle = news.connected().await;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
    for round in 0..2_000_u16 {
        let noise: [u8; 600] = std::array::from_fn(|_| rand::random());
        socket.send_to(&noise[..usize::from(round % 600)], relay.address).expect("sends");
    }
    let credentials = Credentials::enrol(&relay).await;
    for _ in 0..30 {
        let mut rogue = Rogue::dial(&relay, Some(&credentials)).await.expect("connects");
        assert_eq!(rogue.greet().await, Some(ToAgent::Welcome));
        for _ in 0..100 {
            rogue.send(&control_frame(&ToRelay::Renew(vec![0; 64]))).await.expect("sends");
        }
    }
    round_trip(&handle).await;
    let harmed = |event: &AgentEvent| match event {
        AgentEvent::Silent { agent } | AgentEvent::Disconnected { agent, .. } | AgentEvent::Revoked { agent, .. } => {
            *agent == handle.agent()
        }
        AgentEvent::Connected { .. } | AgentEvent::Answering { .. } => false,
    };
    assert!(!news.so_far().iter().any(harmed));
    honest.stop().await;
}

#[tokio::test]
async fn an_agent_refuses_streams_that_make_no_sense_and_goes_on() {
    let relay = Relay::start().await;
    let mut news = relay.news();
    let agent = Agent::enrol(&relay).await;
    let handle = news.connected().await;
    // A request that is larger than a frame never leaves the relay.
    let words = vec!["x".repeat(40_000), "y".repeat(40_000)];
    let open = podlatch_protocol::request::Open {
        session: podlatch_protocol::id::SessionId::new(1, &[2; 10]),
        target: podlatch_protocol::target::PodTarget {
            namespace: "default".parse().expect("is a namespace"),
            pod: "pod".parse().expect("is a name"),
            container: None,
        },
        program: podlatch_protocol::request::Program::Command(words),
        size: podlatch_protocol::terminal::TerminalSize::DEFAULT,
        credit: 0,
        grace: Duration::from_secs(1),
        after_exit: podlatch_protocol::request::AfterExit::Leave,
        lease: podlatch_protocol::request::Lease {
            valid_for: Duration::from_secs(1),
            expires_in: Duration::from_secs(1),
        },
        marks: None,
    };
    let error = handle.request(&podlatch_protocol::request::Request::Open(open)).await.expect_err("is too large");
    assert_eq!(error.refusal(), podlatch_protocol::close::RefusalCode::BadRequest);
    round_trip(&handle).await;
    agent.stop().await;
}
