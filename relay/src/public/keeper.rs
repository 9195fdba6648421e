//! Serves every public cluster that is not revoked, and follows what becomes of them: also by a command in another process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use podlatch_cluster::guard::Guard;
use podlatch_cluster::inventory::Inventory;
use podlatch_cluster::rights::{DebugImages, Rights};
use podlatch_cluster::session::{Limits, Sessions};
use podlatch_cluster::{DirectServer, Services};
use podlatch_protocol::close::EndCause;
use podlatch_protocol::control::Hello;
use podlatch_protocol::id::{AgentId, AgentInstanceId, ClusterId};
use podlatch_protocol::version::MINOR;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::access::ClusterAccess;
use super::health::{Asked, Healths, Watch};
use super::{client, sentence, unseal};
use crate::auth::seal::SealingKeys;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::outbound::Dialler;
use crate::pki::AgentIdentity;
use crate::store::{PublicCluster, Store};
use crate::tunnel::{Agents, Registration};

/// A change that was made elsewhere is noticed within this time and the store's answer.
const EVERY: Duration = Duration::from_secs(1);

/// A store that does not answer for this long is asked anew.
const ANSWER: Duration = Duration::from_secs(5);

/// How long the sessions of a revoked cluster have to end their processes before its credential is forgotten.
const RETIRE: Duration = Duration::from_secs(15);

/// How long they have when the relay stops.
const SHUTDOWN: Duration = Duration::from_secs(6);

/// Sessions in one public cluster at once.
const MAX_SESSIONS: usize = 500;

/// What the keeper works with.
#[derive(Debug, Clone)]
pub struct KeeperParts {
    /// Where the clusters are.
    pub store: Store,
    /// Opens their credentials.
    pub sealing: SealingKeys,
    /// The way to them.
    pub dialler: Dialler,
    /// Where they are entered.
    pub agents: Agents,
    /// Where it is told which of them answer.
    pub healths: Healths,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
}

/// Rings where a public cluster was registered, changed or revoked in this process. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct KeeperBell(Arc<Notify>);

impl KeeperBell {
    /// Has the keeper look now.
    pub fn ring(&self) {
        self.0.notify_one();
    }
}

/// Serves the public clusters.
#[derive(Debug)]
pub struct Keeper {
    parts: KeeperParts,
    served: BTreeMap<ClusterId, Served>,
    tasks: TaskTracker,
}

/// One cluster that is served.
#[derive(Debug)]
struct Served {
    revision: i64,
    /// `None` where its credential cannot be used.
    peer: Option<Peer>,
}

struct Peer {
    server: DirectServer,
    sessions: Sessions,
    registration: Registration,
    watch: Watch,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer").field("registration", &self.registration).finish_non_exhaustive()
    }
}

impl Keeper {
    /// Serves nothing yet.
    pub fn new(parts: KeeperParts) -> Self {
        Self { parts, served: BTreeMap::new(), tasks: TaskTracker::new() }
    }

