//! `GET /api/v1/audit-events/export`: a copy of the audit log.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::header;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::query::AuditQuery;
use super::still_may;
use crate::app::App;
use crate::audit::body::EventBody;
use crate::audit::csv;
use crate::domain::access::{Action, Actor};
use crate::domain::audit::{self, Event, Place};
use crate::http::context::CallContext;
use crate::http::extract::QueryOf;
use crate::http::problem::{Problem, ProblemDocument};
use crate::store::AuditFilter;

/// Events that are read at once; the next are read when these are on their way.
const RUN: u16 = 500;

/// How to write it.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// RFC 4180, with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// How to write it.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `csv` or `jsonl`.
    format: ExportFormat,
}

/// A copy of the audit log as far as the caller sees it, oldest first. Control characters are escaped, and what a
/// spreadsheet would take for a formula stands behind an apostrophe. The export is an audit event itself.
#[utoipa::path(
    get,
    path = "/audit-events/export",
    operation_id = "exportAuditEvents",
    tag = "audit",
    params(AuditQuery, ExportQuery),
    responses(
        (status = 200, body = String, content_type = "text/csv"),
        (status = 401, body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn get(
    State(app): State<App>,
    context: CallContext,
    QueryOf(query): QueryOf<AuditQuery>,
    QueryOf(export): QueryOf<ExportQuery>,
) -> Result<Response, Problem> {
    let action = Action::ExportAudit { organisation: context.actor.organisation };
    context.require(&app, action, Place::Organisation).await?;
    let filter = query.filter(&context)?;
    let up_to = app.store.audit_position(filter.organisation).await?;
    let event = context.event(audit::Action::AuditExport).detail("format", export.format.slug());
    app.store.append_audit(&event.detail("filter", query.summary()).detail("up_to", up_to)).await?;
    let after = app.store.audit_beginning(&filter).await?;
    let name = format!("audit-{}.{}", context.now.get(), export.format.slug());
    let headers = [
        (header::CONTENT_TYPE, export.format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let copy =
        Copy { app, actor: context.actor, action, filter, format: export.format, at: At::Beginning(after), up_to };
    Ok((headers, Body::from_stream(copy.into_stream())).into_response())
}

impl ExportFormat {
    const fn slug(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Jsonl => "application/x-ndjson",
        }
    }

    const fn header(self) -> &'static str {
        match self {
            Self::Csv => csv::HEADER,
            Self::Jsonl => "",
        }
    }

    fn line(self, event: Event) -> Result<String, ExportError> {
        let body = EventBody::from(event);
        match self {
            Self::Csv => Ok(csv::line(&body)),
            Self::Jsonl => Ok(body.json_line().map_err(|_| ExportError)? + "\n"),
        }
    }
}

/// The copy cannot go on; the connection is broken off, so that it does not look whole.
#[derive(Debug, thiserror::Error)]
#[error("the export cannot go on")]
struct ExportError;

struct Copy {
    app: App,
    actor: Actor,
    action: Action,
    filter: AuditFilter,
    format: ExportFormat,
    at: At,
    /// What is appended later is not copied: the copy ends.
    up_to: u64,
}

#[derive(Debug, Clone, Copy)]
enum At {
    /// Nothing is written; what is wanted can only stand behind this position.
    Beginning(u64),
    Behind(u64),
}

impl Copy {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, ExportError>> + Send {
        stream::try_unfold(self, |mut copy| async {
            let chunk = copy.next().await?;
            Ok(chunk.map(|chunk| (Bytes::from(chunk), copy)))
        })
    }

    /// The next lines; `None` behind the last.
    async fn next(&mut self) -> Result<Option<String>, ExportError> {
        let after = match self.at {
            At::Behind(position) if position >= self.up_to => return Ok(None),
            At::Beginning(position) | At::Behind(position) => position,
        };
        if !still_may(&self.app, &self.actor, self.action).await {
            return Err(ExportError);
        }
        let run = self.app.store.audit_run(&self.filter, after, RUN).await.map_err(|error| {
            tracing::error!(%error, "an export of the audit log was broken off");
            ExportError
        })?;
        let mut lines = match self.at {
            At::Beginning(_) => self.format.header().to_owned(),
            At::Behind(_) => String::new(),
        };
        for event in run.items.into_iter().filter(|event| event.position <= self.up_to) {
            lines.push_str(&self.format.line(event)?);
        }
        self.at = At::Behind(run.reached.max(after + 1));
        Ok(Some(lines))
    }
}
