//! Who looks at a session, to type in it or to look on. Attaching and leaving are audit events; a viewer that is still here when the relay starts was torn
//! off by its end, so no leaving is forgotten and none is told twice.

use podlatch_protocol::id::{OrganisationId, SessionId, UserId};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::organisation::ClientInfo;
use crate::domain::session::Purpose;
use crate::store::audit::append;
use crate::store::engine::{execute, fetch_all, fetch_optional};
use crate::store::rows::known;
use crate::store::{Store, StoreError};

/// Somebody who attaches to a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewViewer {
    /// Unique among those who are attached.
    pub id: u64,
    /// Whose session.
    pub organisation: OrganisationId,
    /// Which.
    pub session: SessionId,
    /// Who.
    pub user: UserId,
    /// Where the person sits.
    pub client: ClientInfo,
    /// What for.
    pub purpose: Purpose,
}

/// How a viewer left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// Why, as a stable name.
    pub cause: &'static str,
    /// What it was sent and what it typed, where that is known.
    pub bytes: Option<ViewerBytes>,
    /// When.
    pub at: UnixMillis,
}

/// What went through a viewer's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewerBytes {
    /// Output that it was sent, in bytes.
    pub output: u64,
    /// Input that it sent, in bytes.
    pub input: u64,
}

impl Store {
    /// Notes that somebody attaches; false if the session is over. To be called before anything is sent to them. Cancel safe.
    pub async fn viewer_attached(&self, viewer: &NewViewer, now: UnixMillis) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let stored = execute!(
            tx.on(),
            "INSERT INTO viewers (id, organisation_id, session_id, user_id, client_ip, user_agent, connected_at, purpose)
             SELECT $1, organisation_id, id, $4, $5, $6, $7, $8 FROM sessions
             WHERE organisation_id = $2 AND id = $3 AND state <> 'ended'",
            column(viewer.id),
            viewer.organisation.as_uuid(),
            viewer.session.as_uuid(),
            viewer.user.as_uuid(),
            viewer.client.ip.as_str(),
            viewer.client.user_agent.as_str(),
            now.get(),
            viewer.purpose.slug(),
        )?;
        if stored != 1 {
            return Ok(false);
        }
        let action = match viewer.purpose {
            Purpose::Attach => Action::Connect,
            Purpose::Observe => Action::Observe,
        };
        let event = NewEvent::in_session(action, viewer.organisation, viewer.session, now);
        let event = event.by(Origin::user(viewer.user, viewer.client.clone())).detail("viewer", name(viewer.id));
        append(&mut tx, &event).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Notes that a viewer has left; false if that was noted before. Cancel safe.
    pub async fn viewer_left(&self, id: u64, departure: &Departure) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let gone = fetch_optional!(
            tx.on(),
            ViewerRow,
            "DELETE FROM viewers WHERE id = $1
             RETURNING organisation_id, session_id, user_id, client_ip, user_agent, connected_at, purpose",
            column(id),
        )?;
        let Some(gone) = gone else {
            return Ok(false);
        };
        append(&mut tx, &gone.left(id, departure)?).await?;
        self.commit_audited(tx).await?;
        Ok(true)
    }

    /// Every viewer that is noted as attached: when a relay starts, none is. Cancel safe.
    pub async fn attached_viewers(&self) -> Result<Vec<u64>, StoreError> {
        let rows = fetch_all!(self.reader(), (i64,), "SELECT id FROM viewers ORDER BY connected_at, id")?;
        Ok(rows.into_iter().map(|(id,)| u64::from_be_bytes(id.to_be_bytes())).collect())
    }
}

#[derive(sqlx::FromRow)]
struct ViewerRow {
    organisation_id: Uuid,
    session_id: Uuid,
    user_id: Uuid,
    client_ip: String,
    user_agent: String,
    connected_at: i64,
    purpose: String,
}

impl ViewerRow {
    fn left(self, id: u64, departure: &Departure) -> Result<NewEvent, StoreError> {
        let organisation = OrganisationId::from_uuid(self.organisation_id);
        let session = SessionId::from_uuid(self.session_id);
        let client = ClientInfo { ip: self.client_ip, user_agent: self.user_agent };
        let action = match known("viewers.purpose", Purpose::from_slug(&self.purpose))? {
            Purpose::Attach => Action::Disconnect,
            Purpose::Observe => Action::ObserveEnded,
        };
        let event = NewEvent::in_session(action, organisation, session, departure.at)
            .by(Origin::user(UserId::from_uuid(self.user_id), client))
            .detail("viewer", name(id))
            .detail("cause", departure.cause)
            .detail("connected_at", UnixMillis::new(self.connected_at).to_string())
            .detail("output_bytes", departure.bytes.map(|bytes| bytes.output))
            .detail("input_bytes", departure.bytes.map(|bytes| bytes.input));
        Ok(event)
    }
}

/// The same bits: neither engine has unsigned numbers.
const fn column(id: u64) -> i64 {
    i64::from_be_bytes(id.to_be_bytes())
}

/// A viewer in the audit log, which tells two of one person apart.
fn name(id: u64) -> String {
    format!("{id:016x}")
}
