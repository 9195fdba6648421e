//! Bearer tokens: 32 random bytes behind a prefix that names their purpose. The relay stores their SHA-256 alone.
//!
//! A plain hash is enough: 256 random bits cannot be guessed, so there is nothing for a slow hash to slow down.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::entropy::Entropy;

const RANDOM_BYTES: usize = 32;

/// Length of the base64url form of [`RANDOM_BYTES`].
const ENCODED_BYTES: usize = 43;

/// What a token is for. A token of one kind is never taken for another: the prefix is part of what is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// With it an agent enrols, once.
    Join,
    /// With it a person signs in, once.
    SignInLink,
    /// With it a browser attaches to a terminal, once.
    Ticket,
    /// The login cookie's value.
    LoginSession,
    /// It names what the relay remembers between the two halves of a sign-in, or the browser that began it.
    Challenge,
    /// With it a person reads one recording for some hours.
    Replay,
    /// With it a program does what its maker may, within its scopes.
    Api,
    /// With it a person joins an organisation, once.
    Invitation,
}

impl TokenKind {
    /// What every token of this kind begins with; never changes, so that secret scanners know it.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Join => "plj_",
            Self::SignInLink => "pll_",
            Self::Ticket => "plk_",
            Self::LoginSession => "pls_",
            Self::Challenge => "plc_",
            Self::Replay => "plr_",
            Self::Api => "plt_",
            Self::Invitation => "pli_",
        }
    }
}

/// A token on its way to its owner. It exists only between its making and the answer that carries it.
#[derive(Debug)]
pub struct Token(SecretString);

impl Token {
    /// Makes a new token.
    pub fn generate(kind: TokenKind, entropy: &Entropy) -> Self {
        let random: [u8; RANDOM_BYTES] = entropy.bytes();
        Self(SecretString::from(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random))))
    }

    /// What is stored.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.expose_secret())
    }

    /// The text, for its owner's eyes.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// SHA-256 over a token's whole text: what is stored and looked up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Hashes a token that somebody presents. `None` if the text cannot be a token of this kind, so that nothing of
    /// arbitrary length is hashed or looked up.
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(kind.prefix())?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (encoded.len() == ENCODED_BYTES && encoded.bytes().all(plain)).then(|| Self::of(text))
    }

    /// The hash's bytes, for storage.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to tell two apart in a log; a hash of 256 random bits gives nothing away.
        write!(f, "TokenHash({}…)", hex::encode(&self.0[..4]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_presented_token_hashes_to_what_was_stored() {
        let token = Token::generate(TokenKind::Join, &Entropy::seeded(1));
        assert_eq!(TokenHash::parse(TokenKind::Join, token.expose()), Some(token.hash()));
        assert_eq!(token.expose().len(), 4 + ENCODED_BYTES);
    }

    #[test]
    fn a_token_of_one_kind_is_none_of_another() {
        let token = Token::generate(TokenKind::Ticket, &Entropy::seeded(1));
        assert_eq!(TokenHash::parse(TokenKind::LoginSession, token.expose()), None);
    }

    #[test]
    fn what_cannot_be_a_token_is_not_looked_up() {
        let long = format!("plj_{}", "a".repeat(44));
        let strange = format!("plj_{}", "é".repeat(21) + "a");
        for text in ["", "plj_", "plj_short", &long, &strange] {
            assert_eq!(TokenHash::parse(TokenKind::Join, text), None, "{text:?}");
        }
    }

    #[test]
    fn a_token_does_not_print_itself() {
        let token = Token::generate(TokenKind::Join, &Entropy::seeded(1));
        assert!(!format!("{token:?}").contains(&token.expose()[4..]));
    }
}
