//! `admin set-password`: a password for somebody, for the first time or after it was forgotten.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use secrecy::{SecretString, zeroize::Zeroize};
use serde::Serialize;

use super::{Desk, lookup};
use crate::auth::password::{NewPassword, Passwords};
use crate::domain::audit::Origin;
use crate::domain::name::Email;

/// The most that is read: longer than any password that is taken, so that one that is too long is named as such.
const MAX_FILE_BYTES: u64 = 4096;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct SetPasswordArgs {
    /// The person's address
    #[arg(long, value_name = "ADDRESS")]
    email: Email,

    /// In whose audit log it is noted, by name or id; needed where the person is in several
    #[arg(long, value_name = "NAME|ID")]
    organisation: Option<String>,

    /// A file with the password; without it, the password is read from standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Whose password was set.
#[derive(Debug, Serialize)]
pub(super) struct PasswordSet {
    user: String,
    email: String,
}

pub(super) async fn run(desk: &Desk, args: SetPasswordArgs) -> anyhow::Result<PasswordSet> {
    let membership = lookup::membership(&desk.store, &args.email, args.organisation.as_deref()).await?;
    let password = NewPassword::parse(read(args.password_file.as_deref())?, args.email.as_str())?;
    let hash = Passwords::new(&desk.entropy)?.hash(password, &desk.entropy).await?;
    let whose = (membership.organisation.id, membership.user.id);
    desk.store.set_password(whose, &hash, &Origin::operator(), desk.now()).await?;
    Ok(PasswordSet { user: membership.user.id.to_string(), email: args.email.to_string() })
}

/// Never from the command line, which other users of the machine can read.
fn read(file: Option<&Path>) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    match file {
        Some(path) => std::fs::File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text))
            .with_context(|| format!("the password could not be read from {}", path.display()))?,
        None => std::io::stdin()
            .take(MAX_FILE_BYTES)
            .read_to_string(&mut text)
            .context("the password could not be read from standard input")?,
    };
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    text.zeroize();
    Ok(password)
}

impl fmt::Display for PasswordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} has a new password. Other ways to sign in, and logins that stand, are as they were.",
            self.email
        )
    }
}
