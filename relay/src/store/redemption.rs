//! What becomes of a one-use token that somebody presents.

/// The outcome of presenting a one-use token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redemption<T> {
    /// It was good, and is used from now on. Exactly one presenter ever gets this.
    Redeemed(T),
    /// The relay never gave out such a token.
    Unknown,
    /// Somebody has used it.
    Used,
    /// Its time is over.
    Expired,
    /// What it gave access to is gone: the cluster was revoked, the person removed or signed out.
    Withdrawn,
}

impl<T> Redemption<T> {
    /// The outcome's stable name.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::Redeemed(_) => "redeemed",
            Self::Unknown => "unknown",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// What was redeemed, if it was.
    pub fn redeemed(self) -> Option<T> {
        match self {
            Self::Redeemed(grant) => Some(grant),
            Self::Unknown | Self::Used | Self::Expired | Self::Withdrawn => None,
        }
    }
}

/// A token as it is stored, read after it could not be redeemed.
#[derive(sqlx::FromRow)]
pub(super) struct Unredeemed {
    expires_at: i64,
    used_at: Option<i64>,
}

impl Unredeemed {
    /// Says why. What is neither used nor expired failed its other conditions.
    pub(super) fn explain<T>(found: Option<Self>, now: i64) -> Redemption<T> {
        match found {
            None => Redemption::Unknown,
            Some(Self { used_at: Some(_), .. }) => Redemption::Used,
            Some(token) if token.expires_at <= now => Redemption::Expired,
            Some(_) => Redemption::Withdrawn,
        }
    }
}
