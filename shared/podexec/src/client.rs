//! The Kubernetes client that execs go through.
//!
//! kube's own leaves the sockets as they are: keystrokes may wait for each other (Nagle), and the kernel takes in megabytes of
//! output that nobody has asked for, all of which still appears after a Ctrl-C.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use tower::ServiceBuilder;

/// Receive buffer of a connection to the API server, in bytes. Linux doubles it for its own bookkeeping. With less than twice
/// a segment of loopback (64 KiB) a connection there stalls between any two segments.
const RECEIVE_BUFFER_BYTES: usize = 160 * 1024;

/// How long the API server may take to accept a connection, unless the configuration says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A client whose connections suit a terminal. Where the configuration names a proxy, kube's own client is returned: only
/// that one speaks to proxies.
pub fn for_execs(config: Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_recv_buffer_size(Some(RECEIVE_BUFFER_BYTES));
    http.set_connect_timeout(Some(config.connect_timeout.unwrap_or(CONNECT_TIMEOUT)));
    let https = config.rustls_https_connector_with_connector(http)?;
    let namespace = config.default_namespace.clone();
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https));
    Ok(Client::new(service, namespace))
}

/// What a person is told where Kubernetes answers 401.
pub(crate) const UNAUTHENTICATED: &str = "the cluster does not accept the credential: it was withdrawn, or has run out";

/// What lies at the bottom of an error: "the certificate is not trusted" rather than "client error".
pub fn explain(error: &kube::Error) -> String {
    let mut deepest: &(dyn std::error::Error + 'static) = error;
    loop {
        // An error of the operating system wraps what is inside it without naming it as its source.
        let inner = deepest.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        match inner.map(|inner| inner as _).or_else(|| deepest.source()) {
            Some(source) => deepest = source,
            None => return deepest.to_string(),
        }
    }
}
