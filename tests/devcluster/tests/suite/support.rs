//! What the tests share: a cluster, a raw exec client that sees every frame, and a kube client.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use podlatch_devcluster::{Devcluster, Options};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type TlsStream = tokio_rustls::client::TlsStream<TcpStream>;

pub(crate) async fn cluster() -> Devcluster {
    Devcluster::start(Options::default()).await.expect("the devcluster starts")
}

/// A cluster with one busybox pod `bb`, where the others would only cost time.
pub(crate) async fn small_cluster() -> Devcluster {
    let manifests = Some(pod_manifest("bb", &["sleep", "1000000"]));
    Devcluster::start(Options { manifests, ..Options::default() }).await.expect("the devcluster starts")
}

pub(crate) fn pod_manifest(name: &str, command: &[&str]) -> String {
    let pod = serde_json::json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, 
            "containers": [{"name": "main", "image": "busybox:1.36", "command": command}]}});
    pod.to_string()
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("took too long: {what}"))
}

/// Asks again until it holds: for what has no event to wait for.
pub(crate) async fn until_holds(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
}

pub(crate) async fn kube_client(cluster: &Devcluster, user: &str) -> kube::Client {
    let text = cluster.kubeconfig(user).expect("the user exists");
    let config = kube::config::Kubeconfig::from_yaml(&text).expect("the kubeconfig is one");
    let config = kube::Config::from_custom_kubeconfig(config, &kube::config::KubeConfigOptions::default())
        .await
        .expect("the kubeconfig is complete");
    kube::Client::try_from(config).expect("the client can be made")
}

pub(crate) async fn connect(cluster: &Devcluster) -> TlsStream {
    let address = cluster.url().trim_start_matches("https://");
    let tcp = TcpStream::connect(address).await.expect("the devcluster listens");
    tcp.set_nodelay(true).expect("the socket takes options");
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(cluster.ca_pem().as_bytes()).expect("the CA is PEM");
    roots.add(ca).expect("the CA is a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the versions are known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("is an address");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("the certificate is trusted")
}

/// A plain request, and its answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the answer is JSON")
    }
}

