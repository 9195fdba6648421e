//! `GET /api/v1/clusters/{id}/agents`: a cluster's agents, one for each replica.

use axum::Json;
use axum::extract::State;
use podlatch_protocol::control::About;
use podlatch_protocol::id::ClusterId;
use serde::Serialize;
use utoipa::ToSchema;

use super::find;
use crate::app::App;
use crate::clock::UnixMillis;
use crate::domain::access::{Action, Administration};
use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::audit::Place;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, PageQuery, QueryOf};
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::List;
use crate::tunnel::{AgentHandle, AgentState, Agents};

/// A page of agents, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentPage {
    items: Vec<AgentBody>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// One replica of a cluster's agent. Texts come from the agent: escape them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Agent)]
pub struct AgentBody {
    id: String,
    health: AgentHealth,
    /// The name of its pod or machine, where it said so.
    replica: Option<String>,
    /// Its release; null before it connected.
    version: Option<String>,
    /// Its cluster's Kubernetes version, where it could ask.
    kubernetes_version: Option<String>,
    /// When it joined (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    enrolled_at: UnixMillis,
    /// When it was last heard of (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<UnixMillis>,
    /// End of its newest certificate (RFC 3339); it renews it at half its life.
    #[schema(value_type = String, format = DateTime)]
    certificate_expires_at: UnixMillis,
    /// How many certificates it has had.
    generation: u32,
    /// What its own guard lets through, where it said so. The agent enforces it; nothing here can widen it.
    guard: Option<GuardBody>,
    /// Whether a copy of its identity was noticed. If so, revoke it and install it anew.
    cloned: Option<CloneBody>,
}

/// How an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentHealth {
    /// It answers.
    Online,
    /// It is connected, and nothing was heard of it for a while.
    Silent,
    /// It takes no new sessions.
    Draining,
    /// It is not connected.
    Offline,
    /// Its right was withdrawn.
    Revoked,
}

/// What an agent's own guard lets through.
#[derive(Debug, Serialize, ToSchema)]
pub struct GuardBody {
    /// Patterns of namespaces, one of which must match; none allows all that Kubernetes allows.
    namespaces: Vec<String>,
    /// Conditions on a pod's labels, all of which must hold.
    pod_labels: Vec<String>,
}

/// A copy of an agent's identity.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloneBody {
    /// When it was last noticed (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    noticed_at: UnixMillis,
    /// The address that presented it.
    from: String,
}

