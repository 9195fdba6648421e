//! Accepts connections: TLS, HTTP/1.1, one task each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::api;
use crate::cluster::Cluster;

/// A client that has not finished its TLS handshake or request head by then is not served.
const PHASE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until the cluster stops.
pub(crate) async fn run(cluster: Arc<Cluster>, listener: TcpListener, tls: Arc<ServerConfig>) {
    let acceptor = TlsAcceptor::from(tls);
    let stop = cluster.stop.clone();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((_, _)) if cluster.faults.refuses(Instant::now()) => (),
            Ok((tcp, _)) => {
                let connection = serve(Arc::clone(&cluster), tcp, acceptor.clone());
                cluster.tasks.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; retrying");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// What a connection between two machines of one network comes to.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

async fn serve(cluster: Arc<Cluster>, tcp: TcpStream, acceptor: TlsAcceptor) {
    let cut = cluster.faults.connection_token();
    let stop = cluster.stop.clone();
    let connection = async {
        // Keystrokes must not wait for more bytes.
        let _ = tcp.set_nodelay(true);
        // On loopback the kernel would buffer megabytes for a slow reader, which no network between machines does: a
        // segment there is 45 times smaller, and the buffer is sized in segments.
        let _ = socket2::SockRef::from(&tcp).set_send_buffer_size(SEND_BUFFER_BYTES);
        let Ok(Ok(tls)) = tokio::time::timeout(PHASE_TIMEOUT, acceptor.accept(tcp)).await else { return };
        let service = service_fn(|request| {
            let (cluster, cut) = (Arc::clone(&cluster), cut.clone());
            async move { Ok::<_, std::convert::Infallible>(api::handle(cluster, request, cut).await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PHASE_TIMEOUT)
            .serve_connection(TokioIo::new(tls), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended badly");
        }
    };
    tokio::select! {
        () = connection => (),
        () = cut.cancelled() => (),
        () = stop.cancelled() => (),
    }
}
