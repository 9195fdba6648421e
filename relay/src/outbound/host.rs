//! The host and port of a URL that somebody else chose, in one spelling each. Pure.
//!
//! Resolvers and URL libraries know many spellings of one address (`0x7f.1`, `2130706433`, `0177.0.0.1`), which is how checks are
//! got around. Here a host is an IPv4 address of four decimal numbers, an IPv6 address in brackets, or a DNS name that can be
//! taken for neither.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest DNS name (RFC 1035 section 2.3.4), in bytes.
const MAX_NAME_BYTES: usize = 253;

/// Longest label of a DNS name (RFC 1035 section 2.3.4), in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Longest URL that is taken, in bytes.
const MAX_URL_BYTES: usize = 1_024;

/// A DNS name, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName(String);

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A name, to be resolved.
    Name(DnsName),
}

/// An https URL without credentials, query and fragment: an API server, or an issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpsUrl {
    host: Host,
    port: u16,
    /// Empty, or begins with a slash and does not end with one.
    path: String,
}

/// A URL or a host is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Longer than [`MAX_URL_BYTES`].
    #[error("the address is longer than {MAX_URL_BYTES} characters")]
    TooLong,
    /// Not https.
    #[error("the address must begin with https://; nothing else is dialled")]
    NotHttps,
    /// Something other than plain characters.
    #[error(
        "the address contains spaces, control characters or characters that are not ASCII; write names in other scripts as xn--…"
    )]
    Characters,
    /// Somebody's credentials.
    #[error("the address must not contain a user name or a password")]
    Credentials,
    /// A query or a fragment.
    #[error("the address must end behind its path, without ? and #")]
    QueryOrFragment,
    /// A path that may be read in two ways.
    #[error("the path of the address may contain letters, digits, and - . _ ~ only, and no dots alone")]
    Path,
    /// Not a port.
    #[error("the port of the address must be a number from 1 to 65535")]
    Port,
    /// No host.
    #[error("there is no host in the address")]
    NoHost,
    /// An IPv6 address that is none.
    #[error("what stands in brackets in the address is no IPv6 address; zones are not taken")]
    Ipv6,
    /// A number that programs read in different ways.
    #[error(
        "the host is a number in an unusual form; write an IPv4 address as four decimal numbers without leading zeros"
    )]
    OddNumber,
    /// No DNS name.
    #[error("the host is no DNS name: labels of letters, digits and hyphens, with dots between them")]
    Name,
}

impl DnsName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DnsName {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if !text.is_ascii() {
            return Err(InvalidUrl::Characters);
        }
        let name = text.to_ascii_lowercase();
        let label = |label: &str| {
            let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            inner && (1..=MAX_LABEL_BYTES).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        };
        if name.len() > MAX_NAME_BYTES || !name.split('.').all(label) {
            return Err(InvalidUrl::Name);
        }
        // What ends in a number is an IPv4 address to some (WHATWG URL, inet_aton), whatever is before it.
        let last = name.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|byte| byte.is_ascii_digit()) || is_hexadecimal(last) {
            return Err(InvalidUrl::OddNumber);
        }
        Ok(Self(name))
    }
}

fn is_hexadecimal(label: &str) -> bool {
    label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Host {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.is_empty() {
            return Err(InvalidUrl::NoHost);
        }
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(InvalidUrl::Ipv6)?;
            let address: Ipv6Addr = inner.parse().map_err(|_| InvalidUrl::Ipv6)?;
            return Ok(Self::Address(address.into()));
        }
        match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Self::Address(address.into())),
            Err(_) => text.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl HttpsUrl {
    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HttpsUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        if text.len() > MAX_URL_BYTES {
            return Err(InvalidUrl::TooLong);
        }
        // A backslash is a slash to some.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(InvalidUrl::Characters);
        }
        let scheme = text.get(..8).filter(|scheme| scheme.eq_ignore_ascii_case("https://"));
        let rest = scheme.map(|_| &text[8..]).ok_or(InvalidUrl::NotHttps)?;
        if rest.contains(['?', '#']) {
            return Err(InvalidUrl::QueryOrFragment);
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if authority.contains('@') {
            return Err(InvalidUrl::Credentials);
        }
        let (host, port) = split_port(authority)?;
        Ok(Self { host: host.parse()?, port, path: plain_path(path)? })
    }
}

fn split_port(authority: &str) -> Result<(&str, u16), InvalidUrl> {
    // The colons of an IPv6 address are inside its brackets.
    let behind = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None if authority.starts_with('[') => return Err(InvalidUrl::Ipv6),
        None => 0,
    };
    let Some(colon) = authority[behind..].find(':').map(|at| behind + at) else {
        return Ok((authority, 443));
    };
    let port = &authority[colon + 1..];
    let plain = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    let port = port.parse().ok().filter(|_| plain).ok_or(InvalidUrl::Port)?;
    Ok((&authority[..colon], port))
}

