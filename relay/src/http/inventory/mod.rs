//! What there is in a cluster, live, as Server-Sent Events.

pub mod event;
pub mod namespace;
pub mod namespaces;
mod sight;
mod watch;

use std::time::Duration;

use axum::response::Sse;
use axum::response::sse::{KeepAlive, KeepAliveStream};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::inventory::WatchScope;
use podlatch_protocol::version::POD_LABELS_MINOR;

use self::sight::Sight;
use self::watch::{EventStream, Watch};
use super::access::Access;
use super::context::CallContext;
use super::problem::Problem;
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::access::decision::Target;
use crate::domain::audit::Place;

/// How often a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Opens a watch for a caller who may see the cluster.
async fn open(
    app: App,
    context: CallContext,
    cluster: ClusterId,
    scope: WatchScope,
) -> Result<Sse<KeepAliveStream<EventStream>>, Problem> {
    let found = app.store.get_cluster(context.actor.organisation, cluster).await?;
    let overview =
        found.filter(|found| found.cluster.revoked_at.is_none()).ok_or_else(|| Problem::not_found("cluster"))?;
    let action = Action::ViewCluster { organisation: overview.cluster.organisation };
    context.require(&app, action, Place::Cluster(cluster)).await?;
    let access = Access::of(&app, &context).await?;
    let sight = Sight::new(access, Target::cluster(&overview.cluster), &scope);
    if !sight.is_open(context.now) {
        return Err(Problem::not_found("cluster or namespace"));
    }
    let offline = || Problem::from(&Refusal::new(RefusalCode::AgentOffline, ""));
    let agent = app.agents.pick(cluster).ok_or_else(offline)?;
    let scope = match scope {
        // An older agent cannot say labels: its pods are then listed where no rule goes by them.
        WatchScope::Namespace(namespace) if sight.goes_by_labels() && agent.hello().minor >= POD_LABELS_MINOR => {
            WatchScope::LabelledNamespace(namespace)
        }
        scope => scope,
    };
    let watch = Watch::begin(app, (context.actor, sight), agent, scope).await?;
    Ok(Sse::new(watch.into_stream()).keep_alive(KeepAlive::new().interval(HEARTBEAT)))
}
