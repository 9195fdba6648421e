//! `POST /api/v1/sessions`: opens a terminal.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use http::StatusCode;
use podlatch_protocol::close::Refusal;
use podlatch_protocol::debug::DebugImage;
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::limits::MAX_COMMAND_WORDS;
use podlatch_protocol::request::Program;
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{SessionBody, issue_ticket};
use crate::app::App;
use crate::domain::access::Action;
use crate::domain::access::decision::{Reason, Target};
use crate::domain::access::right::Basis;
use crate::domain::access::rule::AccessAction;
use crate::domain::audit::{self, Outcome, Place};
use crate::domain::name::{InvalidText, ReasonText};
use crate::domain::session::{Purpose, Session, SessionAccess};
use crate::http::access::Access;
use crate::http::context::CallContext;
use crate::http::extract::JsonBody;
use crate::http::pod_facts::{self, Learnt};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::session::{OpenError, OpenSession};

/// What to open.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSessionBody {
    /// The cluster's id.
    cluster: String,
    namespace: String,
    pod: String,
    /// Needed where the pod has several containers and none is its default.
    container: Option<String>,
    /// The program and its arguments; without it, the best shell of the container.
    command: Option<Vec<String>>,
    /// Why: needed where an access rule asks for it. 1 to 500 characters.
    reason: Option<String>,
    /// Opens the terminal in a container that is added to the pod, where the container itself has no shell.
    debug: Option<DebugBody>,
    /// Width of the terminal in cells.
    columns: u16,
    /// Height of the terminal in cells.
    rows: u16,
}

/// A container that is added to the pod beside the named one. It can never be removed from the pod; its processes end with the
/// session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DebugBody {
    /// One of the images that the organisation allows.
    image: String,
}

/// The session, and the right to attach to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenedBody {
    session: SessionBody,
    /// Good for one attachment within 30 seconds.
    ticket: String,
}

/// Opens a terminal in a pod.
#[utoipa::path(
    post,
    path = "/sessions",
    operation_id = "openSession",
    tag = "sessions",
    request_body = NewSessionBody,
    responses(
        (status = 201, body = OpenedBody),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
        (status = "5XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn post(
    State(app): State<App>,
    context: CallContext,
    JsonBody(body): JsonBody<NewSessionBody>,
) -> Result<impl IntoResponse, Problem> {
    let organisation = context.actor.organisation;
    let cluster: ClusterId = body.cluster.parse().map_err(|_| Problem::not_found("cluster"))?;
    let overview = app.store.get_cluster(organisation, cluster).await?;
    let cluster = overview.ok_or_else(|| Problem::not_found("cluster"))?.cluster;
    if cluster.revoked_at.is_some() {
        return Err(Problem::not_found("cluster"));
    }
    let target = target(&body)?;
    let place = Place::Pod(cluster.id, target.clone());
    context.require(&app, Action::Exec { organisation: cluster.organisation }, place.clone()).await?;
    let reason = reason(body.reason.as_deref())?;
    let access = Access::of(&app, &context).await?;
    let said = if reason.is_some() { Reason::Given } else { Reason::Missing };
    let facts = Target {
        namespace: Some(target.namespace.clone()),
        pod: Some(target.pod.clone()),
        container: target.container.clone(),
        ..Target::cluster(&cluster)
    };
    let action = if body.debug.is_some() { AccessAction::Debug } else { AccessAction::Exec };
    let question = access.question(&facts, (action, said), context.now);
    let Learnt { target: facts, pod_uid } = match pod_facts::learn(&app, &question).await {
        Ok(learnt) => learnt,
        Err(refusal) => return Err(refused(&app, &context, place, &refusal).await?),
    };
    let question = access.question(&facts, (action, said), context.now);
    let grant = context.require_rule(&app, &question, place).await?;
    let basis = Basis::new(&access.subject, &access.rules, &grant);
    let request = OpenSession {
        actor: context.actor,
        client: context.client.clone(),
        cluster,
        target: PodTarget { container: facts.container, ..target },
        pod_uid,
        program: program(body.command)?,
        size: TerminalSize::clamped(body.columns, body.rows),
        reason,
        access: SessionAccess { action, pod_labels: facts.pod_labels, basis },
        limits: grant.limits,
        debug: body.debug.map(debug_image).transpose()?,
    };
    let session = open(&app, request).await?;
    let ticket = issue_ticket(&app, &context, session.id(), Purpose::Attach).await?;
    let session = SessionBody::at(session, &access, app.clock.now());
    let opened = OpenedBody { session, ticket: ticket.expose().to_owned() };
    Ok((StatusCode::CREATED, Json(opened)))
}

/// What the rules go by cannot be had; that is audited before the caller learns of it.
async fn refused(app: &App, context: &CallContext, place: Place, refusal: &Refusal) -> Result<Problem, Problem> {
    let event = context.event(audit::Action::SessionRefused).at(place).outcome(Outcome::Refused);
    let event = event.detail("code", refusal.code.slug()).detail("reason", refusal.to_string());
    app.store.append_audit(&event).await?;
    Ok(Problem::from(refusal))
}

fn debug_image(debug: DebugBody) -> Result<DebugImage, Problem> {
    debug.image.try_into().map_err(|error| Problem::new(ProblemKind::Unprocessable, format!("{error}.")))
}

/// Opening goes on when the request is given up: half an opening would leave a process that nobody knows of.
async fn open(app: &App, request: OpenSession) -> Result<Session, Problem> {
    let (done, opened) = oneshot::channel();
    let sessions = app.sessions.clone();
    app.lifecycle.spawn(async move {
        // An error means that nobody waits any more; the session is then ended when its grace time is over.
        let _abandoned = done.send(sessions.open(request).await);
    });
    match opened.await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(OpenError::Refused(refusal))) => Err(Problem::from(&refusal)),
        Ok(Err(OpenError::Store(error))) => Err(error.into()),
        Ok(Err(error @ OpenError::Recording(_))) => {
            tracing::error!(%error, "a session was not opened because it could not be recorded");
            Err(Problem::new(
                ProblemKind::StorageUnavailable,
                "The session could not be recorded, so it was not opened. Tell the operator of this relay.",
            ))
        }
        Err(_) => Err(Problem::new(ProblemKind::Draining, "The relay is stopping. Try again in a moment.")),
    }
}

