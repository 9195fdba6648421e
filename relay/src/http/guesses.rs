//! Guessing at secrets: how often it may be tried, by address and by account, and what becomes of those who try too often.
//!
//! Most secrets here are 256 random bits, which nobody guesses; limits keep a guesser from the relay's time and from its audit
//! log. For those the secret is looked at first: a bad one costs its address a try, a good one is never refused for what others
//! tried from the same address. A password can be guessed, so there looking is what is limited, and only a try that was good
//! comes back. Who shares an address with a guesser still gets in: from a browser that signed in as this person before, with a
//! passkey, or with a one-time link.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use podlatch_protocol::id::OrganisationId;

use super::problem::{Problem, ProblemKind};
use super::rate_limit::{Limited, Note, Rate, RateLimiter, Who};
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin, Outcome};
use crate::store::{Store, StoreError};

/// Bad tries at secrets that nobody guesses, by address: an office behind one address makes some mistakes in a morning.
pub const BY_ADDRESS: Rate = Rate { burst: 30, refill: Duration::from_secs(2) };

/// Bad tries of one account that is signed in: mistakes of a program, which should wait.
pub const BY_ACCOUNT: Rate = Rate { burst: 20, refill: Duration::from_secs(2) };

/// Tries at one account's password from one address, or from one browser that is known: a person who types it wrong tries a
/// few times, and 120 an hour find no password that is taken here.
pub const PASSWORD: Rate = Rate { burst: 10, refill: Duration::from_secs(30) };

/// Tries at one account's password from all addresses together: a crowd of guessers has 17,000 a day and no more.
pub const PASSWORD_FROM_ALL: Rate = Rate { burst: 200, refill: Duration::from_secs(5) };

/// Looks at the sign-in page, and setting out from it, by address: nothing is guessed there, but each costs.
pub const SIGN_IN_PAGES: Rate = Rate { burst: 120, refill: Duration::from_millis(500) };

/// What somebody may guess at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The password of an account.
    Password,
    /// A sign-in link.
    SignInLink,
    /// A passkey's answer, or what a provider gave.
    SignIn,
    /// An invitation.
    Invitation,
    /// An API token.
    ApiToken,
    /// A ticket for a terminal.
    Ticket,
    /// A join token.
    JoinToken,
}

impl Secret {
    /// The stable name, for the audit log.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::SignInLink => "sign_in_link",
            Self::SignIn => "sign_in",
            Self::Invitation => "invitation",
            Self::ApiToken => "api_token",
            Self::Ticket => "ticket",
            Self::JoinToken => "join_token",
        }
    }

    /// What was tried, in words.
    const fn tried(self) -> &'static str {
        match self {
            Self::Password | Self::SignInLink | Self::SignIn => "sign in",
            Self::Invitation => "open an invitation",
            Self::ApiToken => "use an API token",
            Self::Ticket => "attach to a terminal",
            Self::JoinToken => "join",
        }
    }
}

/// Every limit on guesses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Guesses(Arc<Limits>);

/// One for each secret, so that whoever guesses at one takes no tries at another from their neighbours.
#[derive(Debug)]
struct Limits {
    passwords: RateLimiter,
    passwords_by_account: RateLimiter,
    passwords_from_all: RateLimiter,
    sign_in_links: RateLimiter,
    sign_ins: RateLimiter,
    invitations: RateLimiter,
    api_tokens: RateLimiter,
    tickets: RateLimiter,
    tickets_by_account: RateLimiter,
    join_tokens: RateLimiter,
}

impl Default for Guesses {
    fn default() -> Self {
        let [passwords, sign_in_links, sign_ins, invitations, api_tokens, tickets, join_tokens] =
            std::array::from_fn(|_| RateLimiter::new(BY_ADDRESS));
        Self(Arc::new(Limits {
            passwords,
            passwords_by_account: RateLimiter::new(PASSWORD),
            passwords_from_all: RateLimiter::new(PASSWORD_FROM_ALL),
            sign_in_links,
            sign_ins,
            invitations,
            api_tokens,
            tickets,
            tickets_by_account: RateLimiter::new(BY_ACCOUNT),
            join_tokens,
        }))
    }
}

