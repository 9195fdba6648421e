//! Logins: how a person proves themselves to the relay, and whether the proof still stands.
//!
//! A browser's cookie and an API token are both logins. What a login may do is never more than its person may.

use podlatch_protocol::id::{LoginSessionId, UserId};

use super::name::{DisplayName, Email};
use super::organisation::{ClientInfo, Role};
use crate::clock::UnixMillis;

/// What a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginKind {
    /// A browser that keeps a cookie.
    Browser,
    /// A program that keeps an API token.
    Token,
}

impl LoginKind {
    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Browser => "browser",
            Self::Token => "token",
        }
    }

    /// The kind with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Browser, Self::Token].into_iter().find(|kind| kind.slug() == slug)
    }
}

/// How a login began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginMethod {
    /// With a one-time link.
    Link,
    /// With a password.
    Password,
    /// With a passkey.
    Passkey,
    /// At an OpenID Connect provider.
    Oidc,
    /// It is an API token, made by its person.
    Token,
}

impl LoginMethod {
    const ALL: [Self; 5] = [Self::Link, Self::Password, Self::Passkey, Self::Oidc, Self::Token];

    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Password => "password",
            Self::Passkey => "passkey",
            Self::Oidc => "oidc",
            Self::Token => "token",
        }
    }

    /// The method with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.slug() == slug)
    }
}

/// What an API token may be used for, within what its person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// See what the person sees. Every token has it.
    Read,
    /// Open, enter and end terminals.
    Sessions,
    /// Change how the organisation is set up.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Sessions, Self::Admin];

    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Sessions => "sessions",
            Self::Admin => "admin",
        }
    }

    /// The scope with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.slug() == slug)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Read => 1,
            Self::Sessions => 2,
            Self::Admin => 4,
        }
    }
}

/// A set of scopes; [`Scope::Read`] is always in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

impl Scopes {
    /// All of them: what a browser has.
    pub const ALL: Self = Self(7);

    /// Whether the set has this scope.
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// The scopes, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(Scope::Read.bit(), |set, scope| set | scope.bit()))
    }
}

/// A login as its person and their administrators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginOverview {
    /// Its id.
    pub id: LoginSessionId,
    /// Cookie or token.
    pub kind: LoginKind,
    /// How it began.
    pub method: LoginMethod,
    /// What a token's maker calls it.
    pub name: Option<DisplayName>,
    /// What it may be used for.
    pub scopes: Scopes,
    /// Whose it is.
    pub user: UserId,
    /// Their address.
    pub email: Email,
    /// When it began.
    pub created_at: UnixMillis,
    /// When it ends by itself.
    pub expires_at: UnixMillis,
    /// When it was last used, to the minute.
    pub last_used_at: Option<UnixMillis>,
    /// Where it began.
    pub client: ClientInfo,
}

/// Everything that a login's standing depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginFacts {
    /// Cookie or token.
    pub kind: LoginKind,
    /// When it ends by itself.
    pub expires_at: UnixMillis,
    /// When it was signed out or revoked.
    pub revoked_at: Option<UnixMillis>,
    /// What the person is in the organisation; `None` if they are no member.
    pub role: Option<Role>,
    /// When the person's account was suspended.
    pub account_suspended_at: Option<UnixMillis>,
    /// When the person's membership was suspended.
    pub membership_suspended_at: Option<UnixMillis>,
    /// When the organisation was suspended.
    pub organisation_suspended_at: Option<UnixMillis>,
}

impl LoginFacts {
    /// What the person is in the organisation, by a login that stands at `now`; otherwise why it does not.
    pub fn standing(&self, now: UnixMillis) -> Result<Role, LoginEnd> {
        if self.revoked_at.is_some() {
            return Err(LoginEnd::Revoked(self.kind));
        }
        if self.expires_at <= now {
            return Err(LoginEnd::Expired(self.kind));
        }
        if self.account_suspended_at.is_some() {
            return Err(LoginEnd::AccountSuspended);
        }
        if self.organisation_suspended_at.is_some() {
            return Err(LoginEnd::OrganisationSuspended);
        }
        let role = self.role.ok_or(LoginEnd::NoMember)?;
        if self.membership_suspended_at.is_some() {
            return Err(LoginEnd::MembershipSuspended);
        }
        Ok(role)
    }
}

