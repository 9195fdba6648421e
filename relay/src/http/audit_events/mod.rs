//! The audit log, as browsers see it.

mod cursor;
pub mod export;
pub mod list;
pub mod query;
pub mod stream;
#[cfg(test)]
mod tests;

use crate::app::App;
use crate::domain::access::{Action, Actor, Decision, audit_scope, authorize};

/// Whether a caller may still see what they saw: their login stands, and their role still gives them the same view. A store
/// that does not answer takes nothing away. Cancel safe.
async fn still_may(app: &App, actor: &Actor, action: Action) -> bool {
    let now = app.clock.now();
    match app.store.login_session(actor.organisation, actor.login_session, now).await {
        Ok(Some(login)) => {
            let today = Actor::from(&login);
            authorize(&today, action) == Decision::Allow && audit_scope(&today) == audit_scope(actor)
        }
        Ok(None) => false,
        Err(_) => true,
    }
}
