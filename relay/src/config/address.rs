//! A host and a port that somebody dials.

use std::fmt;
use std::str::FromStr;

/// `host:port`. The host may be a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    host: String,
    port: u16,
}

/// A text is not `host:port`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as host:port, for example relay.example.org:4433")]
pub struct InvalidHostPort;

impl HostPort {
    /// Puts a host, as a URL spells it, and a port together.
    pub fn new(host: &str, port: u16) -> Result<Self, InvalidHostPort> {
        let host = url::Host::parse(host).map_err(|_| InvalidHostPort)?;
        // The address is printed in commands that people paste into a shell; a URL's host may hold more than a DNS name.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let safe = match &host {
            url::Host::Domain(name) => name.bytes().all(plain),
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => true,
        };
        if safe && port != 0 { Ok(Self { host: host.to_string(), port }) } else { Err(InvalidHostPort) }
    }
}

impl FromStr for HostPort {
    type Err = InvalidHostPort;

    fn from_str(text: &str) -> Result<Self, InvalidHostPort> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidHostPort)?;
        Self::new(host, port.parse().map_err(|_| InvalidHostPort)?)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_every_kind_are_taken() {
        for text in ["relay.example.org:4433", "127.0.0.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().expect("valid").to_string(), text);
        }
    }

    #[test]
    fn what_nobody_can_dial_is_refused() {
        for text in ["", "relay", "relay:", ":4433", "relay:0", "relay:65536", "2001:db8::1:4433", "a b:1", "$(x):1"] {
            assert_eq!(text.parse::<HostPort>(), Err(InvalidHostPort), "{text:?}");
        }
    }
}
