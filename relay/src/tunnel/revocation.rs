//! Disconnects agents whose right was withdrawn, also by a command in another process.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::registry::Agents;

/// A revoked agent is gone within this time and the store's answer.
const EVERY: Duration = Duration::from_secs(1);

/// A store that does not answer for this long is asked anew.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks the store again and again until `stop`. Cancel safe.
pub(super) async fn watch(context: Context, agents: Agents, stop: CancellationToken) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = false;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = agents.asked_for_revoked() => {}
            () = stop.cancelled() => return,
        }
        if agents.is_empty() {
            continue;
        }
        match timeout(ANSWER, context.store.revoked_agents(context.clock.now())).await {
            Ok(Ok(revoked)) => {
                reported = false;
                for agent in revoked {
                    agents.revoke(agent);
                }
            }
            failed if !reported => {
                reported = true;
                tracing::error!("revoked agents cannot be looked up, so they stay connected for now: {failed:?}");
            }
            _ => {}
        }
    }
}
