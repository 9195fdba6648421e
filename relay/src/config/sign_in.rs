//! How people may sign in on this relay.

use clap::{ArgAction, Args};

use super::switch;
use crate::auth::oidc::PrivateIssuers;
use crate::auth::sign_in::PasswordSignIn;

/// How people may sign in.
#[derive(Debug, Clone, Args)]
pub struct SignInArgs {
    /// Let people sign in with a password too; for small relays of one's own
    #[arg(long, env = "PODLATCH_PASSWORD_SIGN_IN", action = ArgAction::SetTrue, value_parser = switch())]
    pub password_sign_in: bool,

    /// Let organisations name OpenID Connect providers on private networks, and on this machine over plain HTTP
    #[arg(long, env = "PODLATCH_ALLOW_PRIVATE_ISSUERS", action = ArgAction::SetTrue, value_parser = switch())]
    pub allow_private_issuers: bool,
}

impl SignInArgs {
    /// Whether passwords are in use.
    pub const fn passwords(&self) -> PasswordSignIn {
        if self.password_sign_in { PasswordSignIn::On } else { PasswordSignIn::Off }
    }

    /// Whether providers may be on private networks.
    pub const fn private_issuers(&self) -> PrivateIssuers {
        if self.allow_private_issuers { PrivateIssuers::Allowed } else { PrivateIssuers::Refused }
    }
}
