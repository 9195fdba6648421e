//! What the relay remembers between the two halves of a sign-in: kept here, never by the browser, and good once.

use crate::auth::token::TokenHash;
use crate::clock::UnixMillis;
use crate::store::engine::{execute, fetch_optional};
use crate::store::{Store, StoreError};

/// What a challenge was made for. It is good for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChallengePurpose {
    /// To add a passkey.
    PasskeyRegistration,
    /// To sign in with a passkey.
    PasskeySignIn,
    /// To sign in at a provider.
    Oidc,
}

impl ChallengePurpose {
    const fn slug(self) -> &'static str {
        match self {
            Self::PasskeyRegistration => "passkey_registration",
            Self::PasskeySignIn => "passkey_sign_in",
            Self::Oidc => "oidc",
        }
    }
}

/// A challenge to be stored.
#[derive(Debug, Clone)]
pub struct NewChallenge {
    /// The hash of the token that names it.
    pub hash: TokenHash,
    /// What for.
    pub purpose: ChallengePurpose,
    /// What is to be remembered, as JSON.
    pub state: String,
    /// Until when it is good.
    pub expires_at: UnixMillis,
}

impl Store {
    /// Stores a challenge, and forgets those whose time is over. Cancel safe.
    pub async fn create_challenge(&self, new: &NewChallenge, now: UnixMillis) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        execute!(tx.on(), "DELETE FROM sign_in_challenges WHERE expires_at <= $1", now.get())?;
        execute!(
            tx.on(),
            "INSERT INTO sign_in_challenges (hash, purpose, state, expires_at) VALUES ($1, $2, $3, $4)",
            new.hash.as_bytes().as_slice(),
            new.purpose.slug(),
            new.state.as_str(),
            new.expires_at.get(),
        )?;
        tx.commit().await
    }

    /// Takes a challenge out: exactly one caller ever gets it. `None` if there is none, or it is over, or it was made for
    /// something else. Cancel safe.
    pub async fn take_challenge(
        &self,
        hash: &TokenHash,
        purpose: ChallengePurpose,
        now: UnixMillis,
    ) -> Result<Option<String>, StoreError> {
        let row = fetch_optional!(
            self.writer(),
            (String,),
            "DELETE FROM sign_in_challenges WHERE hash = $1 AND purpose = $2 AND expires_at > $3 RETURNING state",
            hash.as_bytes().as_slice(),
            purpose.slug(),
            now.get(),
        )?;
        Ok(row.map(|(state,)| state))
    }
}
