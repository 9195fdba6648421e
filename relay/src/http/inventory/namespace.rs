//! `GET /api/v1/clusters/{id}/namespaces/{namespace}/watch`: a namespace's workloads and pods.

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::inventory::WatchScope;
use podlatch_protocol::target::Namespace;

use super::event::InventoryEventBody;
use crate::app::App;
use crate::http::context::CallContext;
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};

/// The workloads and pods of a namespace, and every change of them, as Server-Sent Events like those of the namespaces.
#[utoipa::path(
    get,
    path = "/clusters/{id}/namespaces/{namespace}/watch",
    operation_id = "watchNamespace",
    tag = "clusters",
    params(
        ("id" = String, Path, description = "The cluster's id"),
        ("namespace" = String, Path, description = "The namespace's name"),
    ),
    responses(
        (status = 200, body = InventoryEventBody, content_type = "text/event-stream"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    path: Result<Path<(String, String)>, axum::extract::rejection::PathRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Path((cluster, namespace)) = path.map_err(|_| Problem::not_found("cluster"))?;
    let cluster: ClusterId = cluster.parse().map_err(|_| Problem::not_found("cluster"))?;
    let namespace: Namespace = namespace
        .parse()
        .map_err(|error| Problem::new(ProblemKind::BadRequest, format!("The address names no namespace: {error}.")))?;
    super::open(app, context, cluster, WatchScope::Namespace(namespace)).await
}