/// Why a login stands no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginEnd {
    /// It was signed out, or somebody revoked it.
    Revoked(LoginKind),
    /// Its time is over.
    Expired(LoginKind),
    /// The person's account is suspended.
    AccountSuspended,
    /// The person is suspended in this organisation.
    MembershipSuspended,
    /// The organisation is suspended.
    OrganisationSuspended,
    /// The person was removed from the organisation.
    NoMember,
}

impl LoginEnd {
    /// The stable name, for the audit log.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Revoked(LoginKind::Browser) => "signed_out",
            Self::Revoked(LoginKind::Token) => "token_revoked",
            Self::Expired(LoginKind::Browser) => "login_expired",
            Self::Expired(LoginKind::Token) => "token_expired",
            Self::AccountSuspended => "account_suspended",
            Self::MembershipSuspended => "membership_suspended",
            Self::OrganisationSuspended => "organisation_suspended",
            Self::NoMember => "no_member",
        }
    }

    /// For the person whose login it was: what happened, and what to do.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Revoked(LoginKind::Browser) => "This login was signed out. Sign in again.",
            Self::Revoked(LoginKind::Token) => "This API token was revoked. Create a new one.",
            Self::Expired(LoginKind::Browser) => "This login has expired. Sign in again.",
            Self::Expired(LoginKind::Token) => "This API token has expired. Create a new one.",
            Self::AccountSuspended => "Your account is suspended. Ask the operator of this relay.",
            Self::MembershipSuspended => "You are suspended in this organisation. Ask one of its owners or admins.",
            Self::OrganisationSuspended => "This organisation is suspended. Ask the operator of this relay.",
            Self::NoMember => "You are no longer a member of this organisation. Ask one of its owners or admins.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::new(1000);

    fn good() -> LoginFacts {
        LoginFacts {
            kind: LoginKind::Token,
            expires_at: UnixMillis::new(1001),
            revoked_at: None,
            role: Some(Role::Auditor),
            account_suspended_at: None,
            membership_suspended_at: None,
            organisation_suspended_at: None,
        }
    }

    #[test]
    fn a_login_stands_until_any_one_of_its_grounds_is_gone() {
        let then = Some(UnixMillis::new(999));
        assert_eq!(good().standing(NOW), Ok(Role::Auditor));
        for (facts, end) in [
            (LoginFacts { revoked_at: then, ..good() }, LoginEnd::Revoked(LoginKind::Token)),
            (LoginFacts { expires_at: NOW, ..good() }, LoginEnd::Expired(LoginKind::Token)),
            (LoginFacts { role: None, ..good() }, LoginEnd::NoMember),
            (LoginFacts { account_suspended_at: then, ..good() }, LoginEnd::AccountSuspended),
            (LoginFacts { membership_suspended_at: then, ..good() }, LoginEnd::MembershipSuspended),
            (LoginFacts { organisation_suspended_at: then, ..good() }, LoginEnd::OrganisationSuspended),
        ] {
            assert_eq!(facts.standing(NOW), Err(end));
        }
    }

    #[test]
    fn every_token_may_read_and_has_no_scope_that_it_was_not_given() {
        let none = Scopes::from_iter([]);
        assert_eq!(none.iter().collect::<Vec<_>>(), [Scope::Read]);
        let sessions = Scopes::from_iter([Scope::Sessions]);
        assert!(sessions.contains(Scope::Read) && sessions.contains(Scope::Sessions));
        assert!(!sessions.contains(Scope::Admin));
        assert_eq!(Scopes::from_iter(Scope::ALL), Scopes::ALL);
    }

    #[test]
    fn every_name_names_one_thing() {
        for scope in Scope::ALL {
            assert_eq!(Scope::from_slug(scope.slug()), Some(scope));
        }
        for method in LoginMethod::ALL {
            assert_eq!(LoginMethod::from_slug(method.slug()), Some(method));
        }
        for kind in [LoginKind::Browser, LoginKind::Token] {
            assert_eq!(LoginKind::from_slug(kind.slug()), Some(kind));
        }
    }
}
