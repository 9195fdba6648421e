//! The nonces of sessions whose shells mark their commands.

use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::request::MarkNonce;

use crate::store::engine::{execute, fetch_optional};
use crate::store::{Store, StoreError};

impl Store {
    /// Keeps a session's nonce, so that a relay that is restarted still knows it. [`StoreError::Missing`] if the organisation
    /// has no such session. Cancel safe.
    pub async fn keep_mark_nonce(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        nonce: MarkNonce,
    ) -> Result<(), StoreError> {
        let stored = execute!(
            self.writer(),
            "INSERT INTO session_marks (session_id, nonce)
             SELECT id, $3 FROM sessions WHERE organisation_id = $1 AND id = $2",
            organisation.as_uuid(),
            session.as_uuid(),
            hex::encode(nonce.0),
        )?;
        if stored == 1 { Ok(()) } else { Err(StoreError::Missing("the session")) }
    }

    /// The last of a session's commands that was audited by its mark: the number in its key `command:NUMBER`. Cancel safe.
    pub async fn last_command_key(
        &self,
        organisation: OrganisationId,
        session: SessionId,
    ) -> Result<Option<u64>, StoreError> {
        self.last_key(organisation, session, "command:").await
    }

    /// The same of those that were read off the screen: the number in its key `screen:NUMBER`. Cancel safe.
    pub async fn last_screen_key(
        &self,
        organisation: OrganisationId,
        session: SessionId,
    ) -> Result<Option<u64>, StoreError> {
        self.last_key(organisation, session, "screen:").await
    }

    async fn last_key(
        &self,
        organisation: OrganisationId,
        session: SessionId,
        prefix: &'static str,
    ) -> Result<Option<u64>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (Option<String>,),
            "SELECT MAX(dedupe_key) FROM audit_events
             WHERE organisation_id = $1 AND session_id = $2 AND dedupe_key LIKE $3",
            organisation.as_uuid(),
            session.as_uuid(),
            format!("{prefix}%"),
        )?;
        Ok(row.and_then(|(key,)| key?.strip_prefix(prefix)?.parse().ok()))
    }

    /// A session's nonce, if its shell marks. Cancel safe.
    pub async fn mark_nonce(
        &self,
        organisation: OrganisationId,
        session: SessionId,
    ) -> Result<Option<MarkNonce>, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (String,),
            "SELECT m.nonce FROM session_marks m JOIN sessions s ON s.id = m.session_id
             WHERE s.organisation_id = $1 AND s.id = $2",
            organisation.as_uuid(),
            session.as_uuid(),
        )?;
        row.map(|(text,)| parse(&text)).transpose()
    }
}

fn parse(text: &str) -> Result<MarkNonce, StoreError> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| StoreError::Corrupt("session_marks.nonce"))?;
    Ok(MarkNonce(bytes))
}