fn target(body: &NewSessionBody) -> Result<PodTarget, Problem> {
    let bad =
        |error: podlatch_protocol::target::NameError| Problem::new(ProblemKind::Unprocessable, format!("{error}."));
    Ok(PodTarget {
        namespace: body.namespace.parse().map_err(bad)?,
        pod: body.pod.parse().map_err(bad)?,
        container: body.container.as_deref().map(str::parse).transpose().map_err(bad)?,
    })
}

fn reason(text: Option<&str>) -> Result<Option<ReasonText>, Problem> {
    let bad = |error: InvalidText| Problem::new(ProblemKind::Unprocessable, format!("{error}."));
    // An empty field of a form is no reason.
    text.filter(|text| !text.trim().is_empty()).map(str::parse).transpose().map_err(bad)
}

fn program(command: Option<Vec<String>>) -> Result<Program, Problem> {
    match command {
        None => Ok(Program::Shell),
        Some(words) if (1..=MAX_COMMAND_WORDS).contains(&words.len()) && !words[0].is_empty() => {
            Ok(Program::Command(words))
        }
        Some(_) => Err(Problem::new(
            ProblemKind::Unprocessable,
            "A command has 1 to 64 words, the first of which is a program.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use podlatch_protocol::version::{MINOR, POD_LABELS_MINOR};
    use serde_json::{Value, json};

    use crate::domain::organisation::Role;
    use crate::http::testing::{SignedIn, TestRelay};
    use crate::http::testing_cluster::Pods;
    use crate::store::{PageRequest, SessionFilter};

    fn body(cluster: &str) -> Value {
        json!({"cluster": cluster, "namespace": "default", "pod": "bb", "columns": 80, "rows": 24})
    }

    #[tokio::test]
    async fn without_an_agent_the_person_is_told_so() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await.id.to_string();
        let response = relay.post("/api/v1/sessions").cookie(&ada.cookie).json(body(&cluster)).send().await;
        response.assert_problem(503, "agent_offline");
    }

    #[tokio::test]
    async fn a_foreign_cluster_does_not_exist() {
        let relay = TestRelay::new().await;
        let (ada, bob) = (relay.sign_in("ada@example.org").await, relay.sign_in("bob@example.org").await);
        let cluster = relay.cluster(&bob, "foreign").await.id.to_string();
        for cluster in [&cluster, "01890000-0000-7000-8000-000000000000", "x", ""] {
            let response = relay.post("/api/v1/sessions").cookie(&ada.cookie).json(body(cluster)).send().await;
            response.assert_problem(404, "not_found");
        }
    }

    /// A member who may open pods of `app=web`, and nobody may open those of `secret=yes`.
    async fn member_by_labels(relay: &TestRelay, ada: &SignedIn) -> SignedIn {
        let bob = relay.joins(ada, "bob@example.org", Role::Member).await;
        for (effect, who, labels) in [
            (json!({"allow": {}}), json!({"users": [bob.membership.user.id]}), json!({"app": "web"})),
            (json!("deny"), json!({"roles": ["owner", "member"]}), json!({"secret": "yes"})),
        ] {
            let rule = json!({
                "name": "By labels", "effect": effect, "who": who, "clusters": {"names": ["*"]}, "namespaces": ["shop"],
                "pod_labels": labels, "containers": ["*"], "actions": ["view", "exec"],
            });
            let made = relay.post("/api/v1/access-rules").cookie(&ada.cookie).json(rule).send().await;
            assert_eq!(made.status, 201, "{:?}", made.body);
        }
        bob
    }

    #[tokio::test]
    async fn rules_go_by_the_labels_that_the_cluster_says() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let bob = member_by_labels(&relay, &ada).await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let pods = Pods::default();
        pods.put("web", "1", json!({"app": "web"}));
        pods.put("secret", "2", json!({"app": "web", "secret": "yes"}));
        pods.put("db", "3", json!({"app": "db"}));
        pods.put("bare", "4", json!(null));
        let _agent = relay.serve(&cluster, &pods, MINOR).await;
        // The rules' refusals are `forbidden`; whatever is asked of this cluster besides fails.
        for (who, pod, status, problem) in [
            (&bob, "web", 502, "kubernetes_error"),
            (&bob, "secret", 403, "forbidden"),
            (&bob, "db", 403, "forbidden"),
            (&bob, "bare", 403, "forbidden"),
            // Whoever may enter some pods only is not told which others there are.
            (&bob, "no-such-pod", 403, "forbidden"),
            (&ada, "web", 502, "kubernetes_error"),
            (&ada, "secret", 403, "forbidden"),
            (&ada, "bare", 502, "kubernetes_error"),
            (&ada, "no-such-pod", 404, "pod_not_found"),
        ] {
            let mut body = body(&cluster.id.to_string());
            (body["namespace"], body["pod"]) = (json!("shop"), json!(pod));
            let response = relay.post("/api/v1/sessions").cookie(&who.cookie).json(body).send().await;
            response.assert_problem(status, problem);
        }
        let all = SessionFilter::all(cluster.organisation, relay.app.clock.now());
        let kept = relay.app.store.list_sessions(&all, PageRequest::default());
        let kept = kept.await.expect("answers").items;
        assert!(!kept.is_empty() && kept.iter().all(|session| session.request.access.pod_labels.is_some()));
    }

    #[tokio::test]
    async fn an_agent_that_cannot_say_labels_lets_nobody_in_by_them_and_everybody_else() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let bob = member_by_labels(&relay, &ada).await;
        let cluster = relay.cluster(&ada, "berlin").await;
        let pods = Pods::default();
        pods.put("web", "1", json!({"app": "web"}));
        let _agent = relay.serve(&cluster, &pods, POD_LABELS_MINOR - 1).await;
        let mut body = body(&cluster.id.to_string());
        (body["namespace"], body["pod"]) = (json!("shop"), json!("web"));
        for who in [&ada, &bob] {
            let response = relay.post("/api/v1/sessions").cookie(&who.cookie).json(body.clone()).send().await;
            assert_eq!(
                (response.status, &response.json()["type"]),
                (409, &json!("urn:podlatch:problem:pod_labels_unknown"))
            );
            assert!(response.detail().contains("update the agent"), "{}", response.detail());
        }
        // No rule for this namespace goes by labels.
        body["namespace"] = json!("elsewhere");
        let response = relay.post("/api/v1/sessions").cookie(&ada.cookie).json(body).send().await;
        response.assert_problem(502, "kubernetes_error");
    }

    #[tokio::test]
    async fn names_that_kubernetes_would_not_accept_never_reach_it() {
        let relay = TestRelay::new().await;
        let ada = relay.sign_in("ada@example.org").await;
        let cluster = relay.cluster(&ada, "berlin").await.id.to_string();
        for (field, value) in [
            ("pod", json!("../../secrets")),
            ("namespace", json!("a/b")),
            ("container", json!("x y")),
            ("command", json!([])),
            ("command", json!([""])),
            ("command", json!(vec!["x"; 65])),
            ("columns", json!(-1)),
            ("agent", json!("x")),
        ] {
            let mut body = body(&cluster);
            body[field] = value;
            let response = relay.post("/api/v1/sessions").cookie(&ada.cookie).json(body).send().await;
            response.assert_problem(422, "unprocessable");
        }
    }
}
