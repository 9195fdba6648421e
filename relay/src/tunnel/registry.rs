//! Which agents are connected.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podlatch_cluster::Services;
use podlatch_link::disconnect::Disconnect;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::Hello;
use podlatch_protocol::id::{AgentId, ClusterId};
use tokio::sync::{Notify, broadcast};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::events::{AgentEvent, Events};
use super::handle::{AgentHandle, AgentState, ConnectionId, Path, Welcomed};
use super::here::Here;
use super::lives::Lives;
use super::registration::Registration;
use crate::pki::AgentIdentity;

/// How long a revoked agent stays connected, so that its sessions can be ended by it.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Table = BTreeMap<AgentId, AgentHandle>;

/// The connected agents. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    events: Events,
    /// Connections so far.
    connections: AtomicU64,
    tasks: TaskTracker,
    revoked: Notify,
    lives: Mutex<Lives>,
}

impl Agents {
    /// The agent of a cluster that is best asked for something new: answering rather than silent rather than draining,
    /// then the one with the fewest streams.
    pub fn pick(&self, cluster: ClusterId) -> Option<AgentHandle> {
        let table = self.table();
        let agents = table.values().filter(|agent| agent.cluster() == cluster && agent.withdrawn().is_none());
        agents.min_by_key(|agent| (agent.state(), agent.open_streams())).cloned()
    }

    /// An agent, if it is connected.
    pub fn get(&self, agent: AgentId) -> Option<AgentHandle> {
        self.table().get(&agent).cloned()
    }

    /// Every connected agent.
    pub fn all(&self) -> Vec<AgentHandle> {
        self.table().values().cloned().collect()
    }

    /// Whether no agent is connected.
    pub fn is_empty(&self) -> bool {
        self.table().is_empty()
    }

    /// Whether any agent of the cluster is connected and answers.
    pub fn online(&self, cluster: ClusterId) -> bool {
        self.pick(cluster).is_some_and(|agent| agent.state() != AgentState::Silent)
    }

    /// Has the store asked for agents whose right was withdrawn just now, instead of a little later.
    pub fn look_for_revoked(&self) {
        self.shared.revoked.notify_one();
    }

    /// Returns when somebody said [`Self::look_for_revoked`]. Cancel safe.
    pub(super) async fn asked_for_revoked(&self) {
        self.shared.revoked.notified().await;
    }

    /// Withdraws an agent's right: it gets nothing new, its sessions end for `cause`, and then it is disconnected.
    pub fn revoke(&self, agent: AgentId, cause: EndCause) {
        if let Some(handle) = self.get(agent) {
            if !handle.withdraw(cause) {
                return;
            }
            tracing::info!(agent.id = %agent, cause = cause.slug(), "disconnecting a revoked agent");
            self.shared.tasks.spawn(async move {
                sleep(LAST_WORDS).await;
                handle.close(Disconnect::Revoked);
            });
        }
        self.shared.events.send(AgentEvent::Revoked { agent, cause });
    }

    /// Whether this agent is connected.
    pub fn is_connected(&self, agent: AgentId) -> bool {
        self.table().contains_key(&agent)
    }

    /// Enters an agent in this process, which serves a cluster that the relay reaches by itself. It leaves when the
    /// registration is dropped; `tasks` gets what it runs.
    pub fn serve_here(
        &self,
        identity: AgentIdentity,
        hello: Hello,
        services: Services,
        tasks: TaskTracker,
    ) -> Registration {
        self.register(Welcomed { identity, hello, path: Path::Here(Here::new(services, tasks)) })
    }

    /// Enters an agent, in place of an older connection of it. It leaves when the registration is dropped.
    pub(super) fn register(&self, welcomed: Welcomed) -> Registration {
        let connection = ConnectionId(self.shared.connections.fetch_add(1, Ordering::Relaxed) + 1);
        let handle = AgentHandle::new(welcomed, connection, self.shared.tasks.clone());
        let mut table = self.table();
        let older = table.insert(handle.agent(), handle.clone());
        if let Some(older) = &older {
            tracing::info!(agent.id = %handle.agent(), "a newer connection replaces an older one");
            older.close(Disconnect::Replaced);
        }
        self.shared.events.send(AgentEvent::connected(&handle));
        drop(table);
        let older = older.map(|older| older.instance());
        let mut lives = self.shared.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = lives.enter(handle.agent(), handle.instance(), older);
        Registration { agents: self.clone(), handle, standing }
    }

    /// Takes a connection out, unless a newer one has its place already.
    pub(super) fn remove(&self, handle: &AgentHandle) {
        let (agent, connection) = (handle.agent(), handle.connection_id());
        let mut table = self.table();
        if is_current(&table, handle) {
            table.remove(&agent);
        }
        self.shared.events.send(AgentEvent::Disconnected { agent, connection });
    }

    /// Tells of a connection, unless a newer one has its place.
    pub(super) fn tell_of(&self, handle: &AgentHandle, event: AgentEvent) {
        let table = self.table();
        if is_current(&table, handle) {
            self.shared.events.send(event);
        }
    }

    /// What happens from now on, and who is connected: under one lock, so that no event is in both or in neither.
    pub(super) fn snapshot(&self) -> (broadcast::Receiver<AgentEvent>, Vec<AgentHandle>) {
        let table = self.table();
        (self.shared.events.follow(), table.values().cloned().collect())
    }

    pub(super) fn tasks(&self) -> &TaskTracker {
        &self.shared.tasks
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is the agent's connection, and no older one.
fn is_current(table: &Table, handle: &AgentHandle) -> bool {
    table.get(&handle.agent()).is_some_and(|current| current.connection_id() == handle.connection_id())
}
