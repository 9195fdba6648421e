//! `/livez` and `/readyz` for the kubelet. The agent is ready when its tunnel is up.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tunnel::TunnelStatus;

/// A probe that takes longer is cut off.
const PROBE: Duration = Duration::from_secs(5);

/// Probes that are answered at once; a kubelet sends one at a time.
const MAX_PROBES: usize = 16;

/// The probes' listener, bound but not serving yet.
#[derive(Debug)]
pub struct Health {
    listener: TcpListener,
    status: watch::Receiver<TunnelStatus>,
}

impl Health {
    /// Binds the listener. Cancel safe.
    pub async fn bind(address: SocketAddr, status: watch::Receiver<TunnelStatus>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("the probes' address {address} could not be bound; choose another --health-listen")
        })?;
        Ok(Self { listener, status })
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until told to stop. Cancel safe.
    pub async fn serve(self, stop: CancellationToken) {
        let probes = TaskTracker::new();
        let free = Semaphore::new(MAX_PROBES);
        let serving = async {
            loop {
                // The semaphore is never closed.
                let Ok(_permit) = free.acquire().await else { return };
                if let Ok((stream, _)) = self.listener.accept().await {
                    probes.spawn(answer(stream, self.status.clone()));
                }
            }
        };
        tokio::select! {
            () = serving => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn answer(stream: tokio::net::TcpStream, status: watch::Receiver<TunnelStatus>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &status.borrow());
        async move { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PROBE).keep_alive(false).max_buf_size(8 * 1024);
    // Whatever goes wrong with a probe is the prober's to see.
    let _ = timeout(PROBE, server.serve_connection(TokioIo::new(stream), service)).await;
}

fn respond(method: &Method, path: &str, status: &TunnelStatus) -> Response<Full<Bytes>> {
    let (code, text) = match (method, path, status) {
        (&Method::GET | &Method::HEAD, "/livez", _) | (&Method::GET | &Method::HEAD, "/readyz", TunnelStatus::Up) => {
            (StatusCode::OK, "ok")
        }
        (&Method::GET | &Method::HEAD, "/readyz", TunnelStatus::Down(why)) => {
            (StatusCode::SERVICE_UNAVAILABLE, why.as_str())
        }
        _ => (StatusCode::NOT_FOUND, "there are /livez and /readyz"),
    };
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = code;
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("reads");
        answer
    }

    #[tokio::test]
    async fn readiness_is_the_tunnels_and_liveness_is_the_processes() {
        let (tunnel, status) = watch::channel(TunnelStatus::Down("the relay does not answer".to_owned()));
        let health = Health::bind("127.0.0.1:0".parse().expect("parses"), status).await.expect("binds");
        let address = health.address().expect("is bound");
        let stop = CancellationToken::new();
        let server = tokio::spawn(health.serve(stop.clone()));
        assert!(get(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("does not answer"), "{answer}");
        tunnel.send_replace(TunnelStatus::Up);
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/metrics").await.starts_with("HTTP/1.1 404"));
        stop.cancel();
        server.await.expect("ends");
    }
}
