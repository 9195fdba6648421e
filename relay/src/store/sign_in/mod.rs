//! How people sign in: passwords, passkeys, identities at providers, and the login that comes of it.

mod challenges;
mod identities;
mod login;
mod passkeys;
mod passwords;
mod providers;

pub use self::challenges::{ChallengePurpose, NewChallenge};
pub use self::identities::OidcSignIn;
pub use self::login::{LoginProof, SignInAs, SignInRefusal};
pub use self::passkeys::{NewPasskey, StoredPasskey};
pub use self::passwords::StoredPassword;
pub use self::providers::SignInProvider;
