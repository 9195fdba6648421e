//! The login session's cookie.

use std::time::Duration;

use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderValue, header};

use crate::auth::token::{Token, TokenHash, TokenKind};
use crate::config::{PublicUrl, Scheme};

/// The cookie's name. On HTTPS the prefix makes browsers refuse it from a neighbouring host, or without `Secure`; on plain
/// HTTP, which there is on loopback only, no browser would take that prefix.
pub fn name(url: &PublicUrl) -> &'static str {
    match url.scheme() {
        Scheme::Https => "__Host-podlatch",
        Scheme::Http => "podlatch",
    }
}

/// `Set-Cookie` for a new login session.
pub fn set(url: &PublicUrl, token: &Token, lifetime: Duration) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(&cookie(url, token.expose(), lifetime.as_secs()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Set-Cookie` that makes the browser forget.
pub fn clear(url: &PublicUrl) -> Result<HeaderValue, InvalidHeaderValue> {
    HeaderValue::from_str(&cookie(url, "", 0))
}

/// The name of the cookie that marks a browser which has set out to sign in at a provider.
fn flow_name(url: &PublicUrl) -> &'static str {
    match url.scheme() {
        Scheme::Https => "__Host-podlatch-sign-in",
        Scheme::Http => "podlatch-sign-in",
    }
}

/// `Set-Cookie` for a browser that sets out. `Lax`, unlike the login's: it must come along when the provider sends the
/// browser back.
pub fn set_flow(url: &PublicUrl, token: &Token, lifetime: Duration) -> Result<HeaderValue, InvalidHeaderValue> {
    let secure = match url.scheme() {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    let (name, token, seconds) = (flow_name(url), token.expose(), lifetime.as_secs());
    let text = format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The hash of the mark of a browser that comes back. `None` without exactly one.
pub fn flow(url: &PublicUrl, headers: &HeaderMap) -> Option<TokenHash> {
    let mut values = named(flow_name(url), headers);
    match (values.next(), values.next()) {
        (Some(value), None) => TokenHash::parse(TokenKind::Challenge, value),
        _ => None,
    }
}

/// How long a browser is known in which somebody signed in.
pub const KNOWN_BROWSER_LIFETIME: Duration = Duration::from_hours(180 * 24);

/// The name of the cookie by which a browser is known.
fn known_browser_name(url: &PublicUrl) -> &'static str {
    match url.scheme() {
        Scheme::Https => "__Host-podlatch-known",
        Scheme::Http => "podlatch-known",
    }
}

/// `Set-Cookie` for a browser that is known from now on.
pub fn set_known_browser(url: &PublicUrl, sealed: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let secure = match url.scheme() {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    let (name, seconds) = (known_browser_name(url), KNOWN_BROWSER_LIFETIME.as_secs());
    let text = format!("{name}={sealed}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a browser shows to be known. `None` without exactly one.
pub fn known_browser<'a>(url: &PublicUrl, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut values = named(known_browser_name(url), headers);
    values.next().filter(|_| values.next().is_none())
}

/// The hash of the login session that a request's cookie names. `None` without exactly one well-formed cookie: two of one
/// name mean that somebody else set one of them.
pub fn login_session(url: &PublicUrl, headers: &HeaderMap) -> Option<TokenHash> {
    let mut values = values(url, headers);
    match (values.next(), values.next()) {
        (Some(value), None) => TokenHash::parse(TokenKind::LoginSession, value),
        _ => None,
    }
}

/// Whether a request has a cookie of this name, good or not.
pub fn is_present(url: &PublicUrl, headers: &HeaderMap) -> bool {
    values(url, headers).next().is_some()
}

fn values<'a>(url: &PublicUrl, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    named(name(url), headers)
}

/// The values of every cookie of a name.
fn named<'a>(name: &'static str, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(move |(key, value)| (key == name).then_some(value))
}

fn cookie(url: &PublicUrl, value: &str, max_age_seconds: u64) -> String {
    let secure = match url.scheme() {
        Scheme::Https => "; Secure",
        Scheme::Http => "",
    };
    format!("{}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict{secure}", name(url))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    fn url(text: &str) -> PublicUrl {
        text.parse().expect("valid")
    }

    fn headers(cookies: &[String]) -> HeaderMap {
        let values = cookies.iter().map(|cookie| (header::COOKIE, HeaderValue::from_str(cookie).expect("valid")));
        values.collect()
    }

    #[test]
    fn the_cookie_is_bound_to_the_host_on_https() {
        let token = Token::generate(TokenKind::LoginSession, &Entropy::seeded(1));
        let https = set(&url("https://relay.example.org"), &token, Duration::from_mins(1)).expect("valid");
        let expected =
            format!("__Host-podlatch={}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure", token.expose());
        assert_eq!(https, expected);
        let http = set(&url("http://127.0.0.1:1"), &token, Duration::from_mins(1)).expect("valid");
        let expected = format!("podlatch={}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict", token.expose());
        assert_eq!(http, expected);
    }

    #[test]
    fn exactly_one_cookie_of_the_right_name_is_read() {
        let token = Token::generate(TokenKind::LoginSession, &Entropy::seeded(1));
        let (text, hash) = (token.expose(), Some(token.hash()));
        let at = url("http://127.0.0.1:1");
        let read = |cookies: &[String]| login_session(&at, &headers(cookies));
        assert_eq!(read(&[format!("podlatch={text}")]), hash);
        assert_eq!(read(&[format!("a=b; podlatch={text}; c=d")]), hash);
        assert_eq!(read(&["a=b".to_owned(), format!("podlatch={text}")]), hash);
        assert_eq!(read(&[format!("podlatch={text}; podlatch={text}")]), None);
        assert_eq!(read(&[format!("podlatch={text}"), "podlatch=x".to_owned()]), None);
        assert_eq!(read(&[format!("__Host-podlatch={text}")]), None, "that is the https name");
        assert_eq!(read(&[format!("xpodlatch={text}")]), None);
        assert_eq!(read(&["podlatch=".to_owned()]), None);
        assert_eq!(read(&[]), None);
    }
}
