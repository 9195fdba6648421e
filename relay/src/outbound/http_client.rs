//! A small HTTP client for URLs that others chose.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use tokio::time::timeout;

use super::connector::{ConnectError, Connector};
use super::dial::Dialler;

/// How long a server may take, its answer included.
const DEADLINE: Duration = Duration::from_secs(15);

/// Longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// There is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection: the sentence says why, and is safe to show.
    #[error("{0}")]
    Connect(String),
    /// The server did not answer in time.
    #[error("the server did not answer within {} seconds", DEADLINE.as_secs())]
    TimedOut,
    /// The server broke off, or is no HTTP server.
    #[error("the server broke off, or does not speak HTTP")]
    BrokenOff,
    /// The answer is longer than [`MAX_ANSWER_BYTES`].
    #[error("the server's answer is too long")]
    TooLong,
}

/// Sends requests, follows no redirect, takes no proxy from the environment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
}

impl HttpClient {
    /// A client that dials as `dialler` does. Plain http is for this machine only, where the operator allows it.
    pub fn new(dialler: Dialler, tls: ClientConfig) -> Self {
        let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connector = builder.wrap_connector(Connector::new(dialler));
        Self { client: legacy::Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// Sends a request and reads the whole answer, whatever its status. Cancel safe: a request that was sent stays sent.
    pub async fn execute(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, FetchError> {
        let exchange = async {
            let response = self.client.request(request.map(|body| Full::new(Bytes::from(body)))).await;
            let (head, body) = response.map_err(|error| explain(&error))?.into_parts();
            let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
                let too_long = error.downcast_ref::<http_body_util::LengthLimitError>().is_some();
                if too_long { FetchError::TooLong } else { FetchError::BrokenOff }
            })?;
            Ok(Response::from_parts(head, body.to_bytes().to_vec()))
        };
        timeout(DEADLINE, exchange).await.unwrap_or(Err(FetchError::TimedOut))
    }
}

/// What stands behind an error, as far as it is ours to tell: whatever a server wrote is not.
fn explain(error: &legacy::Error) -> FetchError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(ours) = error.downcast_ref::<ConnectError>() {
            return FetchError::Connect(ours.to_string());
        }
        // An error of the operating system wraps what is inside it without naming it as its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return FetchError::Connect(format!("TLS failed: {tls}"));
        }
        source = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    FetchError::BrokenOff
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::outbound::{AddressPolicy, SystemResolver, web_tls};

    fn client(blocks: &[&str]) -> HttpClient {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let blocks = blocks.iter().map(|block| block.parse().expect("a block")).collect();
        HttpClient::new(Dialler::new(AddressPolicy::allowing(blocks), Arc::new(SystemResolver)), web_tls())
    }

    /// A server that says one thing to everybody; returns its address.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("is bound");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 1024];
                let _read = stream.read(&mut request).await;
                let _gone = stream.write_all(answer.as_bytes()).await;
            }
        });
        format!("http://{address}")
    }

    fn get(url: &str) -> Request<Vec<u8>> {
        Request::get(url).body(Vec::new()).expect("a request")
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let url = server("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n").await;
        let response = client(&["127.0.0.0/8"]).execute(get(&url)).await.expect("answers");
        assert_eq!(response.status(), 302);
    }

    #[tokio::test]
    async fn what_is_not_allowed_is_told_and_not_dialled() {
        let url = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let error = client(&[]).execute(get(&url)).await.expect_err("is refused");
        assert!(error.to_string().contains("an address of the relay's own machine"), "{error}");
        let elsewhere = client(&["10.0.0.0/8"]).execute(get("http://10.0.0.1/")).await.expect_err("is refused");
        assert!(elsewhere.to_string().contains("only https"), "{elsewhere}");
    }

    #[tokio::test]
    async fn a_server_without_tls_is_told() {
        let url = server("HTTP/1.1 200 OK\r\n\r\n").await.replace("http://", "https://");
        let error = client(&["127.0.0.0/8"]).execute(get(&url)).await.expect_err("has no TLS");
        assert!(error.to_string().starts_with("TLS failed"), "{error}");
    }
}