/// The agents of a cluster.
#[utoipa::path(
    get,
    path = "/clusters/{id}/agents",
    operation_id = "listAgents",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id"), PageQuery),
    responses(
        (status = 200, body = AgentPage),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Json<AgentPage>, Problem> {
    let cluster = find(&app, &context, id).await?.cluster;
    let action = Action::ViewAdministration { organisation: cluster.organisation, part: Administration::Clusters };
    context.require(&app, action, Place::Cluster(cluster.id)).await?;
    let page = app.store.list_agents(cluster.organisation, cluster.id, query.request(List::Agents)?).await?;
    Ok(Json(AgentPage {
        items: page.items.into_iter().map(|agent| AgentBody::new(agent, &app.agents)).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

impl AgentBody {
    fn new(agent: Agent, agents: &Agents) -> Self {
        let connected = agents.get(agent.id);
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let about = connected.as_ref().map(AgentHandle::about).filter(|about| *about != About::default());
        let about = about.or(agent.about);
        Self {
            id: agent.id.to_string(),
            health: AgentHealth::of(agent.status, connected.as_ref()),
            replica: about.as_ref().and_then(|about| some(about.replica.clone())),
            version: some(agent.agent_version),
            kubernetes_version: some(agent.kubernetes_version),
            enrolled_at: agent.enrolled_at,
            last_seen_at: agent.last_seen_at,
            certificate_expires_at: agent.certificate_expires_at,
            generation: agent.generation,
            guard: about
                .map(|about| GuardBody { namespaces: about.guard.namespaces, pod_labels: about.guard.pod_labels }),
            cloned: agent.cloned.map(|seen| CloneBody { noticed_at: seen.at, from: seen.from }),
        }
    }
}

impl AgentHealth {
    fn of(status: AgentStatus, connected: Option<&AgentHandle>) -> Self {
        match (status, connected.map(AgentHandle::state)) {
            (AgentStatus::Revoked, _) => Self::Revoked,
            (AgentStatus::Active, None) => Self::Offline,
            (AgentStatus::Active, Some(AgentState::Answering)) => Self::Online,
            (AgentStatus::Active, Some(AgentState::Silent)) => Self::Silent,
            (AgentStatus::Active, Some(AgentState::Draining)) => Self::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::control::{About, GuardReport};
    use serde_json::json;

    use crate::domain::agent::CloneSeen;
    use crate::domain::organisation::Role;
    use crate::http::testing::TestRelay;

    #[tokio::test]
    async fn tells_what_is_known_of_each_agent() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let agent = relay.agent(&cluster).await;
        let path = format!("/api/v1/clusters/{}/agents", cluster.id);
        let mut expected = json!({
            "id": agent.to_string(), "health": "offline", "replica": null, "version": null,
            "kubernetes_version": null, "enrolled_at": "2023-11-14T22:13:20.000Z", "last_seen_at": null,
            "certificate_expires_at": "2023-11-15T22:13:20.000Z", "generation": 1, "guard": null, "cloned": null,
        });
        let listed = relay.get(&path).cookie(&ada.cookie).send().await.json();
        assert_eq!(listed, json!({ "items": [expected], "next_cursor": null }));

        let guard = GuardReport { namespaces: vec!["shop-*".to_owned()], pod_labels: vec!["app=web".to_owned()] };
        let about = About { replica: "podlatch-agent-0".to_owned(), guard };
        let store = &relay.app.store;
        store.agent_about(cluster.organisation, agent, &about).await.expect("is stored");
        let seen = CloneSeen { at: relay.app.clock.now(), from: "192.0.2.7".to_owned() };
        store.agent_cloned((cluster.organisation, cluster.id, agent), &seen, None).await.expect("is stored");
        expected["replica"] = "podlatch-agent-0".into();
        expected["guard"] = json!({ "namespaces": ["shop-*"], "pod_labels": ["app=web"] });
        expected["cloned"] = json!({ "noticed_at": "2023-11-14T22:13:20.000Z", "from": "192.0.2.7" });
        let listed = relay.get(&path).cookie(&ada.cookie).send().await.json();
        assert_eq!(listed["items"], json!([expected]));
    }

    #[tokio::test]
    async fn a_revoked_agent_is_shown_as_such_and_only_administrators_revoke() {
        let relay = TestRelay::new().await;
        let (ada, eve) = (relay.sign_in("ada@example.org").await, relay.sign_in("eve@example.org").await);
        let cluster = relay.cluster(&ada, "berlin").await;
        let other = relay.cluster(&ada, "paris").await;
        let agent = relay.agent(&cluster).await;
        let list = format!("/api/v1/clusters/{}/agents", cluster.id);
        let one = format!("{list}/{agent}");
        let member = relay.joins(&ada, "mia@example.org", Role::Member).await;
        let auditor = relay.joins(&ada, "aud@example.org", Role::Auditor).await;
        relay.get(&list).cookie(&eve.cookie).send().await.assert_problem(404, "not_found");
        relay.get(&list).cookie(&member.cookie).send().await.assert_problem(403, "forbidden");
        assert_eq!(relay.get(&list).cookie(&auditor.cookie).send().await.status, 200);
        relay.delete(&one).cookie(&eve.cookie).send().await.assert_problem(404, "not_found");
        relay.delete(&one).cookie(&auditor.cookie).send().await.assert_problem(403, "forbidden");
        let elsewhere = format!("/api/v1/clusters/{}/agents/{agent}", other.id);
        relay.delete(&elsewhere).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");

        assert_eq!(relay.delete(&one).cookie(&ada.cookie).send().await.status, 204);
        relay.delete(&one).cookie(&ada.cookie).send().await.assert_problem(404, "not_found");
        let listed = relay.get(&list).cookie(&ada.cookie).send().await.json();
        assert_eq!(listed["items"][0]["health"], "revoked");
        let events = relay.get("/api/v1/audit-events?action=agent_revoked").cookie(&ada.cookie).send().await.json();
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
    }
}