/// Whose password is tried, and from where.
#[derive(Debug, Clone, Copy)]
pub struct PasswordTry<'a> {
    /// The account that is named, whether or not there is one.
    pub account: &'a str,
    /// From where.
    pub address: Option<IpAddr>,
    /// What shows that this browser signed in as this person before.
    pub known_browser: Option<&'a str>,
}

impl Guesses {
    /// Counts a bad try; `Err` if the address has none left.
    pub fn bad(&self, secret: Secret, from: Option<IpAddr>, now: UnixMillis) -> Result<(), Limited> {
        let limits = &*self.0;
        let limiter = match secret {
            Secret::Password => &limits.passwords,
            Secret::SignInLink => &limits.sign_in_links,
            Secret::SignIn => &limits.sign_ins,
            Secret::Invitation => &limits.invitations,
            Secret::ApiToken => &limits.api_tokens,
            Secret::Ticket => &limits.tickets,
            Secret::JoinToken => &limits.join_tokens,
        };
        limiter.take(Who::at(from), now)
    }

    /// Counts a bad ticket of an account that is signed in; `Err` if the account or the address has no try left.
    pub fn bad_ticket(&self, account: &str, from: Option<IpAddr>, now: UnixMillis) -> Result<(), Limited> {
        self.0.tickets_by_account.take(Who::names(account), now)?;
        self.bad(Secret::Ticket, from, now)
    }

    /// Takes a try at a password; to be given back if it was good.
    pub fn password(&self, at: PasswordTry<'_>, now: UnixMillis) -> Result<(), Limited> {
        let mut taken: Vec<(&RateLimiter, Who)> = Vec::with_capacity(3);
        for (limiter, who) in self.passwords(at) {
            if let Err(limited) = limiter.take(who.clone(), now) {
                // Who is refused has not tried: the account's other visitors keep their tries.
                for (limiter, who) in &taken {
                    RateLimiter::give_back(limiter, who);
                }
                return Err(limited);
            }
            taken.push((limiter, who));
        }
        Ok(())
    }

    /// Gives the try back: it was good.
    pub fn password_was_good(&self, at: PasswordTry<'_>) {
        for (limiter, who) in self.passwords(at) {
            limiter.give_back(&who);
        }
    }

    /// Which limits count. A browser that is known has one of its own, which nobody else uses up.
    fn passwords(&self, at: PasswordTry<'_>) -> Vec<(&RateLimiter, Who)> {
        let limits = &*self.0;
        match at.known_browser {
            Some(browser) => vec![(&limits.passwords_by_account, Who::names(browser))],
            None => vec![
                (&limits.passwords_by_account, Who::names_from(at.account, at.address)),
                (&limits.passwords, Who::at(at.address)),
                (&limits.passwords_from_all, Who::names(at.account)),
            ],
        }
    }
}

/// What becomes of somebody who tried too often: the audit log says so once for a burst, and they are told to wait. `event`
/// says in whose log, and who. Cancel safe.
pub async fn refuse(store: &Store, secret: Secret, limited: Limited, event: NewEvent) -> Problem {
    match note(store, secret, limited, event).await {
        Ok(()) => too_many(limited, secret),
        Err(error) => error.into(),
    }
}

/// Writes it into the audit log, once for a burst. Cancel safe.
pub async fn note(store: &Store, secret: Secret, limited: Limited, event: NewEvent) -> Result<(), StoreError> {
    match limited.note {
        Note::Due => {
            let event = event.outcome(Outcome::Refused).detail("secret", secret.slug());
            store.append_audit(&event.detail("reason", "too_many_tries")).await.map(drop)
        }
        Note::Done => Ok(()),
    }
}

/// Begins the event of it.
pub fn guessing(organisation: OrganisationId, by: Origin, now: UnixMillis) -> NewEvent {
    NewEvent::new(Action::TooManyTries, organisation, by, now)
}

