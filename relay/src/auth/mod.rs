//! How the relay knows who speaks: [`token`]s that it handed out and stores only as hashes, [`password`]s, [`passkeys`] and the
//! word of a provider ([`oidc`]); and how it keeps the secrets of others ([`seal`]).

pub mod oidc;
pub mod passkeys;
pub mod password;
pub mod seal;
pub mod sign_in;
pub mod token;
