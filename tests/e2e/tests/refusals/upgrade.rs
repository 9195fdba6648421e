//! An API server that does not agree to an exec: nothing is said to it, and nobody else is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::{Client, Config};
use podlatch_e2e::viewer::PATIENCE;
use podlatch_podexec::exec::{self, ExecRequest, Streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How long it is listened to whether anything is said after all.
const LISTENS: Duration = Duration::from_millis(300);

/// Answers one exec; `{accept}` stands for what the client's key asks for. Returns how much was said after the answer.
async fn said_after(answer: &str) -> (usize, usize) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("is bound");
    let answer = answer.replace("{address}", &address.to_string());
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let server = tokio::spawn(async move {
        let mut said = 0;
        let (mut socket, _) = listener.accept().await.expect("is dialled");
        counted.fetch_add(1, Ordering::Relaxed);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a whole request"));
        }
        let head = String::from_utf8(head).expect("text");
        let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a key");
        let answer = answer.replace("{accept}", &derive_accept_key(key.as_bytes()));
        socket.write_all(answer.as_bytes()).await.expect("answers");
        let mut rest = [0; 1024];
        while let Ok(Ok(length @ 1..)) = timeout(LISTENS, socket.read(&mut rest)).await {
            said += length;
        }
        // Whoever follows a redirect, or tries again, dials a second time.
        if timeout(LISTENS, listener.accept()).await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        said
    });
    // Another test of this process finds the provider installed.
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_from(Config::new(format!("http://{address}").parse().expect("a URL"))).expect("a client");
    let request = ExecRequest {
        namespace: "default".parse().expect("a namespace"),
        pod: "bb".parse().expect("a pod"),
        container: "main".parse().expect("a container"),
        command: vec!["sh".to_owned()],
        streams: Streams::Terminal,
    };
    let started = timeout(PATIENCE, exec::start(&client, &request)).await.expect("answers in time");
    assert!(started.is_err(), "an exec was started by a server that did not agree");
    drop(client);
    (server.await.expect("joins"), connections.load(Ordering::Relaxed))
}

#[tokio::test]
async fn nothing_is_said_to_an_api_server_that_did_not_agree_to_the_exec() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n";
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nlocation: http://{address}/elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{address}/elsewhere\r\ncontent-length: 0\r\n\r\n"
            .to_owned(),
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n".to_owned(),
        // Agreed, but to nothing, to something else, or not to this request.
        format!("{switching}sec-websocket-accept: {{accept}}\r\n\r\n"),
        format!("{switching}sec-websocket-accept: {{accept}}\r\nsec-websocket-protocol: channel.k8s.io\r\n\r\n"),
        format!("{switching}sec-websocket-accept: x\r\nsec-websocket-protocol: v5.channel.k8s.io\r\n\r\n"),
        format!("{switching}sec-websocket-protocol: v5.channel.k8s.io\r\n\r\n"),
    ] {
        let (said, connections) = said_after(&answer).await;
        assert_eq!((said, connections), (0, 1), "{answer}");
    }
}