/// Tells somebody to wait, and for how long.
pub fn too_many(limited: Limited, secret: Secret) -> Problem {
    let seconds = seconds(limited);
    let what = secret.tried();
    let other = match secret {
        Secret::Password => " A passkey or a one-time link works at once.",
        _ => "",
    };
    let detail = format!("Too many tries to {what}. Try again in {seconds} seconds.{other}");
    Problem::new(ProblemKind::TooManyRequests, detail).retry_after(seconds)
}

/// How long to wait, in whole seconds.
pub const fn seconds(limited: Limited) -> u64 {
    limited.wait.as_secs() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis::new(1_700_000_000_000);
    const GUESSER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const ELSEWHERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));
    const ADA: &str = "ada@example.org";

    fn at(account: &str, address: Option<IpAddr>) -> PasswordTry<'_> {
        PasswordTry { account, address, known_browser: None }
    }

    #[test]
    fn guesses_at_one_account_are_few_and_its_person_elsewhere_gets_through() {
        let guesses = Guesses::default();
        for _ in 0..PASSWORD.burst {
            assert_eq!(guesses.password(at(ADA, GUESSER), NOW), Ok(()));
        }
        assert!(guesses.password(at(ADA, GUESSER), NOW).is_err());
        assert_eq!(guesses.password(at(ADA, ELSEWHERE), NOW), Ok(()));
        assert_eq!(guesses.password(at("bob@example.org", GUESSER), NOW), Ok(()));
    }

    #[test]
    fn one_password_tried_at_many_accounts_is_guessing_too() {
        let guesses = Guesses::default();
        let passed = (0..100).filter(|n| guesses.password(at(&format!("p{n}@x"), GUESSER), NOW).is_ok()).count();
        assert_eq!(passed, 30);
        assert_eq!(guesses.password(at("p99@x", ELSEWHERE), NOW), Ok(()));
    }

    #[test]
    fn a_browser_that_is_known_gets_through_whatever_others_try() {
        let guesses = Guesses::default();
        let from = |n: u32| Some(IpAddr::from((0x0a00_0000 + n).to_be_bytes()));
        let passed = (0..1000).filter(|n| guesses.password(at(ADA, from(*n)), NOW).is_ok()).count();
        assert_eq!(passed, 200, "all addresses together");
        let sprayed = (0..100).filter(|n| guesses.password(at(&format!("p{n}@x"), GUESSER), NOW).is_ok()).count();
        assert!(sprayed < 100);
        assert!(guesses.password(at(ADA, GUESSER), NOW).is_err());
        let known = PasswordTry { known_browser: Some("a secret"), ..at(ADA, GUESSER) };
        for _ in 0..PASSWORD.burst {
            assert_eq!(guesses.password(known, NOW), Ok(()));
        }
        assert!(guesses.password(known, NOW).is_err(), "but it is limited as well");
    }

    #[test]
    fn who_knows_the_password_uses_nothing_up() {
        let guesses = Guesses::default();
        for n in 0..500 {
            let account = format!("p{n}@x");
            assert_eq!(guesses.password(at(&account, GUESSER), NOW), Ok(()), "an office in the morning");
            guesses.password_was_good(at(&account, GUESSER));
        }
    }

    #[test]
    fn each_secret_has_its_own_tries() {
        let guesses = Guesses::default();
        let all = [
            Secret::Password,
            Secret::SignInLink,
            Secret::SignIn,
            Secret::Invitation,
            Secret::ApiToken,
            Secret::Ticket,
            Secret::JoinToken,
        ];
        for secret in all {
            let passed = (0..100).filter(|_| guesses.bad(secret, GUESSER, NOW).is_ok()).count();
            assert_eq!(passed, 30, "{secret:?}");
        }
        let passed = (0..100).filter(|_| guesses.bad_ticket("ada", ELSEWHERE, NOW).is_ok()).count();
        assert_eq!(passed, 20, "one account");
        assert!(guesses.bad_ticket("bob", ELSEWHERE, NOW).is_ok());
    }
}
