//! Groups of people.

use podlatch_protocol::id::{GroupId, OrganisationId, UserId};
use uuid::Uuid;

use super::engine::fetch_all;
use super::{Store, StoreError};

impl Store {
    /// The groups that a person is in, whoever put them there. Cancel safe.
    pub async fn groups_of(&self, organisation: OrganisationId, user: UserId) -> Result<Vec<GroupId>, StoreError> {
        let rows = fetch_all!(
            self.reader(),
            (Uuid,),
            "SELECT DISTINCT group_id FROM group_members WHERE organisation_id = $1 AND user_id = $2 ORDER BY group_id",
            organisation.as_uuid(),
            user.as_uuid(),
        )?;
        Ok(rows.into_iter().map(|(group,)| GroupId::from_uuid(group)).collect())
    }
}
