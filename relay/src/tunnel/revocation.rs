//! Ends the sessions of agents whose right was withdrawn, and disconnects them: also when a command in another process
//! withdrew it, while nobody was connected, or while this relay did not run.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::Context;
use super::registry::Agents;

/// The sessions of a revoked agent are being ended within this time and the store's answer.
const EVERY: Duration = Duration::from_millis(500);

/// A store that does not answer for this long is asked anew.
const ANSWER: Duration = Duration::from_secs(5);

/// Asks the store again and again until `stop`. Cancel safe.
pub(super) async fn watch(context: Context, agents: Agents, stop: CancellationToken) {
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = false;
    let mut told = HashSet::new();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = agents.asked_for_revoked() => {}
            () = stop.cancelled() => return,
        }
        match timeout(ANSWER, context.store.revoked_agents(context.clock.now())).await {
            Ok(Ok(revoked)) => {
                reported = false;
                told.retain(|agent| revoked.iter().any(|(still, _)| still == agent));
                for (agent, cause) in revoked {
                    if told.insert(agent) || agents.is_connected(agent) {
                        agents.revoke(agent, cause);
                    }
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
