//! Who is at the other end, as far as it can be known.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, header};

use crate::app::App;
use crate::config::AddressBlock;
use crate::domain::organisation::ClientInfo;

/// Longest user agent that is kept, in bytes.
const MAX_USER_AGENT_BYTES: usize = 512;

/// The other end of the connection; the listener puts it into every request.
#[derive(Debug, Clone, Copy)]
pub struct PeerAddress(pub SocketAddr);

/// The browser's address: the connection's peer, or whom a trusted proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub Option<IpAddr>);

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0.ip());
        Ok(Self(client_address(&parts.headers, peer, &app.config.trusted_proxies)))
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

/// Goes back from the connection's peer along `X-Forwarded-For`, from the right, as long as the address is a trusted
/// proxy's: the first that is not is the client. Whatever stands further left is anybody's claim.
fn client_address(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[AddressBlock]) -> Option<IpAddr> {
    let is_proxy = |address: IpAddr| trusted.iter().any(|block| block.contains(address));
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let mut client = peer?.to_canonical();
    for hop in hops {
        if !is_proxy(client) {
            break;
        }
        match address(hop) {
            Some(before) => client = before,
            // What this proxy did not understand, nobody else can vouch for.
            None => break,
        }
    }
    Some(client)
}

/// A hop, with or without the port that some proxies add.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let alone = text.parse::<IpAddr>().ok();
    let address = alone.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))?;
    Some(address.to_canonical())
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

    fn client(values: &[&'static str], peer: &str, trusted: &[&str]) -> String {
        let trusted: Vec<AddressBlock> = trusted.iter().map(|block| block.parse().expect("a block")).collect();
        client_address(&forwarded(values), peer.parse().ok(), &trusted).expect("an address").to_string()
    }

    #[test]
    fn a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
        let claims = &["203.0.113.9"];
        assert_eq!(client(claims, "127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client(claims, "198.51.100.4", &["10.0.0.0/8"]), "198.51.100.4");
        assert_eq!(client(claims, "10.0.0.7", &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(client(claims, "::ffff:10.0.0.7", &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(client(&[], "10.0.0.7", &["10.0.0.0/8"]), "10.0.0.7");
    }

    #[test]
    fn what_stands_left_of_the_first_stranger_is_a_claim() {
        let trusted = &["10.0.0.0/8", "2001:db8::/32"];
        for values in [
            &["1.2.3.4, 203.0.113.9"][..],
            &["1.2.3.4", "203.0.113.9"],
            &["10.1.1.1, 1.2.3.4, 203.0.113.9, 10.0.0.8"],
            &["1.2.3.4,203.0.113.9", " 2001:db8::1 , 10.0.0.8"],
            &["203.0.113.9:4711, [2001:db8::1]:443"],
        ] {
            assert_eq!(client(values, "10.0.0.7", trusted), "203.0.113.9", "{values:?}");
        }
    }

    #[test]
    fn nonsense_ends_the_way_back() {
        let trusted = &["10.0.0.0/8"];
        for nonsense in ["1.2.3.4, nonsense", "1.2.3.4,", "1.2.3.4, 203.0.113.9 x", "_hidden"] {
            assert_eq!(client(&[nonsense], "10.0.0.7", trusted), "10.0.0.7", "{nonsense:?}");
        }
        assert_eq!(client(&["1.2.3.4, x, 10.0.0.8"], "10.0.0.7", trusted), "10.0.0.8");
    }

    #[test]
    fn a_user_agent_is_cut_and_cleaned() {
        assert_eq!(printable(b"Mozilla\x1b[2J\x00/5.0"), "Mozilla[2J/5.0");
        assert_eq!(printable("ä".repeat(400).as_bytes()).len(), MAX_USER_AGENT_BYTES);
    }
}
