//! An agent with a real identity that answers the relay with whatever a test gives it.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::BytesMut;
use podlatch_agent::enrolment::Enrolment;
use podlatch_agent::identity::FileStore;
use podlatch_agent::tls::{Credentials, client_config};
use podlatch_e2e::stack::Stack;
use podlatch_link::framing::{FrameReader, FrameWriter, read_one};
use podlatch_link::transport::{End, transport_config};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::control::{Hello, ToAgent, ToRelay as Control};
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::id::{AgentInstanceId, SessionId};
use podlatch_protocol::request::{ReapReply, Request};
use podlatch_protocol::session::{Cleanup, Opened, ToRelay};
use podlatch_protocol::version::{MINOR, RELAY_TLS_NAME, TUNNEL_ALPN};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Within this the relay would have let a stream be opened.
const REFUSED: Duration = Duration::from_millis(250);

/// A connected rogue. It disconnects when it is dropped.
pub(crate) struct Rogue {
    _endpoint: Endpoint,
    connection: Connection,
    answer: Arc<Mutex<Vec<u8>>>,
    asked: Arc<Mutex<Vec<Request>>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Rogue {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Rogue {
    /// Enrols with a token, connects, and claims to hold these sessions.
    pub(crate) async fn connect(stack: &Stack, token: &str, claimed: Vec<SessionId>) -> anyhow::Result<Self> {
        // A second rogue of this process finds the provider installed.
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir()?;
        let pin = stack.pin().parse()?;
        let token = Some(SecretString::from(token));
        let enrolment = Enrolment { relay: stack.tunnel.parse()?, pin, token };
        let identity = enrolment.obtain(&FileStore::new(folder.path())).await?;
        let tls = client_config(pin, Credentials::Identity(&identity), TUNNEL_ALPN)?;
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(Arc::new(transport_config(End::Agent { max_streams: 64 })));
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        let connection = endpoint.connect_with(config, stack.tunnel.parse()?, RELAY_TLS_NAME)?.await?;
        let control = tokio::spawn(greet(&connection, claimed).await?);
        let answer = Arc::<Mutex<Vec<u8>>>::default();
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let streams = tokio::spawn(serve(connection.clone(), Arc::clone(&answer), Arc::clone(&asked)));
        Ok(Self { _endpoint: endpoint, connection, answer, asked, tasks: [control, streams] })
    }

    /// What it says when it is asked to open a session.
    pub(crate) fn will_answer(&self, bytes: Vec<u8>) {
        *self.answer.lock().expect("no holder panics") = bytes;
    }

    /// What the relay has asked of it.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// Begins streams that nobody asked for, and writes a session's output on those that the relay lets it have.
    pub(crate) async fn force_streams(&self, output: &[u8]) {
        for _ in 0..4 {
            let both = timeout(REFUSED, self.connection.open_bi()).await;
            let one = timeout(REFUSED, self.connection.open_uni()).await;
            let sends = [both.ok().and_then(Result::ok).map(|(send, _)| send), one.ok().and_then(Result::ok)];
            for mut send in sends.into_iter().flatten() {
                // The relay may have ended the connection over the one before.
                let _ended = send.write_all(output).await;
            }
        }
    }

    /// Whether the relay still talks to it.
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.close_reason().is_none()
    }
}

/// Says hello; the future that comes back answers pings.
async fn greet(
    connection: &Connection,
    sessions: Vec<SessionId>,
) -> anyhow::Result<impl Future<Output = ()> + Send + use<>> {
    let (send, recv) = connection.open_bi().await?;
    let (mut writer, mut reader) = (FrameWriter::new(send), FrameReader::new(recv));
    let hello = Hello {
        minor: MINOR,
        agent_version: "rogue".to_owned(),
        kubernetes_version: String::new(),
        instance: AgentInstanceId::new(1, &rand::random()),
        sessions,
    };
    say(&mut writer, &Control::Hello(hello)).await?;
    let welcome = reader.next().await?.context("no welcome")?;
    ensure!(codec::decode::<ToAgent>(&welcome.body)? == ToAgent::Welcome, "not welcome");
    Ok(async move {
        while let Ok(Some(frame)) = reader.next().await {
            if let Ok(ToAgent::Ping(number)) = codec::decode(&frame.body)
                && say(&mut writer, &Control::Pong(number)).await.is_err()
            {
                return;
            }
        }
    })
}

async fn say(writer: &mut FrameWriter<SendStream>, message: &Control) -> anyhow::Result<()> {
    frame::put(writer.buffer(), FrameKind::CONTROL_TO_RELAY, &codec::encode(message)?);
    Ok(writer.flush().await?)
}

/// Answers each stream and keeps it open.
async fn serve(connection: Connection, answer: Arc<Mutex<Vec<u8>>>, asked: Arc<Mutex<Vec<Request>>>) {
    let mut open: Vec<(SendStream, RecvStream)> = Vec::new();
    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
        let Ok(Some(request)) = read_one(&mut recv).await else { continue };
        let request = codec::decode::<Request>(&request.body);
        if let Ok(request) = &request {
            asked.lock().expect("no holder panics").push(request.clone());
        }
        let bytes = match request {
            Ok(Request::Open(_)) => answer.lock().expect("no holder panics").clone(),
            Ok(Request::Reap(_)) => {
                let body = codec::encode(&ReapReply { cleanup: Cleanup::Confirmed }).expect("encodes");
                any_frame(FrameKind::REAP_REPLY, &body)
            }
            _ => message(&ToRelay::Refused(Refusal::new(RefusalCode::NoSuchSession, ""))),
        };
        // The relay may have closed the stream over what it got before.
        let _closed = send.write_all(&bytes).await;
        open.push((send, recv));
    }
}

/// A proper first answer to an open.
pub(crate) fn opened() -> Vec<u8> {
    let opened = Opened { container: "main".parse().expect("a name"), pod_uid: "uid".to_owned(), process: Some(1) };
    message(&ToRelay::Opened(opened))
}

fn message(message: &ToRelay) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.put(&mut bytes).expect("encodes");
    bytes.to_vec()
}

/// A frame with any kind and body.
pub(crate) fn any_frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, kind, body);
    bytes.to_vec()
}
