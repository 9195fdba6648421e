//! Sessions. They only move forward: opening, live, ended; the first end is the one that stays.

mod events;
mod life;
mod list;
mod marks;
mod row;
mod viewers;

pub use self::life::ActivityNote;
#[cfg(test)]
pub(super) use self::list::Lead;
pub use self::list::{SessionFilter, StateFilter};
pub use self::viewers::{Departure, NewViewer, ViewerBytes};
use podlatch_protocol::id::{AgentId, ClusterId, OrganisationId, SessionId};
use podlatch_protocol::session::Opened;
use podlatch_protocol::target::ContainerName;

use self::row::{EndColumns, SessionRow, session_sql};
use super::audit::append;
use super::engine::{execute, fetch_all, fetch_optional};
use super::rows::millis;
use super::{Store, StoreError};
use crate::clock::UnixMillis;
use crate::domain::name::ReasonText;
use crate::domain::session::{NewSession, Session, SessionEnd};

impl Store {
    /// Stores a session that was asked for, as opening; [`StoreError::Missing`] if the organisation has no such cluster,
    /// or it is revoked. Cancel safe.
    pub async fn insert_session(&self, new: &NewSession) -> Result<(), StoreError> {
        let program = serde_json::to_string(&new.program).map_err(|_| StoreError::Corrupt("sessions.program"))?;
        let access = serde_json::to_string(&new.access).map_err(|_| StoreError::Corrupt("sessions.access"))?;
        let mut tx = self.begin().await?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO sessions (id, organisation_id, cluster_id, agent_id, user_id, login_session_id, namespace, pod,
                 asked_container, program, state, client_ip, user_agent, started_at, last_activity_at, expires_at,
                 idle_after, idle_close, terminal_columns, terminal_rows, reason, access)
             SELECT $1, organisation_id, id, $4, $5, $6, $7, $8, $9, $10, 'opening', $11, $12, $13, $13, $14, $15, $16,
                 $17, $18, $19, $20
             FROM clusters
             WHERE organisation_id = $2 AND id = $3 AND revoked_at IS NULL",
            new.id.as_uuid(),
            new.organisation.as_uuid(),
            new.cluster.as_uuid(),
            new.agent.map(|agent| agent.as_uuid()),
            new.user.as_uuid(),
            new.login_session.as_uuid(),
            new.target.namespace.as_str(),
            new.target.pod.as_str(),
            new.target.container.as_ref().map(ContainerName::as_str),
            program.as_str(),
            new.client.ip.as_str(),
            new.client.user_agent.as_str(),
            new.started_at.get(),
            new.expires_at.get(),
            millis(new.idle.after),
            new.idle.close.map(millis),
            i64::from(new.size.columns()),
            i64::from(new.size.rows()),
            new.reason.as_ref().map(ReasonText::as_str),
            access.as_str(),
        )?;
        if stored != 1 {
            return Err(StoreError::Missing("the cluster"));
        }
        append(&mut tx, &events::asked(new)).await?;
        self.commit_audited(tx).await
    }

    /// Notes that the process of an opening session runs; false if the session is not opening (any more). Cancel safe.
    pub async fn session_opened(
        &self,
        organisation: OrganisationId,
        id: SessionId,
        opened: &Opened,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = execute!(
            tx.on(),
            "UPDATE sessions SET state = 'live', container = $3, pod_uid = $4, process = $5
             WHERE organisation_id = $1 AND id = $2 AND state = 'opening'",
            organisation.as_uuid(),
            id.as_uuid(),
            opened.container.as_str(),
            opened.pod_uid.as_str(),
            opened.process.map(i64::from),
        )?;
        if changed != 1 {
            return Ok(false);
        }
        append(&mut tx, &events::started((organisation, id), opened, now)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Notes a session's end; false if it had ended before, and then nothing changes. Cancel safe.
    pub async fn session_ended(
        &self,
        organisation: OrganisationId,
        id: SessionId,
        end: &SessionEnd,
    ) -> Result<bool, StoreError> {
        let columns = EndColumns::of(&end.ended);
        let mut tx = self.begin().await?;
        let changed = fetch_optional!(
            tx.on(),
            (Option<String>,),
            "UPDATE sessions SET state = 'ended', ended_at = $3, end_cause = $4, outcome = $5, exit_code = $6,
                 failure = $7, cleanup = $8, output_length = $9
             WHERE organisation_id = $1 AND id = $2 AND state <> 'ended' RETURNING container",
            organisation.as_uuid(),
            id.as_uuid(),
            end.at.get(),
            columns.cause.as_str(),
            columns.outcome,
            columns.exit_code,
            columns.failure,
            columns.cleanup,
            columns.output_length,
        )?;
        let Some((container,)) = changed else {
            return Ok(false);
        };
        // The container is known from the moment that the process runs.
        let ran = if container.is_some() { events::Ran::Yes } else { events::Ran::No };
        append(&mut tx, &events::ended((organisation, id), end, &columns, ran)).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// A session of the organisation. Cancel safe.
    pub async fn get_session(
        &self,
        organisation: OrganisationId,
        id: SessionId,
    ) -> Result<Option<Session>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            SessionRow,
            session_sql!("WHERE s.organisation_id = $1 AND s.id = $2"),
            organisation.as_uuid(),
            id.as_uuid(),
        )?;
        row.map(Session::try_from).transpose()
    }

    /// The sessions of an agent that are not over: what is to be taken up again when it connects. Cancel safe.
    pub async fn unfinished_sessions_of_agent(
        &self,
        organisation: OrganisationId,
        cluster: ClusterId,
        agent: AgentId,
    ) -> Result<Vec<Session>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            SessionRow,
            session_sql!(
                "WHERE s.organisation_id = $1 AND s.cluster_id = $2 AND s.agent_id = $3 AND s.state <> 'ended'
                 ORDER BY s.id"
            ),
            organisation.as_uuid(),
            cluster.as_uuid(),
            agent.as_uuid(),
        )?;
        rows.into_iter().map(Session::try_from).collect()
    }

    /// Every session of every organisation that is not over: what a relay that starts has to look after. Cancel safe.
    pub async fn unfinished_sessions(&self) -> Result<Vec<Session>, StoreError> {
        let rows = fetch_all!(self.reader(), SessionRow, session_sql!("WHERE s.state <> 'ended' ORDER BY s.id"))?;
        rows.into_iter().map(Session::try_from).collect()
    }
}