    /// Looks again and again until `stop`; then ends the sessions, which this process alone can. Not cancel safe: cancel by
    /// `stop`.
    pub async fn run(mut self, bell: KeeperBell, stop: CancellationToken) {
        let mut every = interval(EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = false;
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = bell.0.notified() => {}
                () = stop.cancelled() => break,
            }
            match timeout(ANSWER, self.parts.store.public_clusters()).await {
                Ok(Ok(clusters)) => {
                    reported = false;
                    self.follow(&clusters).await;
                }
                failed if !reported => {
                    reported = true;
                    error!("public clusters cannot be looked up, so changes of them wait: {failed:?}");
                }
                _ => {}
            }
        }
        let peers = std::mem::take(&mut self.served).into_values().filter_map(|served| served.peer);
        join_all(peers.map(|peer| end(peer, EndCause::RelayRestarted, SHUTDOWN))).await;
    }

    async fn follow(&mut self, clusters: &[PublicCluster]) {
        let gone: Vec<_> =
            self.served.keys().filter(|id| clusters.iter().all(|known| known.cluster != **id)).copied().collect();
        for id in gone {
            if let Some(Served { peer: Some(peer), .. }) = self.served.remove(&id) {
                info!(cluster.id = %id, "ending what runs in a public cluster that was revoked");
                self.tasks.spawn(end(peer, EndCause::Revoked, RETIRE));
            }
            self.parts.healths.forget(id);
        }
        for cluster in clusters {
            if self.served.get(&cluster.cluster).is_none_or(|served| served.revision != cluster.revision) {
                self.serve(cluster).await;
            }
        }
    }

    /// Serves a new cluster, or one whose access was replaced: its sessions go on, on the connections that they have.
    async fn serve(&mut self, cluster: &PublicCluster) {
        let (server, access) = match self.server(cluster).await {
            Ok(served) => served,
            Err(reason) => {
                // Not again every second: only when it is replaced.
                warn!(cluster.id = %cluster.cluster, "a public cluster cannot be served: {reason}");
                let peer = self.served.remove(&cluster.cluster).and_then(|served| served.peer);
                if let Some(peer) = peer {
                    self.tasks.spawn(end(peer, EndCause::Revoked, RETIRE));
                }
                self.parts.healths.note_trouble(cluster.cluster, sentence(&reason));
                self.served.insert(cluster.cluster, Served { revision: cluster.revision, peer: None });
                return;
            }
        };
        if let Some(Served { revision, peer: Some(peer) }) = self.served.get_mut(&cluster.cluster) {
            peer.server.replace(&server);
            peer.watch.replace(access);
            *revision = cluster.revision;
            return;
        }
        let peer = self.enter(cluster, server, access);
        self.served.insert(cluster.cluster, Served { revision: cluster.revision, peer: Some(peer) });
    }

    async fn server(&self, cluster: &PublicCluster) -> Result<(DirectServer, ClusterAccess), String> {
        let place = (cluster.organisation, cluster.cluster);
        let stored = self.parts.store.public_access(place.0, place.1).await.map_err(|error| error.to_string())?;
        let stored = stored.ok_or("its access is gone")?;
        let access = unseal(&self.parts.sealing, place, stored).map_err(|error| error.to_string())?;
        let server = client::direct(&self.parts.dialler, &access).map_err(|error| error.to_string())?;
        Ok((server, access))
    }

    fn enter(&self, cluster: &PublicCluster, server: DirectServer, access: ClusterAccess) -> Peer {
        // Whom the credential may reach is the cluster's to say; what people may do there, the organisation's.
        let limits = Limits {
            guard: Guard::default(),
            rights: Rights::AsAsked,
            debug_images: DebugImages::Any,
            max_sessions: MAX_SESSIONS,
        };
        let inventory = Inventory::new(server.client(), limits.guard.clone());
        let sessions = Sessions::new(server.client(), inventory.clone(), limits, self.tasks.clone());
        let identity = AgentIdentity {
            organisation: cluster.organisation,
            cluster: cluster.cluster,
            // It is in no table of agents; no two clusters have the same.
            agent: AgentId::from_uuid(cluster.cluster.as_uuid()),
        };
        let hello = Hello {
            minor: MINOR,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            kubernetes_version: String::new(),
            instance: AgentInstanceId::new(self.parts.clock.now().since_epoch(), &self.parts.entropy.bytes()),
            sessions: Vec::new(),
        };
        let services = Services { sessions: sessions.clone(), inventory };
        let registration = self.parts.agents.serve_here(identity, hello, services, self.tasks.clone());
        let KeeperParts { dialler, healths, clock, .. } = self.parts.clone();
        let asked = Asked { cluster: cluster.cluster, server: server.clone(), dialler, healths, clock };
        let watch = Watch::start(asked, access, &self.tasks);
        Peer { server, sessions, registration, watch }
    }
}

/// Ends a cluster's sessions, with the credential that it had, and lets go of it.
async fn end(peer: Peer, cause: EndCause, limit: Duration) {
    drop(peer.watch);
    peer.sessions.drain();
    peer.sessions.end_all(cause).await;
    if timeout(limit, peer.sessions.idle()).await.is_err() {
        error!("not every session of a public cluster could be ended; their processes may still run");
    }
    drop(peer.registration);
}
