//! Passwords: what is taken for one, and how it is hashed and compared.
//!
//! Argon2id with the parameters of the OWASP Password Storage Cheat Sheet (19 MiB, two passes, one lane). Hashing runs on
//! blocking threads, a few at once, so that guessing costs the guesser and not the relay's other people.

mod common;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::entropy::Entropy;

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over the memory.
const PASSES: u32 = 2;

/// Hashes at once: each takes a core for some tens of milliseconds.
const AT_ONCE: usize = 2;

/// How long a sign-in waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

const SALT_BYTES: usize = 16;

/// A new password: long enough, and none that everybody tries first.
#[derive(Debug, Clone)]
pub struct NewPassword(SecretString);

/// A text that is refused as a password, with the sentence that says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPassword(&'static str);

impl NewPassword {
    /// Fewest characters.
    pub const MIN_CHARACTERS: usize = 12;

    /// Most bytes: nothing is hashed at any length.
    pub const MAX_BYTES: usize = 256;

    /// Checks a text for a person with this address.
    pub fn parse(text: SecretString, email: &str) -> Result<Self, InvalidPassword> {
        let plain = text.expose_secret();
        if plain.chars().count() < Self::MIN_CHARACTERS {
            return Err(InvalidPassword("A password needs 12 characters at least. Several words do well."));
        }
        if plain.len() > Self::MAX_BYTES {
            return Err(InvalidPassword("A password must not be longer than 256 bytes."));
        }
        if common::is_common(plain, email) {
            return Err(InvalidPassword("This password is among the first that others would try. Choose another."));
        }
        Ok(Self(text))
    }
}

/// Hashes and compares passwords. Cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// What a guess for an unknown person is compared with, so that it takes the same time.
    nobodys: Arc<str>,
}

/// A password could not be hashed or compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many others sign in at the same time.
    #[error("too many people sign in at once; try again")]
    Busy,
    /// The library failed, or what is stored is no hash.
    #[error("the password could not be hashed")]
    Failed,
}

impl Passwords {
    /// Makes ready.
    pub fn new(entropy: &Entropy) -> Result<Self, PasswordError> {
        let nobodys = hash(&entropy.bytes::<32>(), &entropy.bytes())?.into();
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobodys })
    }

    /// Hashes a new password, for storage. Cancel safe.
    pub async fn hash(&self, password: NewPassword, entropy: &Entropy) -> Result<String, PasswordError> {
        let salt = entropy.bytes();
        self.in_turn(move || hash(password.0.expose_secret().as_bytes(), &salt)).await?
    }

    /// Whether this is the password. Without a stored one it never is, and finding out takes as long. Cancel safe.
    pub async fn matches(&self, stored: Option<String>, password: SecretString) -> Result<bool, PasswordError> {
        let nobodys = self.nobodys.clone();
        self.in_turn(move || {
            let text = stored.as_deref().unwrap_or(&nobodys);
            let hash = PasswordHash::new(text).map_err(|_| PasswordError::Failed)?;
            let given = password.expose_secret().as_bytes();
            let short = &given[..given.len().min(NewPassword::MAX_BYTES + 1)];
            let is_it = argon2()?.verify_password(short, &hash).is_ok();
            Ok(is_it && stored.is_some())
        })
        .await?
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let turn = timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| PasswordError::Busy)?.map_err(|_| PasswordError::Failed)?;
        let done = tokio::task::spawn_blocking(move || {
            // Goes with the work, not with who waits for it: one who gives up does not free a core.
            let _turn = turn;
            work()
        });
        done.await.map_err(|_| PasswordError::Failed)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("free_turns", &self.turns.available_permits()).finish_non_exhaustive()
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8], salt: &[u8; SALT_BYTES]) -> Result<String, PasswordError> {
    let hash: PasswordHash = argon2()?.hash_password_with_salt(password, salt).map_err(|_| PasswordError::Failed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(text: &str) -> Result<NewPassword, InvalidPassword> {
        NewPassword::parse(SecretString::from(text), "ada.lovelace@example.org")
    }

    #[tokio::test]
    async fn a_password_matches_itself_alone() {
        let entropy = Entropy::seeded(1);
        let passwords = Passwords::new(&entropy).expect("makes ready");
        let stored = passwords.hash(new("correct horse battery").expect("is good"), &entropy).await.expect("hashes");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        let matches = async |stored: Option<&String>, text: &str| {
            passwords.matches(stored.cloned(), SecretString::from(text)).await.expect("compares")
        };
        assert!(matches(Some(&stored), "correct horse battery").await);
        assert!(!matches(Some(&stored), "correct horse battery ").await);
        assert!(!matches(Some(&stored), "").await);
        assert!(!matches(None, "correct horse battery").await);
        let again = passwords.hash(new("correct horse battery").expect("is good"), &entropy).await.expect("hashes");
        assert_ne!(stored, again, "each has its salt");
    }

    #[test]
    fn what_is_short_long_or_common_is_no_password() {
        for good in ["correct horse battery", "grüße aus köln", "Tr0ub4dor&3 zwölf"] {
            assert!(new(good).is_ok(), "{good}");
        }
        let long = "x y".repeat(100);
        for bad in ["", "elevenchars", "123456789012", "passwordpassword", "PassWord1234", "aaaaaaaaaaaaaaa", &long] {
            assert!(new(bad).is_err(), "{bad}");
        }
        for own in ["ada.lovelace@example.org", "ada.lovelace", "podlatchpodlatch"] {
            assert!(new(own).is_err(), "{own}");
        }
    }

    #[tokio::test]
    async fn a_crowd_waits_its_turn_and_one_that_gives_up_frees_no_core() {
        let passwords = Passwords::new(&Entropy::seeded(1)).expect("makes ready");
        let all = (0..8).map(|_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.matches(None, SecretString::from("guess")).await })
        });
        let all: Vec<_> = all.collect();
        for one in all {
            assert_eq!(one.await.expect("joins"), Ok(false));
        }
        assert_eq!(passwords.turns.available_permits(), AT_ONCE);
    }
}
