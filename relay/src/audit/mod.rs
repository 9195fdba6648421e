//! The audit log on its way out: what an event looks like outside, and who gets it without asking.

pub mod body;
pub mod csv;
pub mod escape;
pub mod json_lines;
pub mod outbox;
pub mod webhook;

use self::json_lines::{JsonLines, LogTarget};
use self::outbox::Outbox;
use self::webhook::{Webhook, WebhookTarget};
use crate::app::App;

/// Who gets every event of every organisation.
#[derive(Debug, Clone, Default)]
pub struct Receivers {
    /// An HTTP receiver.
    pub webhook: Option<WebhookTarget>,
    /// A log of JSON Lines.
    pub log: Option<LogTarget>,
}

/// Starts an outbox for each receiver; they run until the relay drains.
pub fn start_outboxes(app: &App) -> anyhow::Result<()> {
    let Receivers { webhook, log } = &app.config.audit;
    let (store, entropy, stop) = (&app.store, &app.entropy, app.lifecycle.draining());
    if let Some(target) = webhook {
        let webhook = Webhook::new(target, app.clock.clone())?;
        app.lifecycle.spawn(Outbox::new(store.clone(), entropy.clone(), webhook).run(stop.clone()));
    }
    if let Some(target) = log {
        let log = JsonLines::start(target.clone())?;
        app.lifecycle.spawn(Outbox::new(store.clone(), entropy.clone(), log).run(stop.clone()));
    }
    Ok(())
}
