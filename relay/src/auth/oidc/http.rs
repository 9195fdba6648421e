//! Asks providers: over HTTPS, without following anybody elsewhere, and only where the operator lets the relay ask.
//!
//! An organisation's administrator writes the provider's address, and its answer writes more of them: all of them are dialled
//! in the one way for addresses that others chose ([`crate::outbound`]).

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::{Host, Url};

use crate::outbound::{AddressPolicy, Dialler, FetchError, HttpClient, SystemResolver, web_tls};

/// Asks providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProviderHttp {
    client: HttpClient,
    policy: Arc<AddressPolicy>,
}

/// Why a provider was not asked, or its answer not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProviderHttpError {
    /// The address is none that the relay asks.
    #[error("{0}")]
    Address(&'static str),
    /// There is no answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl ProviderHttp {
    /// Makes ready to ask where the policy permits.
    pub fn new(policy: AddressPolicy) -> Self {
        let dialler = Dialler::new(policy.clone(), Arc::new(SystemResolver));
        Self { client: HttpClient::new(dialler, web_tls()), policy: Arc::new(policy) }
    }

    /// Whether the relay asks this address; a name is looked at when it is resolved. Plain HTTP is for this machine.
    pub fn check(&self, address: &str) -> Result<Url, ProviderHttpError> {
        let no = ProviderHttpError::Address;
        let url = Url::parse(address).map_err(|_| no("write it as https://host/path"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(no("it must not hold a name or a password"));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if literal.is_some_and(|address| self.policy.permit(address).is_err()) {
            return Err(no("it is on a private network, which only the operator of this relay may allow"));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if literal.is_some_and(|address| address.is_loopback()) => Ok(url),
            _ => Err(no("only https is asked")),
        }
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, ProviderHttpError> {
        self.check(&request.uri().to_string())?;
        Ok(self.client.execute(request).await?)
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = ProviderHttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ProviderHttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(blocks: &[&str]) -> ProviderHttp {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        ProviderHttp::new(AddressPolicy::allowing(blocks.iter().map(|block| block.parse().expect("a block")).collect()))
    }

    #[tokio::test]
    async fn an_address_is_looked_at_before_anything_is_asked() {
        let http = http(&[]);
        assert!(http.check("https://login.example.org/realm").is_ok());
        for bad in [
            "http://login.example.org",
            "https://127.0.0.1",
            "https://2130706433",
            "https://0x7f.1",
            "https://0177.0.0.1",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://169.254.169.254",
            "https://u:p@login.example.org",
            "file:///etc/passwd",
            "ftp://login.example.org",
            "login.example.org",
            "",
            "http://localhost:1",
        ] {
            assert!(http.check(bad).is_err(), "{bad}");
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("has one").port();
        let request = ::http::Request::get(format!("https://localhost:{port}/")).body(Vec::new()).expect("a request");
        let refused = http.ask(request).await.expect_err("a name that leads to this machine");
        assert!(matches!(refused, ProviderHttpError::Fetch(_)), "{refused:?}");
    }

    #[tokio::test]
    async fn plain_http_is_for_this_machine_where_the_operator_allows_it() {
        let http = http(&["127.0.0.0/8", "10.0.0.0/8"]);
        assert!(http.check("http://127.0.0.1:1").is_ok() && http.check("https://10.0.0.1").is_ok());
        assert!(http.check("http://10.0.0.1").is_err());
    }
}
