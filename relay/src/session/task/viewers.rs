//! What an owner does for those who look at its session and type in it.

use bytes::Bytes;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::session::ToAgent;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::stage::Stage;
use super::{Next, Owner};
use crate::commands::Stroke;
use crate::session::{Command, Joined, ViewerId};

impl Owner {
    pub(super) async fn handle_command(&mut self, command: Command) -> Next {
        match command {
            // What is being ended is not entered any more.
            Command::Join { .. } if matches!(self.stage, Stage::Closing { .. }) => {}
            Command::Join { viewer, writer, size, joined } => self.join(viewer, writer, size, joined),
            Command::Starts { viewer, offset } => self.credit.flow.join(viewer, offset),
            Command::Input { writer, offset, bytes } => self.handle_input(writer, offset, bytes),
            Command::Resize(size) => self.size.want(size),
            Command::Rendered { viewer, offset } => self.handle_rendered(viewer, offset),
            Command::Skipped { viewer, offset } => self.handle_skipped(viewer, offset),
            Command::Window { viewer, bytes } => self.credit.flow.handle_window(viewer, bytes),
            Command::Leave(viewer) => self.leave(viewer),
            Command::End(cause) => return self.close(cause),
            Command::Agent(news) => return self.handle_agent(news).await,
        }
        Next::GoOn
    }

    fn join(&mut self, viewer: ViewerId, writer: WriterId, size: TerminalSize, joined: oneshot::Sender<Joined>) {
        let end = *self.watermarks.written.borrow();
        self.credit.flow.join(viewer, end);
        self.unwatched_since = None;
        let first = !std::mem::replace(&mut self.viewed, true);
        self.size.want(size);
        if joined.send(Joined { input: self.inputs.join(writer), first }).is_err() {
            self.leave(viewer);
        }
    }

    fn leave(&mut self, viewer: ViewerId) {
        self.credit.flow.leave(viewer);
        if !self.credit.flow.is_watched() && self.unwatched_since.is_none() {
            self.unwatched_since = Some(Instant::now());
        }
    }

    fn handle_rendered(&mut self, viewer: ViewerId, offset: u64) {
        let end = *self.watermarks.written.borrow();
        self.credit.flow.handle_rendered(viewer, offset, end);
        self.release();
    }

    fn handle_skipped(&mut self, viewer: ViewerId, offset: u64) {
        let end = *self.watermarks.written.borrow();
        self.credit.flow.handle_skipped(viewer, offset, end);
        self.credit.hurry(Instant::now());
        self.release();
    }

    /// Lets the recording forget what no viewer needs.
    fn release(&self) {
        if let Some(offset) = self.credit.flow.rendered_by_all() {
            self.recording.release_below(offset);
        }
    }

    fn handle_input(&mut self, writer: WriterId, offset: u64, bytes: Bytes) {
        // Without a link the viewer keeps its input, and is told to send it when there is one again.
        let (true, Stage::Live) = (self.path.is_linked(), &self.stage) else {
            return;
        };
        let Some(input) = self.inputs.accept(writer, offset, bytes) else {
            return;
        };
        self.shared.note_typing(self.session, Instant::now());
        if self.activity.is_human(writer, &input.bytes) {
            self.note_typed();
        }
        let recorded = self.note_strokes(&input.bytes);
        self.held.push(input, recorded);
        self.forward_held();
    }

    /// Has it followed what was typed; tells when it is recorded that a line was entered, if one was.
    fn note_strokes(&mut self, bytes: &Bytes) -> Option<oneshot::Receiver<()>> {
        let follower = self.follower.as_ref()?;
        let now = self.shared.clock.now();
        follower.typed(*self.watermarks.written.borrow(), now, bytes.clone());
        let strokes = self.strokes.of(bytes, now);
        if strokes.is_empty() {
            return None;
        }
        let recorded = self.recording.typed(strokes.iter().map(|stroke| stroke.as_byte()).collect(), now);
        recorded.filter(|_| strokes.contains(&Stroke::Enter))
    }

    /// Lets the input go that the recording no longer holds up.
    pub(super) fn forward_held(&mut self) {
        while let Some(input) = self.held.take() {
            self.tell(&ToAgent::Input(input));
        }
    }

    fn note_typed(&mut self) {
        let now = self.shared.clock.now();
        self.life.handle_activity(now);
        self.shared.typed.note(self.organisation, self.session, now);
    }
}
