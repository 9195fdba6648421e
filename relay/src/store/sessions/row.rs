//! A session between its columns and the domain.

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{AgentId, ClusterId, LoginSessionId, OrganisationId, SessionId, UserId};
use podlatch_protocol::session::{Cleanup, Ended, ExitOutcome, Opened};
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::terminal::TerminalSize;
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::domain::cluster::ClusterType;
use crate::domain::organisation::ClientInfo;
use crate::domain::session::{Activity, NewSession, Session, SessionAccess, SessionEnd, SessionState};
use crate::domain::session_limits::IdleLimits;
use crate::store::StoreError;
use crate::store::rows::{duration, known, number, parse, time};

/// The columns of a [`SessionRow`], then whatever else the statement needs.
macro_rules! session_sql {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.organisation_id, s.cluster_id, c.name AS cluster_name, c.labels AS cluster_labels, c.cluster_type, s.agent_id, s.user_id, \
             u.email AS user_email, s.login_session_id, s.namespace, s.pod, s.asked_container, s.program, s.state, \
             s.client_ip, s.user_agent, s.started_at, s.container, s.pod_uid, s.process, s.ended_at, s.end_cause, \
             s.outcome, s.exit_code, s.failure, s.cleanup, s.output_length, s.expires_at, s.idle_after, s.idle_close, \
             s.last_activity_at, s.idle_since, s.terminal_columns, s.terminal_rows, s.reason, s.access \
             FROM sessions s JOIN clusters c ON c.id = s.cluster_id JOIN users u ON u.id = s.user_id ",
            $rest
        )
    };
}
pub(super) use session_sql;

/// A causes's number stands behind this where a newer version wrote it and this one has no name for it.
const UNNAMED_CAUSE: &str = "other:";

#[derive(sqlx::FromRow)]
pub(super) struct SessionRow {
    id: Uuid,
    organisation_id: Uuid,
    cluster_id: Uuid,
    cluster_name: String,
    cluster_labels: String,
    cluster_type: String,
    agent_id: Option<Uuid>,
    user_id: Uuid,
    user_email: String,
    login_session_id: Uuid,
    namespace: String,
    pod: String,
    asked_container: Option<String>,
    program: String,
    state: String,
    client_ip: String,
    user_agent: String,
    started_at: i64,
    container: Option<String>,
    pod_uid: Option<String>,
    process: Option<i64>,
    ended_at: Option<i64>,
    end_cause: Option<String>,
    outcome: Option<String>,
    exit_code: Option<i64>,
    failure: Option<String>,
    cleanup: Option<String>,
    output_length: Option<i64>,
    expires_at: i64,
    idle_after: i64,
    idle_close: Option<i64>,
    last_activity_at: i64,
    idle_since: Option<i64>,
    terminal_columns: Option<i64>,
    terminal_rows: Option<i64>,
    reason: Option<String>,
    access: Option<String>,
}

impl TryFrom<SessionRow> for Session {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let state = row.session_state()?;
        let container =
            row.asked_container.as_deref().map(|name| parse("sessions.asked_container", name)).transpose()?;
        Ok(Self {
            cluster_name: parse("clusters.name", &row.cluster_name)?,
            cluster_labels: parse("clusters.labels", &row.cluster_labels)?,
            cluster_type: known("clusters.cluster_type", ClusterType::from_slug(&row.cluster_type))?,
            user_email: parse("users.email", &row.user_email)?,
            state,
            activity: Activity { last_at: UnixMillis::new(row.last_activity_at), idle_since: time(row.idle_since) },
            request: NewSession {
                id: SessionId::from_uuid(row.id),
                organisation: OrganisationId::from_uuid(row.organisation_id),
                cluster: ClusterId::from_uuid(row.cluster_id),
                agent: row.agent_id.map(AgentId::from_uuid),
                user: UserId::from_uuid(row.user_id),
                login_session: LoginSessionId::from_uuid(row.login_session_id),
                target: PodTarget {
                    namespace: parse("sessions.namespace", &row.namespace)?,
                    pod: parse("sessions.pod", &row.pod)?,
                    container,
                },
                program: serde_json::from_str(&row.program).map_err(|_| StoreError::Corrupt("sessions.program"))?,
                client: ClientInfo { ip: row.client_ip, user_agent: row.user_agent },
                size: size(row.terminal_columns, row.terminal_rows)?,
                reason: row.reason.as_deref().map(|reason| parse("sessions.reason", reason)).transpose()?,
                access: access(row.access.as_deref())?,
                started_at: UnixMillis::new(row.started_at),
                expires_at: UnixMillis::new(row.expires_at),
                idle: IdleLimits {
                    after: duration("sessions.idle_after", row.idle_after)?,
                    close: row.idle_close.map(|millis| duration("sessions.idle_close", millis)).transpose()?,
                },
            },
        })
    }
}

