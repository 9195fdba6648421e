//! Asks providers: over HTTPS, without following anybody elsewhere, never on networks that are not the provider's to name.
//!
//! An organisation's administrator writes the provider's address, and its answer writes more of them. So every name is
//! resolved here, every address is looked at before it is dialled, and the one that was looked at is the one that is dialled.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use url::Host;

/// How long a provider may take, its answer included.
const DEADLINE: Duration = Duration::from_secs(10);

/// Largest answer, in bytes: discovery documents and key sets are a few KiB.
const MAX_ANSWER_BYTES: usize = 512 * 1024;

/// Whether providers may be on private networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateIssuers {
    /// They may not: whoever administers an organisation could ask around in the operator's network.
    Refused,
    /// They may; on this machine over plain HTTP too.
    Allowed,
}

/// Asks providers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProviderHttp {
    client: Client,
    private: PrivateIssuers,
}

/// Why a provider was not asked, or its answer not taken.
#[derive(Debug, thiserror::Error)]
pub enum ProviderHttpError {
    /// The address is none that the relay asks.
    #[error("{0}")]
    Address(&'static str),
    /// It was not reached.
    #[error("it was not reached")]
    Unreached(#[source] reqwest::Error),
    /// The answer is too long.
    #[error("its answer is longer than 512 KiB")]
    TooLong,
    /// The answer makes no sense.
    #[error("its answer makes no sense")]
    Malformed(#[from] http::Error),
}

const PRIVATE: &str = "its address is on a private network, which only the operator of this relay may allow";

impl ProviderHttp {
    /// Makes ready.
    pub fn new(private: PrivateIssuers) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .timeout(DEADLINE)
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(Arc::new(Looked(private)))
            .user_agent(concat!("podlatch-relay/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, private })
    }

    /// Whether the relay asks this address; a name is looked at again once it is resolved.
    pub fn check(&self, address: &str) -> Result<Url, ProviderHttpError> {
        let no = ProviderHttpError::Address;
        let url = Url::parse(address).map_err(|_| no("write the issuer as https://host/path"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(no("an address must not hold a name or a password"));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        if literal.is_some_and(|address| !may_dial(self.private, address)) {
            return Err(no(PRIVATE));
        }
        let here = url.host_str() == Some("localhost") || literal.is_some_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => Ok(url),
            "http" if here && self.private == PrivateIssuers::Allowed => Ok(url),
            _ => Err(no("only https is asked")),
        }
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, ProviderHttpError> {
        let (parts, body) = request.into_parts();
        let url = self.check(&parts.uri.to_string())?;
        let sent = self.client.request(parts.method, url).headers(parts.headers).body(body).send().await;
        // The address may hold what is nobody's business.
        let unreached = |error: reqwest::Error| ProviderHttpError::Unreached(error.without_url());
        let mut answer = sent.map_err(unreached)?;
        let mut response = http::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            response = response.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreached)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(ProviderHttpError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response.body(body)?)
    }
}

impl<'c> AsyncHttpClient<'c> for ProviderHttp {
    type Error = ProviderHttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, ProviderHttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Resolves names, and gives out addresses only where all of them may be dialled.
#[derive(Debug)]
struct Looked(PrivateIssuers);

impl Resolve for Looked {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.0;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().any(|address| !may_dial(private, address.ip())) {
                return Err(PRIVATE.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn may_dial(private: PrivateIssuers, address: IpAddr) -> bool {
    match private {
        PrivateIssuers::Allowed => !address.is_unspecified() && !address.is_multicast(),
        PrivateIssuers::Refused => is_public(address),
    }
}

/// Whether an address is a public unicast address (IANA special-purpose registries). Addresses that hold another address
/// (mapped, 6to4, NAT64, Teredo) are none.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let protocols = a == 192 && b == 0 && c == 0;
            let relays = a == 192 && b == 88 && c == 99;
            let benchmarks = a == 198 && (b == 18 || b == 19);
            let special = v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation();
            !(special || shared || protocols || relays || benchmarks || a == 0 || a >= 224)
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            let unicast = a & 0xe000 == 0x2000;
            let protocols = a == 0x2001 && (b < 0x0200 || b == 0x0db8);
            unicast && !protocols && a != 0x2002 && a & 0xfff0 != 0x3ff0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for public in ["93.184.215.14", "1.1.1.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "203.0.113.1",
            "192.88.99.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fec0::1",
            "::127.0.0.1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
    }

    #[test]
    fn an_address_is_looked_at_before_anything_is_asked() {
        let http = ProviderHttp::new(PrivateIssuers::Refused).expect("makes ready");
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
        let private = ProviderHttp::new(PrivateIssuers::Allowed).expect("makes ready");
        for good in ["https://10.0.0.1", "http://127.0.0.1:1", "http://localhost:1"] {
            assert!(private.check(good).is_ok(), "{good}");
        }
        assert!(private.check("http://10.0.0.1").is_err(), "plain only on this machine");
    }

    #[tokio::test]
    async fn a_name_that_leads_to_a_private_address_is_not_dialled() {
        let http = ProviderHttp::new(PrivateIssuers::Refused).expect("makes ready");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("has one").port();
        let request = http::Request::get(format!("https://localhost:{port}/")).body(Vec::new()).expect("a request");
        let refused = http.ask(request).await.expect_err("is not asked");
        assert!(matches!(refused, ProviderHttpError::Unreached(_)), "{refused:?}");
        let came = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(came.is_err(), "nobody was dialled");
    }
}
