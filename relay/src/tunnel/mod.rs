//! The agents' side of the relay.

use podlatch_protocol::id::ClusterId;

/// The connected agents. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Agents {}

impl Agents {
    /// Whether an agent of this cluster is connected.
    pub fn online(&self, _cluster: ClusterId) -> bool {
        false
    }
}
