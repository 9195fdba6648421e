//! Who is at the other end, as far as it can be known.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::app::App;
use crate::config::TlsEnd;
use crate::domain::organisation::ClientInfo;

/// Longest user agent that is kept, in bytes.
const MAX_USER_AGENT_BYTES: usize = 512;

/// The other end of the connection; the listener puts it into every request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The browser's address: the connection's peer, or what the proxy in front says where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
        Ok(Self(client_address(&parts.headers, peer, app.config.tls)))
    }
}

impl FromRequestParts<App> for ClientInfo {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, app).await?;
        let user_agent = parts.headers.get(header::USER_AGENT).map(|value| printable(value.as_bytes()));
        Ok(Self {
            ip: address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
            user_agent: user_agent.unwrap_or_default(),
        })
    }
}

/// The last address of `X-Forwarded-For` is the one that the proxy in front saw; those before it are anybody's claim.
fn client_address(headers: &HeaderMap, peer: Option<IpAddr>, tls: TlsEnd) -> Option<IpAddr> {
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().ok()
    };
    match tls {
        TlsEnd::Nowhere => peer,
        TlsEnd::InFront => forwarded().or(peer),
    }
}

fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut kept = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if kept.len() + character.len_utf8() > MAX_USER_AGENT_BYTES {
            break;
        }
        kept.push(character);
    }
    kept
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn forwarded(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_forwarded_address_is_believed_only_from_a_proxy_in_front() {
        let peer = "127.0.0.1".parse().ok();
        let headers = forwarded(&["203.0.113.9"]);
        assert_eq!(client_address(&headers, peer, TlsEnd::Nowhere), peer);
        assert_eq!(client_address(&headers, peer, TlsEnd::InFront), "203.0.113.9".parse().ok());
    }

    #[test]
    fn only_the_last_forwarded_address_counts() {
        let peer = "127.0.0.1".parse().ok();
        let client = "203.0.113.9".parse().ok();
        for values in [&["1.2.3.4, 203.0.113.9"][..], &["1.2.3.4", "203.0.113.9"][..]] {
            assert_eq!(client_address(&forwarded(values), peer, TlsEnd::InFront), client);
        }
        assert_eq!(client_address(&forwarded(&["1.2.3.4, nonsense"]), peer, TlsEnd::InFront), peer);
    }

    #[test]
    fn a_user_agent_is_cut_and_cleaned() {
        assert_eq!(printable(b"Mozilla\x1b[2J\x00/5.0"), "Mozilla[2J/5.0");
        assert_eq!(printable("ä".repeat(400).as_bytes()).len(), MAX_USER_AGENT_BYTES);
    }
}
