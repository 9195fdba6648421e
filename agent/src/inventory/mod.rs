//! stub
use crate::guard::Guard;
use podlatch_protocol::inventory::WatchScope;
/// stub
#[derive(Clone)]
pub struct Inventory {}
impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inventory")
    }
}
impl Inventory {
    /// stub
    pub fn new(_client: kube::Client, _guard: Guard) -> Self {
        Self {}
    }
    /// stub
    pub async fn serve(&self, _scope: WatchScope, _send: quinn::SendStream, _recv: quinn::RecvStream) {}
}
