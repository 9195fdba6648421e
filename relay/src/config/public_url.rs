//! The address that people open, and everything that follows from it: origin, host, cookie.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use url::{Host, Url};

/// The relay's address for browsers: scheme, host and port, nothing else. Plain HTTP on loopback only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    origin: String,
}

/// A text cannot be the relay's public URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// Not an address at all, or with more than one.
    #[error("write the public URL as https://host or https://host:port, without a path")]
    Form,
    /// Plain HTTP where others can listen in.
    #[error("plain http is for this machine only (127.0.0.1, [::1], localhost): use https, and let TLS end in front")]
    PlainHttp,
}

/// How browsers reach the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP, on loopback.
    Http,
    /// HTTPS; TLS ends in front of the relay.
    Https,
}

impl PublicUrl {
    /// The address of a plain HTTP listener on this machine.
    pub fn of_listener(address: SocketAddr) -> Result<Self, InvalidPublicUrl> {
        format!("http://{address}").parse()
    }

    /// The origin as browsers send it (RFC 6454 section 6.1): what `Origin` must equal.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Host and, unless it is the scheme's own, port: what `Host` must equal.
    pub fn authority(&self) -> &str {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, authority)| authority)
    }

    /// The host alone, as a URL spells it.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// How browsers reach it.
    pub fn scheme(&self) -> Scheme {
        if self.url.scheme() == "https" { Scheme::Https } else { Scheme::Http }
    }

    /// The origin of the relay's WebSockets.
    pub fn websocket_origin(&self) -> String {
        let scheme = match self.scheme() {
            Scheme::Http => "ws",
            Scheme::Https => "wss",
        };
        format!("{scheme}://{}", self.authority())
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let url = Url::parse(text).map_err(|_| InvalidPublicUrl::Form)?;
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare || url.host_str().is_none_or(str::is_empty) || !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidPublicUrl::Form);
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return Err(InvalidPublicUrl::PlainHttp);
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self { url, origin })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_is_what_a_browser_would_send() {
        for (text, origin, websocket) in [
            ("https://Relay.Example.org", "https://relay.example.org", "wss://relay.example.org"),
            ("https://relay.example.org:443/", "https://relay.example.org", "wss://relay.example.org"),
            ("https://relay.example.org:8443", "https://relay.example.org:8443", "wss://relay.example.org:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "ws://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080", "ws://[::1]:8080"),
        ] {
            let url: PublicUrl = text.parse().expect("valid");
            assert_eq!((url.origin(), url.websocket_origin().as_str()), (origin, websocket));
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for text in ["http://relay.example.org", "http://10.0.0.1:8080", "http://localhost.example.org"] {
            assert_eq!(text.parse::<PublicUrl>(), Err(InvalidPublicUrl::PlainHttp), "{text}");
        }
        assert!("http://localhost:8080".parse::<PublicUrl>().is_ok());
    }

    #[test]
    fn anything_but_an_origin_is_refused() {
        for text in
            ["", "relay.example.org", "ftp://a", "https://a/b", "https://a?b", "https://a#b", "https://u:p@a", "https:"]
        {
            assert_eq!(text.parse::<PublicUrl>(), Err(InvalidPublicUrl::Form), "{text:?}");
        }
    }
}
