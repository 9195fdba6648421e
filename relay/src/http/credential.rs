//! What a request shows of who sent it: a browser's cookie, or an API token in `Authorization`.

use http::{HeaderMap, header};

use super::cookie;
use crate::auth::token::{TokenHash, TokenKind};
use crate::config::PublicUrl;

/// The scheme of [RFC 6750](https://www.rfc-editor.org/rfc/rfc6750), with the space behind it.
const BEARER: &str = "bearer ";

/// What a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// Nothing.
    None,
    /// A login's cookie.
    Cookie(TokenHash),
    /// An API token.
    Token(TokenHash),
    /// A cookie that cannot be one of this relay's, or more than one.
    BadCookie,
    /// A bearer token that cannot be one of this relay's, or more than one.
    BadToken,
    /// A cookie and a bearer token: whose rights are meant cannot be known.
    Both,
}

impl Credential {
    /// Reads the headers. Other schemes of `Authorization` are for a proxy in front of the relay.
    pub fn of(url: &PublicUrl, headers: &HeaderMap) -> Self {
        let cookie = cookie::is_present(url, headers);
        let mut tokens = bearer_tokens(headers);
        match (tokens.next(), tokens.next()) {
            (Some(_), _) if cookie => Self::Both,
            (Some(token), None) => TokenHash::parse(TokenKind::Api, token).map_or(Self::BadToken, Self::Token),
            (Some(_), Some(_)) => Self::BadToken,
            (None, _) if cookie => cookie::login_session(url, headers).map_or(Self::BadCookie, Self::Cookie),
            (None, _) => Self::None,
        }
    }

    /// Whether a browser cannot have added this to another site's request by itself: no page can make one send an
    /// `Authorization` of its choice without asking the relay first, which never agrees.
    pub const fn is_deliberate(self) -> bool {
        matches!(self, Self::Token(_) | Self::BadToken)
    }
}

fn bearer_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        // A value that is no text is no token either, but it is not nothing.
        let text = value.to_str().unwrap_or(BEARER);
        let (scheme, token) = text.split_at_checked(BEARER.len())?;
        scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim())
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::auth::token::Token;
    use crate::entropy::Entropy;

    fn of(headers: &[(header::HeaderName, String)]) -> Credential {
        let url = "http://127.0.0.1:8080".parse().expect("a URL");
        let value = |text: &str| HeaderValue::from_str(text).expect("a value");
        Credential::of(&url, &headers.iter().map(|(name, text)| (name.clone(), value(text))).collect())
    }

    #[test]
    fn exactly_one_credential_is_read() {
        let token = Token::generate(TokenKind::Api, &Entropy::seeded(1));
        let login = Token::generate(TokenKind::LoginSession, &Entropy::seeded(2));
        let bearer = |text: &str| (header::AUTHORIZATION, format!("Bearer {text}"));
        let cookie = |text: &str| (header::COOKIE, format!("podlatch={text}"));
        let (good_token, good_cookie) = (bearer(token.expose()), cookie(login.expose()));
        let lower = (header::AUTHORIZATION, format!("bearer  {} ", token.expose()));
        for (headers, expected) in [
            (vec![], Credential::None),
            (vec![good_token.clone()], Credential::Token(token.hash())),
            (vec![lower], Credential::Token(token.hash())),
            (vec![good_cookie.clone()], Credential::Cookie(login.hash())),
            (vec![good_token.clone(), good_cookie.clone()], Credential::Both),
            (vec![bearer("x"), good_cookie.clone()], Credential::Both),
            (vec![good_token.clone(), cookie("x")], Credential::Both),
            (vec![good_token.clone(), good_token.clone()], Credential::BadToken),
            (vec![bearer(login.expose())], Credential::BadToken),
            (vec![bearer("")], Credential::BadToken),
            (vec![cookie(token.expose())], Credential::BadCookie),
            (vec![good_cookie.clone(), good_cookie.clone()], Credential::BadCookie),
            (vec![(header::AUTHORIZATION, "Basic cHJveHk6cHJveHk=".to_owned())], Credential::None),
            (vec![(header::AUTHORIZATION, token.expose().to_owned())], Credential::None),
            (vec![(header::AUTHORIZATION, "Basic x".to_owned()), good_cookie], Credential::Cookie(login.hash())),
        ] {
            assert_eq!(of(&headers), expected, "{headers:?}");
        }
    }
}