fn plain_path(path: &str) -> Result<String, InvalidUrl> {
    let path = path.trim_end_matches('/');
    let segment = |segment: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        !segment.is_empty() && segment.bytes().all(plain) && !segment.bytes().all(|byte| byte == b'.')
    };
    let fine = path.is_empty() || path[1..].split('/').all(segment);
    fine.then(|| path.to_owned()).ok_or(InvalidUrl::Path)
}

impl fmt::Display for HttpsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.host)?;
        if self.port != 443 {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(&self.path)
    }
}

impl TryFrom<String> for HttpsUrl {
    type Error = InvalidUrl;

    fn try_from(text: String) -> Result<Self, InvalidUrl> {
        text.parse()
    }
}

impl From<HttpsUrl> for String {
    fn from(url: HttpsUrl) -> Self {
        url.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_and_told_in_one_spelling() {
        for (text, told) in [
            ("https://api.example.org", "https://api.example.org"),
            ("HTTPS://API.Example.ORG:6443/", "https://api.example.org:6443"),
            ("https://203.0.113.7:443", "https://203.0.113.7"),
            ("https://[2001:DB8::1]:6443", "https://[2001:db8::1]:6443"),
            ("https://rancher.example.org/k8s/clusters/c-m-abc/", "https://rancher.example.org/k8s/clusters/c-m-abc"),
            ("https://localhost:1", "https://localhost:1"),
        ] {
            assert_eq!(text.parse::<HttpsUrl>().expect(text).to_string(), told);
        }
    }

    #[test]
    fn each_other_url_is_refused_for_its_own_reason() {
        let long = format!("https://{}.example.org", "a".repeat(MAX_URL_BYTES));
        let label = format!("https://{}.example.org", "a".repeat(64));
        for (text, reason) in [
            (long.as_str(), InvalidUrl::TooLong),
            ("", InvalidUrl::NotHttps),
            ("http://api.example.org", InvalidUrl::NotHttps),
            ("file:///etc/passwd", InvalidUrl::NotHttps),
            ("unix:///run/docker.sock", InvalidUrl::NotHttps),
            ("//api.example.org", InvalidUrl::NotHttps),
            ("https:/api.example.org", InvalidUrl::NotHttps),
            ("https:\\\\api.example.org", InvalidUrl::Characters),
            ("https://api.example.org\\@evil", InvalidUrl::Characters),
            ("https://api.example.org /", InvalidUrl::Characters),
            ("https://api.example.org\0", InvalidUrl::Characters),
            ("https://api.example.org\r\nHost: x", InvalidUrl::Characters),
            ("https://１２７.0.0.1", InvalidUrl::Characters),
            ("https://münchen.example", InvalidUrl::Characters),
            ("https://good.example@10.0.0.1", InvalidUrl::Credentials),
            ("https://user:password@api.example.org", InvalidUrl::Credentials),
            ("https://api.example.org?x", InvalidUrl::QueryOrFragment),
            ("https://api.example.org/#x", InvalidUrl::QueryOrFragment),
            ("https://api.example.org/..", InvalidUrl::Path),
            ("https://api.example.org/a/../b", InvalidUrl::Path),
            ("https://api.example.org/a//b", InvalidUrl::Path),
            ("https://api.example.org/%2e%2e", InvalidUrl::Path),
            ("https://api.example.org:0", InvalidUrl::Port),
            ("https://api.example.org:", InvalidUrl::Port),
            ("https://api.example.org:65536", InvalidUrl::Port),
            ("https://api.example.org:+443", InvalidUrl::Port),
            ("https://api.example.org:0443", InvalidUrl::Port),
            ("https://api.example.org:443:443", InvalidUrl::Port),
            ("https://", InvalidUrl::NoHost),
            ("https://:443", InvalidUrl::NoHost),
            ("https:///etc", InvalidUrl::NoHost),
            ("https://[fe80::1%25eth0]", InvalidUrl::Ipv6),
            ("https://[::1", InvalidUrl::Ipv6),
            ("https://[localhost]", InvalidUrl::Ipv6),
            ("https://2130706433", InvalidUrl::OddNumber),
            ("https://0x7f000001", InvalidUrl::OddNumber),
            ("https://0x7f.0.0.0x1", InvalidUrl::OddNumber),
            ("https://0177.0.0.1", InvalidUrl::OddNumber),
            ("https://127.1", InvalidUrl::OddNumber),
            ("https://127.0.1", InvalidUrl::OddNumber),
            ("https://127.0.0.01", InvalidUrl::OddNumber),
            ("https://256.256.256.256", InvalidUrl::OddNumber),
            ("https://1.2.3.4.5", InvalidUrl::OddNumber),
            ("https://0x", InvalidUrl::OddNumber),
            ("https://api.example.org.", InvalidUrl::Name),
            ("https://api..example.org", InvalidUrl::Name),
            ("https://-api.example.org", InvalidUrl::Name),
            ("https://api_server", InvalidUrl::Name),
            ("https://::1", InvalidUrl::Port),
            (label.as_str(), InvalidUrl::Name),
        ] {
            assert_eq!(text.parse::<HttpsUrl>(), Err(reason), "{text:?}");
        }
    }
}
