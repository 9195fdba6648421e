//! `/api/v1/me/passkeys`: one's own passkeys.

pub mod challenge;
pub mod change;
pub mod create;
pub mod delete;
pub mod list;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::store::StoredPasskey;

/// A passkey.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Passkey)]
pub struct PasskeyBody {
    id: String,
    /// What its person calls it. Untrusted text.
    name: String,
    /// When it was added (RFC 3339).
    #[schema(value_type = String, format = DateTime)]
    created_at: UnixMillis,
    /// When somebody signed in with it last (RFC 3339).
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<UnixMillis>,
}

impl From<StoredPasskey> for PasskeyBody {
    fn from(passkey: StoredPasskey) -> Self {
        Self {
            id: passkey.id.to_string(),
            name: passkey.name.to_string(),
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }
}