impl SessionRow {
    fn session_state(&self) -> Result<SessionState, StoreError> {
        match (self.state.as_str(), self.opened()?) {
            ("opening", _) => Ok(SessionState::Opening),
            ("live", Some(opened)) => Ok(SessionState::Live(opened)),
            ("ended", opened) => Ok(SessionState::Ended { opened, end: self.end()? }),
            _ => Err(StoreError::Corrupt("sessions.state")),
        }
    }

    fn opened(&self) -> Result<Option<Opened>, StoreError> {
        let (Some(container), Some(pod_uid)) = (&self.container, &self.pod_uid) else { return Ok(None) };
        Ok(Some(Opened {
            container: parse("sessions.container", container)?,
            pod_uid: pod_uid.clone(),
            process: self.process.map(|process| number("sessions.process", process)).transpose()?,
        }))
    }

    fn end(&self) -> Result<SessionEnd, StoreError> {
        let outcome = match (self.outcome.as_deref(), self.exit_code) {
            (Some("exited"), Some(code)) => ExitOutcome::Exited(number("sessions.exit_code", code)?),
            (Some("failed"), _) => ExitOutcome::Failed(self.failure.clone().unwrap_or_default()),
            (Some("unknown"), _) => ExitOutcome::Unknown,
            _ => return Err(StoreError::Corrupt("sessions.outcome")),
        };
        let cleanup = match self.cleanup.as_deref() {
            Some("not_wanted") => Cleanup::NotWanted,
            Some("confirmed") => Cleanup::Confirmed,
            Some("unconfirmed") => Cleanup::Unconfirmed,
            _ => return Err(StoreError::Corrupt("sessions.cleanup")),
        };
        Ok(SessionEnd {
            at: UnixMillis::new(known("sessions.ended_at", self.ended_at)?),
            ended: Ended {
                cause: cause(known("sessions.end_cause", self.end_cause.as_deref())?)?,
                outcome,
                cleanup,
                output_length: number("sessions.output_length", known("sessions.output_length", self.output_length)?)?,
            },
        })
    }
}

/// One without it stands on nothing.
fn access(text: Option<&str>) -> Result<SessionAccess, StoreError> {
    let access = text.map(serde_json::from_str).transpose().map_err(|_| StoreError::Corrupt("sessions.access"))?;
    Ok(access.unwrap_or_default())
}

fn size(columns: Option<i64>, rows: Option<i64>) -> Result<TerminalSize, StoreError> {
    let (Some(columns), Some(rows)) = (columns, rows) else { return Ok(TerminalSize::DEFAULT) };
    Ok(TerminalSize::clamped(number("sessions.terminal_columns", columns)?, number("sessions.terminal_rows", rows)?))
}

fn cause(text: &str) -> Result<EndCause, StoreError> {
    let unnamed = || text.strip_prefix(UNNAMED_CAUSE).and_then(|number| number.parse().ok()).map(EndCause::Other);
    known("sessions.end_cause", EndCause::from_slug(text).or_else(unnamed))
}

/// An end, as its columns.
pub(super) struct EndColumns<'a> {
    pub(super) cause: String,
    pub(super) outcome: &'static str,
    pub(super) exit_code: Option<i64>,
    pub(super) failure: Option<&'a str>,
    pub(super) cleanup: &'static str,
    pub(super) output_length: i64,
}

impl<'a> EndColumns<'a> {
    pub(super) fn of(ended: &'a Ended) -> Self {
        let (outcome, exit_code, failure) = match &ended.outcome {
            ExitOutcome::Exited(code) => ("exited", Some(i64::from(*code)), None),
            ExitOutcome::Failed(failure) => ("failed", None, Some(failure.as_str())),
            ExitOutcome::Unknown => ("unknown", None, None),
        };
        Self {
            cause: match ended.cause {
                EndCause::Other(number) => format!("{UNNAMED_CAUSE}{number}"),
                named => named.slug().to_owned(),
            },
            outcome,
            exit_code,
            failure,
            cleanup: match ended.cleanup {
                Cleanup::NotWanted => "not_wanted",
                Cleanup::Confirmed => "confirmed",
                Cleanup::Unconfirmed => "unconfirmed",
            },
            output_length: i64::try_from(ended.output_length).unwrap_or(i64::MAX),
        }
    }
}
