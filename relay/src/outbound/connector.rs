//! The dialler as hyper's connector, below its TLS.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower::Service;

use super::dial::{DialError, Dialler};
use super::host::{Host, InvalidUrl};

/// Dials for hyper. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    dialler: Dialler,
}

impl Connector {
    /// Connects as the dialler does.
    pub const fn new(dialler: Dialler) -> Self {
        Self { dialler }
    }
}

/// hyper got no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one that is dialled.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// Nothing was connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// Plain http, to somewhere else than this machine.
    #[error("only https is dialled")]
    NotHttps,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialler = self.dialler.clone();
        Box::pin(async move {
            let host: Host = uri.host().unwrap_or_default().parse()?;
            let pinned = dialler.pin(&host).await?;
            let port = match uri.scheme_str() {
                Some("https") => uri.port_u16().unwrap_or(443),
                // The operator allowed this machine, to which nobody listens in.
                Some("http") if pinned.addresses().iter().all(IpAddr::is_loopback) => uri.port_u16().unwrap_or(80),
                _ => return Err(ConnectError::NotHttps),
            };
            Ok(TokioIo::new(dialler.connect(&pinned, port).await?))
        })
    }
}

/// The authorities that browsers trust; they are compiled in, and no file is read.
pub fn web_roots() -> RootCertStore {
    webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()
}

/// TLS as the web's servers have it.
pub fn web_tls() -> ClientConfig {
    ClientConfig::builder().with_root_certificates(Arc::new(web_roots())).with_no_client_auth()
}
