//! The ways to sign in that this relay offers.

use std::sync::Arc;

use anyhow::Context;

use super::oidc::ProviderHttp;
use super::passkeys::Passkeys;
use super::password::Passwords;
use crate::config::PublicUrl;
use crate::entropy::Entropy;
use crate::http::guesses::SIGN_IN_PAGES;
use crate::http::rate_limit::RateLimiter;
use crate::outbound::AddressPolicy;

/// Whether people may sign in with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordSignIn {
    /// They may not.
    Off,
    /// They may.
    On,
}

/// The ways to sign in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignInMethods {
    /// Passwords, where they are in use.
    pub passwords: Option<Passwords>,
    /// Passkeys, where the relay has a name.
    pub passkeys: Option<Passkeys>,
    /// How providers are asked.
    pub providers: ProviderHttp,
    /// Bounds how often one address may ask what is offered, and set out.
    pub looks: Arc<RateLimiter>,
}

impl SignInMethods {
    /// Makes ready for a relay at this address.
    pub fn new(
        passwords: PasswordSignIn,
        issuers: AddressPolicy,
        url: &PublicUrl,
        entropy: &Entropy,
    ) -> anyhow::Result<Self> {
        let passwords = match passwords {
            PasswordSignIn::Off => None,
            PasswordSignIn::On => Some(Passwords::new(entropy).context("passwords cannot be hashed")?),
        };
        Ok(Self {
            passwords,
            passkeys: Passkeys::at(url),
            providers: ProviderHttp::new(issuers),
            looks: Arc::new(RateLimiter::new(SIGN_IN_PAGES)),
        })
    }
}
