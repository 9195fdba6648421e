//! The exec driver: the WebSocket upgrade of `pods/exec` and its two halves.
//!
//! kube's own `AttachedProcess` runs reading and writing in one loop, so a stalled reader also stalls input, resizes and
//! pings. Here the halves are independent: Ctrl-C gets through whatever the output does.

mod channel;
mod half;
mod status;

use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::client::Body;
use kube::{Client, Resource};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::target::{ContainerName, Namespace, PodName, PodTarget};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

pub use half::{AWAKE_INTERVAL, ExecReader, ExecWriter, LinkError, ReadEvent};
pub use status::{ExecFailure, ProcessEnd};

/// Read buffer of one exec in bytes: a whole message of a kubelet, so that a flood costs one round of reading each. Allocated
/// at once, so it is part of what an idle session costs.
const READ_BUFFER_BYTES: usize = 32 * 1024;
/// Largest message that an API server may send in bytes: containerd sends at most 32 KiB, others somewhat more.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Largest body of a refused upgrade that is read in bytes.
const MAX_REFUSAL_BYTES: usize = 64 * 1024;

/// The process' standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Streams {
    /// A pseudo-terminal: input, and output with the errors merged into it.
    Terminal,
    /// Output and errors apart, no input, no terminal.
    OutputOnly,
}

/// What to start, and where; the container is always named.
#[derive(Debug, Clone)]
pub struct ExecRequest {
    /// The pod's namespace.
    pub namespace: Namespace,
    /// The pod.
    pub pod: PodName,
    /// The container.
    pub container: ContainerName,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its streams.
    pub streams: Streams,
}

/// The subprotocol that the server chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subprotocol {
    /// `v4.channel.k8s.io`.
    V4,
    /// `v5.channel.k8s.io`: v4 and half-close.
    V5,
}

impl Subprotocol {
    /// Both, newest first: OpenShift has servers that know v4 only.
    const OFFER: &'static str = "v5.channel.k8s.io, v4.channel.k8s.io";

    fn parse(value: &HeaderValue) -> Option<Self> {
        match value.as_bytes() {
            b"v5.channel.k8s.io" => Some(Self::V5),
            b"v4.channel.k8s.io" => Some(Self::V4),
            _ => None,
        }
    }
}

/// Starts a process and returns the two halves of its connection.
///
/// The process may run even if this fails after the upgrade was sent. Not cancel safe for the same reason: dropping the
/// future does not stop a process that Kubernetes has already started.
pub async fn start(client: &Client, request: &ExecRequest) -> Result<(ExecReader, ExecWriter), Refusal> {
    let key = generate_key();
    let response = client.send(upgrade_request(request, &key)?).await.map_err(|error| unreachable_refusal(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_REFUSAL_BYTES).collect().await;
        let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        return Err(status::refused_upgrade(status, &body));
    }
    // Nothing is spliced onto a connection whose other end did not agree to the very protocol that was offered: what
    // follows would be spoken with the cluster's trust in us.
    let accepted =
        response.headers().get(SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value == &derive_accept_key(key.as_bytes()));
    let subprotocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(Subprotocol::parse);
    let (true, Some(subprotocol)) = (accepted, subprotocol) else {
        return Err(Refusal::new(
            RefusalCode::KubernetesError,
            "the API server answered with an unknown exec protocol",
        ));
    };
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| Refusal::new(RefusalCode::KubernetesUnreachable, error.to_string()))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_MESSAGE_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, Some(config)).await;
    Ok(half::split(socket, subprotocol))
}

/// Why the API server refuses an exec for want of `verb`: asked without the upgrade that a process would need to start. Nothing
/// where it gives no reason, or does not refuse. Cancel safe.
pub(crate) async fn why_refused(client: &Client, target: &PodTarget, verb: &str) -> Option<String> {
    let method = if verb == "create" { Method::POST } else { Method::GET };
    let path = Pod::url_path(&(), Some(target.namespace.as_str()));
    let uri = format!("{path}/{}/exec?stdout=true&command=true", target.pod);
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).ok()?;
    let response = client.send(request).await.ok()?;
    let forbidden = response.status() == StatusCode::FORBIDDEN;
    let body = Limited::new(response.into_body(), MAX_REFUSAL_BYTES).collect().await.ok()?.to_bytes();
    let refusal = status::refused_upgrade(StatusCode::FORBIDDEN, &body);
    Some(refusal.detail).filter(|detail| forbidden && !detail.is_empty())
}

fn upgrade_request(request: &ExecRequest, key: &str) -> Result<Request<Body>, Refusal> {
    let terminal = request.streams == Streams::Terminal;
    let params = AttachParams {
        container: Some(request.container.to_string()),
        stdin: terminal,
        stdout: true,
        stderr: !terminal,
        tty: terminal,
        ..AttachParams::default()
    };
    let bad = |error: &dyn std::fmt::Display| Refusal::new(RefusalCode::BadRequest, error.to_string());
    let path = Pod::url_path(&(), Some(request.namespace.as_str()));
    let mut upgrade = kube::core::Request::new(path)
        .exec(request.pod.as_str(), request.command.iter().map(String::as_str), &params)
        .map_err(|error| bad(&error))?
        .map(Body::from);
    let headers = upgrade.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(http::header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(key).map_err(|error| bad(&error))?);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(Subprotocol::OFFER));
    Ok(upgrade)
}

/// What kube reports before any answer of the API server: refused connections, time-outs, TLS, bad credentials.
fn unreachable_refusal(error: &kube::Error) -> Refusal {
    let mut detail = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let text = cause.to_string();
        if !detail.contains(&text) {
            detail = format!("{detail}: {text}");
        }
        source = cause.source();
    }
    Refusal::new(RefusalCode::KubernetesUnreachable, detail)
}
