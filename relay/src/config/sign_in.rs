//! How people may sign in on this relay.

use clap::{ArgAction, Args};

use super::{AddressBlock, switch};
use crate::auth::sign_in::PasswordSignIn;
use crate::outbound::AddressPolicy;

/// How people may sign in.
#[derive(Debug, Clone, Args)]
pub struct SignInArgs {
    /// Let people sign in with a password too; for small relays of one's own
    #[arg(long, env = "PODLATCH_PASSWORD_SIGN_IN", action = ArgAction::SetTrue, value_parser = switch())]
    pub password_sign_in: bool,

    /// A private address or block (10.0.0.0/8) on which organisations may name OpenID Connect providers; may be given several
    /// times. On this machine's own addresses over plain HTTP too
    #[arg(long, env = "PODLATCH_ALLOW_ISSUER_ADDRESSES", value_delimiter = ',', value_name = "BLOCK")]
    pub allow_issuer_addresses: Vec<AddressBlock>,
}

impl SignInArgs {
    /// Whether passwords are in use.
    pub const fn passwords(&self) -> PasswordSignIn {
        if self.password_sign_in { PasswordSignIn::On } else { PasswordSignIn::Off }
    }

    /// Where providers are asked.
    pub fn issuers(&self) -> AddressPolicy {
        AddressPolicy::allowing(self.allow_issuer_addresses.clone())
    }
}
