//! A browser that signed in as somebody before: a cookie that says so, sealed by the relay.
//!
//! It opens nothing. Its bearer has tries at that person's password of their own, so that guessers, from the same address or
//! from all over the world, cannot keep that person out.

use http::{HeaderMap, HeaderValue};
use podlatch_protocol::id::UserId;
use secrecy::{ExposeSecret, SecretString};

use crate::app::App;
use crate::auth::seal::{Sealed, SealedPlace};
use crate::clock::UnixMillis;
use crate::domain::audit::NO_ORGANISATION;
use crate::http::cookie;

/// `Set-Cookie` for a browser in which somebody has just signed in. Without it one signs in all the same.
pub(super) fn mark(app: &App, user: UserId, now: UnixMillis) -> Option<HeaderValue> {
    let since = SecretString::from(now.get().to_string());
    let sealed = app.sealing.seal(&place(user), &since).inspect_err(|error| {
        tracing::warn!(%error, "a browser could not be marked as known");
    });
    cookie::set_known_browser(&app.public_url, sealed.ok()?.as_str()).ok()
}

/// What a browser shows of it, if it is this person's and not too old.
pub(super) fn shown(app: &App, headers: &HeaderMap, user: UserId, now: UnixMillis) -> Option<String> {
    let value = cookie::known_browser(&app.public_url, headers)?;
    let since = app.sealing.open(&place(user), &Sealed::stored(value.to_owned())).ok()?;
    let since = UnixMillis::new(since.expose_secret().parse().ok()?);
    (since.until(now) <= cookie::KNOWN_BROWSER_LIFETIME).then(|| value.to_owned())
}

fn place(user: UserId) -> SealedPlace {
    SealedPlace { organisation: NO_ORGANISATION, kind: "known_browser", record: user.as_uuid() }
}
