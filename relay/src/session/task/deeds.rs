//! What an owner has stored before it does it: sizes, and whether the session is idle.

use podlatch_protocol::session::ToAgent;
use podlatch_protocol::terminal::TerminalSize;
use tokio::time::Instant;
use tracing::warn;

use super::Owner;
use super::stage::Stage;
use crate::session::clerk::Deed;

impl Owner {
    /// What is to be done next is stored first.
    pub(super) fn give_to_clerk(&mut self) {
        if !self.clerk.is_free() {
            return;
        }
        if let Some(size) = self.size.due(Instant::now()) {
            self.clerk.begin(Deed::Resize(size));
        } else if let (Stage::Live, Some(flag)) = (&self.stage, self.life.flag_to_store(self.shared.clock.now())) {
            self.clerk.begin(Deed::Idle(flag));
        }
    }

    /// Does what was stored.
    pub(super) async fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Resize(size) => self.resize(size).await,
            Deed::Idle(flag) => {
                self.life.handle_flag_stored(flag);
                self.life_view.send_replace(self.life.view());
            }
        }
    }

    async fn resize(&mut self, size: TerminalSize) {
        if let Err(error) = self.recording.resize(size, self.shared.clock.now()).await {
            warn!(session.id = %self.session, %error, "a terminal's size was not recorded");
        }
        self.size_view.send_replace(Some(size));
        self.tell(&ToAgent::Resize(size));
    }
}