pub(crate) struct Ask<'a> {
    pub(crate) cluster: &'a Devcluster,
    pub(crate) token: Option<String>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl<'a> Ask<'a> {
    pub(crate) fn of(cluster: &'a Devcluster, user: &str) -> Self {
        Self { cluster, token: Some(cluster.token(user).expect("the user exists").to_owned()), headers: Vec::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let response = self.request(method, path, body).await;
        answer_of(response).await
    }

    pub(crate) async fn request(&self, method: &str, path: &str, body: &str) -> hyper::Response<hyper::body::Incoming> {
        let io = TokioIo::new(connect(self.cluster).await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("HTTP begins");
        tokio::spawn(connection.with_upgrades());
        let mut request = hyper::Request::builder().method(method).uri(path).header("host", "devcluster");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(body.to_owned()).expect("the request is one");
        within("an answer", sender.send_request(request)).await.expect("the devcluster answers")
    }
}

async fn answer_of(response: hyper::Response<hyper::body::Incoming>) -> Answer {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let content_type = content_type.to_owned();
    let body = within("a body", response.into_body().collect()).await.expect("the body is whole").to_bytes();
    Answer { status, content_type, body: String::from_utf8_lossy(&body).into_owned() }
}

/// An exec as a raw client sees it.
pub(crate) struct Exec {
    pub(crate) socket: WebSocketStream<TokioIo<Upgraded>>,
    pub(crate) subprotocol: String,
    /// Read, but not yet asked for.
    rest: Vec<u8>,
}

/// What comes from the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Data(u8, Bytes),
    Closed(Option<u16>),
}

impl Exec {
    /// Opens an exec; gives back the refusal if it is refused.
    pub(crate) async fn try_open(ask: Ask<'_>, path: &str, offered: &[&str]) -> Result<Self, Answer> {
        let ask = ask
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("sec-websocket-protocol", &offered.join(","));
        let response = ask.request("GET", path, "").await;
        if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            return Err(answer_of(response).await);
        }
        let chosen = response.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        let subprotocol = chosen.unwrap_or("").to_owned();
        let io = hyper::upgrade::on(response).await.expect("the upgrade ends well");
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(io), Role::Client, None).await;
        Ok(Self { socket, subprotocol, rest: Vec::new() })
    }

    /// Opens a terminal in a pod, with the v5 protocol.
    pub(crate) async fn terminal(cluster: &Devcluster, pod: &str, command: &[&str]) -> Self {
        let path = exec_path(pod, command, "stdin=true&stdout=true&tty=true");
        Self::open(cluster, &path).await
    }

    /// Opens an exec without a terminal, with the v5 protocol.
    pub(crate) async fn pipes(cluster: &Devcluster, pod: &str, command: &[&str]) -> Self {
        let path = exec_path(pod, command, "stdin=true&stdout=true&stderr=true");
        Self::open(cluster, &path).await
    }

    pub(crate) async fn open(cluster: &Devcluster, path: &str) -> Self {
        match Self::try_open(Ask::of(cluster, "admin"), path, &["v5.channel.k8s.io"]).await {
            Ok(exec) => exec,
            Err(answer) => panic!("{path} was refused: {} {}", answer.status, answer.body),
        }
    }

    pub(crate) async fn send(&mut self, channel: u8, data: &[u8]) {
        let frame = [&[channel], data].concat();
        self.socket.send(Message::Binary(frame.into())).await.expect("the server takes input");
    }

    pub(crate) async fn type_text(&mut self, text: &str) {
        self.send(0, text.as_bytes()).await;
    }

    pub(crate) async fn receive(&mut self) -> Received {
        loop {
            let message = within("a frame", self.socket.next()).await;
            match message {
                Some(Ok(Message::Binary(bytes))) => return Received::Data(bytes[0], bytes.slice(1..)),
                Some(Ok(Message::Close(frame))) => return Received::Closed(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => (),
                Some(Err(_)) | None => return Received::Closed(None),
            }
        }
    }

    /// Reads output until the text appears in it; gives back everything read up to there. What comes after the text in
    /// the same frame is kept.
    pub(crate) async fn until(&mut self, text: &str) -> String {
        let mut seen = std::mem::take(&mut self.rest);
        let mut searched = 0_usize;
        loop {
            // The text may begin in what came before.
            let from = searched.saturating_sub(text.len());
            if let Some(at) = find(&seen[from..], text.as_bytes()) {
                self.rest = seen.split_off(from + at + text.len());
                return String::from_utf8_lossy(&seen).into_owned();
            }
            searched = seen.len();
            match self.receive().await {
                Received::Data(1 | 2, data) => seen.extend_from_slice(&data),
                other => panic!("waited for {text:?}, saw {:?}, then {other:?}", String::from_utf8_lossy(&seen)),
            }
        }
    }

    /// Reads to the end: stdout, stderr, and the status.
    pub(crate) async fn finish(mut self) -> (Vec<u8>, Vec<u8>, Value) {
        let (mut stdout, mut stderr, mut status) = (std::mem::take(&mut self.rest), Vec::new(), Value::Null);
        loop {
            match self.receive().await {
                Received::Data(1, data) => stdout.extend_from_slice(&data),
                Received::Data(2, data) => stderr.extend_from_slice(&data),
                Received::Data(3, data) => status = serde_json::from_slice(&data).expect("the status is JSON"),
                Received::Data(channel, _) => panic!("data on channel {channel}"),
                Received::Closed(_) => return (stdout, stderr, status),
            }
        }
    }
}

pub(crate) fn exec_path(pod: &str, command: &[&str], streams: &str) -> String {
    let (namespace, name) = pod.split_once('/').unwrap_or(("default", pod));
    let command: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(command.iter().map(|word| ("command", word)))
        .finish();
    format!("/api/v1/namespaces/{namespace}/pods/{name}/exec?{command}&{streams}")
}

/// Runs a command in a pod to its end; gives back what it wrote.
pub(crate) async fn run(cluster: &Devcluster, pod: &str, command: &[&str]) -> String {
    let (stdout, stderr, _) = Exec::pipes(cluster, pod, command).await.finish().await;
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

/// The first pod of the deployment `web`.
pub(crate) async fn web_pod(cluster: &Devcluster) -> String {
    let list = Ask::of(cluster, "admin").get("/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb").await.json();
    list["items"][0]["metadata"]["name"].as_str().expect("web has pods").to_owned()
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
