//! The listener: HTTP/1.1 with deadlines and bounds of its own, and room for upgrades.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::client::PeerAddress;
use super::router::router;
use crate::app::App;
use crate::lifecycle::Lifecycle;

/// How long a client may take to send its headers, and to send another request after the last one.
const HEADER_DEADLINE: Duration = Duration::from_secs(5);

/// Largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Most headers of a request.
const MAX_HEADERS: usize = 64;

/// Most connections at once. The next ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 8_192;

/// How long accepting pauses when the process has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the relay drains; then takes nothing new and finishes the requests that are under way. Terminals are
/// upgraded connections, and end by themselves.
pub fn spawn(listener: TcpListener, app: &App) {
    let (router, life) = (router(app.clone()), app.lifecycle.clone());
    let accepting = life.clone();
    life.spawn(async move { accept(listener, router, accepting).await });
}

async fn accept(listener: TcpListener, router: Router, life: Lifecycle) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let accepted = tokio::select! {
            () = life.draining().cancelled() => return,
            accepted = next => accepted,
        };
        match accepted {
            Some((place, Ok((stream, peer)))) => {
                life.spawn(serve(stream, peer, router.clone(), life.draining().clone(), place));
            }
            Some((_, Err(error))) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            None => return,
        }
    }
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    draining: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Keystrokes are small and must not wait for each other.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request.map(Body::new)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection ended badly");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::testing::TestRelay;

    async fn listen(relay: &TestRelay) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        spawn(listener, &relay.app);
        address
    }

    async fn answer(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("reads");
        answer
    }

    #[tokio::test]
    async fn serves_over_a_real_socket() {
        let relay = TestRelay::new().await;
        let address = listen(&relay).await;
        let answer = answer(address, "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_headers_is_hung_up_on() {
        let relay = TestRelay::new().await;
        let address = listen(&relay).await;
        let answer = answer(address, "GET /healthz HTTP/1.1\r\nhost: x\r\n").await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[tokio::test]
    async fn an_oversized_head_is_refused() {
        let relay = TestRelay::new().await;
        let address = listen(&relay).await;
        let many = "x: y\r\n".repeat(MAX_HEADERS);
        let refused = answer(address, &format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{many}\r\n")).await;
        assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");
    }

    #[tokio::test]
    async fn a_draining_relay_finishes_and_takes_nothing_new() {
        let relay = TestRelay::new().await;
        let address = listen(&relay).await;
        let mut idle = TcpStream::connect(address).await.expect("connects");
        idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("writes");
        let mut first = [0; 12];
        idle.read_exact(&mut first).await.expect("reads");
        assert_eq!(&first, b"HTTP/1.1 200");

        relay.app.lifecycle.drain();
        relay.app.lifecycle.ended().await;
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).await.expect("the connection is closed");
        assert!(TcpStream::connect(address).await.is_err());
    }
}
