//! What a viewer gets: the screen or the missing bytes, then output as it is recorded, and news of its input and its agent.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::stream::SplitSink;
use podlatch_protocol::close::SocketClose;
use podlatch_protocol::limits::MAX_CHUNK_BYTES;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::warn;

use super::leaving_out;
use super::message::{self, AgentState, EndedMessage, LifeMessage, ToClient};
use super::overtaken::{Due, LastEnd, Overtaken, Typed};
use super::{MAX_REPLAY_BYTES, Shown, Socket};
use crate::recording::ReadError;
use crate::session::{InputView, LifeView, SessionHandle, Status, VIEWER_WINDOW_BYTES, ViewerId};

const PING_INTERVAL: Duration = Duration::from_secs(15);

/// How long a viewer of an ended session may take to read the rest.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a viewer begins.
pub(super) struct Start {
    /// Output goes on from here.
    pub(super) offset: u64,
    screen: Option<Bytes>,
}

/// Chooses what a viewer that has everything below `have` gets first. Cancel safe.
pub(super) async fn start(handle: &SessionHandle, have: Option<u64>, first: bool) -> Result<Start, ReadError> {
    let end = *handle.recording.written().borrow();
    match have {
        Some(have) if have <= end && end - have <= MAX_REPLAY_BYTES => Ok(Start { offset: have, screen: None }),
        // The first viewer gets the output itself: programs may have asked the terminal something already.
        None if first && end <= VIEWER_WINDOW_BYTES => Ok(Start { offset: 0, screen: None }),
        _ => {
            let snapshot = handle.recording.snapshot().await?;
            Ok(Start { offset: snapshot.offset, screen: Some(snapshot.bytes) })
        }
    }
}

/// What a viewer is told of besides the output.
pub(super) struct News {
    /// Where its input stands.
    pub(super) input: watch::Receiver<InputView>,
    /// What it has drawn.
    pub(super) rendered: watch::Receiver<u64>,
    /// The terminal's size, where others choose it.
    pub(super) size: Option<watch::Receiver<Option<TerminalSize>>>,
    /// How many watch, for those who are watched.
    pub(super) observers: Option<watch::Receiver<u32>>,
    /// What it types, where it may.
    pub(super) typing: Option<Typing>,
}

/// What a viewer types, as far as its output depends on it.
pub(super) struct Typing {
    pub(super) viewer: ViewerId,
    /// As far as output is overtaken by it.
    pub(super) typed: watch::Receiver<Typed>,
}

impl News {
    /// Waits for something to be typed; `None` where nobody types. Cancel safe.
    async fn next_typed(typing: &mut Option<Typing>) -> Option<Typed> {
        let typed = &mut typing.as_mut()?.typed;
        typed.changed().await.ok()?;
        Some(*typed.borrow_and_update())
    }

    /// Waits for another value; `None` where there will be none. Cancel safe.
    async fn next<T>(values: &mut Option<watch::Receiver<T>>) -> Option<()> {
        values.as_mut()?.changed().await.ok()
    }
}

/// Writes until the session ends or the client is gone.
pub(super) async fn write(
    view: &Shown<'_>,
    sink: &mut SplitSink<&mut Socket, Message>,
    news: News,
    start: Start,
) -> SocketClose {
    let mut writing = Writing {
        view,
        sink,
        sent: start.offset,
        left_out: start.offset,
        overtaken: Overtaken::no(),
        written: view.handle.recording.written(),
        status: view.handle.status.clone(),
        life: view.handle.life.clone(),
        news,
        told: InputView::default(),
    };
    match writing.run(start).await {
        Ok(close) => close,
        Err(Stop::Gone) => SocketClose::GoingAway,
        Err(Stop::Unreadable(error)) => {
            warn!(session.id = %view.handle.id, %error, "a viewer could not be served");
            SocketClose::Internal
        }
    }
}

enum Stop {
    Gone,
    Unreadable(ReadError),
}

impl From<Error> for Stop {
    fn from(_: Error) -> Self {
        Self::Gone
    }
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

struct Writing<'view, 'socket> {
    view: &'view Shown<'view>,
    sink: &'view mut SplitSink<&'socket mut Socket, Message>,
    /// Everything below this was sent.
    sent: u64,
    /// Where the last output ended that was left out.
    left_out: u64,
    overtaken: Overtaken,
    written: watch::Receiver<u64>,
    status: watch::Receiver<Status>,
    life: watch::Receiver<LifeView>,
    news: News,
    /// What the client knows of its input.
    told: InputView,
}

impl Writing<'_, '_> {
    async fn run(&mut self, start: Start) -> Result<SocketClose, Stop> {
        let input = *self.news.input.borrow_and_update();
        self.told = InputView { applied: 0, ..input };
        let (session, output) = (self.view.handle.id, start.offset);
        self.text(&ToClient::Attached { session, output, input: input.expected }).await?;
        self.tell_size().await?;
        if let Some(screen) = start.screen {
            self.send(Message::Binary(message::snapshot(start.offset, &screen))).await?;
        }
        let mut ping = interval(PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if self.tell_status().await? {
            return self.finish().await;
        }
        self.tell_life().await?;
        self.tell_observers().await?;
        loop {
            self.tell_input().await?;
            let again_at = self.send_due().await?;
            tokio::select! {
                Ok(()) = self.written.changed() => {}
                Ok(()) = self.news.rendered.changed() => {}
                Ok(()) = self.news.input.changed() => {}
                Some(typed) = News::next_typed(&mut self.news.typing) => {
                    let now = Instant::now();
                    self.overtaken.handle_typed(typed, now);
                    // While this was sending, the program may have got it already.
                    self.overtaken.handle_applied(self.told.applied, self.sent, now);
                }
                () = until(again_at) => {}
                Some(()) = News::next(&mut self.news.size) => self.tell_size().await?,
                Some(()) = News::next(&mut self.news.observers) => self.tell_observers().await?,
                Ok(()) = self.status.changed() => {
                    if self.tell_status().await? {
                        return self.finish().await;
                    }
                }
                Ok(()) = self.life.changed() => self.tell_life().await?,
                _ = ping.tick() => self.send(Message::Ping(Bytes::new())).await?,
                else => return Ok(SocketClose::Internal),
            }
        }
    }

    /// Sends what the viewer is to get now; returns when more is due though nothing comes.
    async fn send_due(&mut self) -> Result<Option<Instant>, Stop> {
        let (written, rendered) = (*self.written.borrow_and_update(), *self.news.rendered.borrow_and_update());
        let last = if rendered < self.left_out { LastEnd::OnItsWay } else { LastEnd::Drawn };
        let due = self.overtaken.due(written, last, Instant::now());
        if self.overtaken.is_on() {
            self.fetch(written).await;
        }
        match due {
            Due::All => {}
            Due::Later(again_at) => return Ok(Some(again_at)),
            Due::End => self.leave_out(written).await?,
        }
        self.send_output(written).await?;
        Ok(None)
    }

    /// What is not drawn must not hold up what comes after it.
    async fn fetch(&self, written: u64) {
        if let Some(Typing { viewer, .. }) = self.news.typing {
            self.view.handle.skipped(viewer, written).await;
        }
    }

    /// Leaves out most of what is not sent yet, if it is of a kind that may be left out.
    async fn leave_out(&mut self, written: u64) -> Result<(), Stop> {
        // Rare, and large: it waits elsewhere than in the memory of every viewer.
        match Box::pin(leaving_out::middle(&self.view.handle.recording, self.sent, written)).await? {
            Some(left) => {
                self.send(Message::Binary(message::left_out(left.end, &left.shown))).await?;
                (self.sent, self.left_out) = (left.end, left.end);
            }
            None => self.overtaken.stop(),
        }
        Ok(())
    }

    /// Sends what is written below `end` and fits the window. Gathers nothing: what is there goes.
    async fn send_output(&mut self, end: u64) -> Result<(), Stop> {
        loop {
            let drawn = (*self.news.rendered.borrow_and_update()).max(self.left_out);
            let window = drawn + VIEWER_WINDOW_BYTES;
            let Some(room) = end.min(window).checked_sub(self.sent).filter(|room| *room > 0) else {
                return Ok(());
            };
            let limit = usize::try_from(room).unwrap_or(MAX_CHUNK_BYTES).min(MAX_CHUNK_BYTES);
            let bytes = self.view.handle.recording.read(self.sent, limit).await?;
            self.send(Message::Binary(message::output(self.sent, &bytes))).await?;
            self.sent += bytes.len() as u64;
            self.view.traffic.note_output(bytes.len());
        }
    }

    async fn tell_input(&mut self) -> Result<(), Stop> {
        let input = *self.news.input.borrow_and_update();
        if input.resend != self.told.resend {
            self.text(&ToClient::Resend { input: input.expected }).await?;
        }
        if input.applied > self.told.applied {
            self.send(Message::Binary(message::applied(input.applied))).await?;
            self.overtaken.handle_applied(input.applied, self.sent, Instant::now());
        }
        self.told = input;
        Ok(())
    }

    /// Tells how the agent is; returns whether the session is over.
    async fn tell_status(&mut self) -> Result<bool, Stop> {
        let state = match *self.status.borrow_and_update() {
            Status::Live => AgentState::Answering,
            Status::AgentSilent => AgentState::Silent,
            Status::Ended(_) => return Ok(true),
        };
        self.text(&ToClient::Agent { state }).await?;
        Ok(false)
    }

    async fn tell_size(&mut self) -> Result<(), Stop> {
        let size = self.news.size.as_mut().and_then(|size| *size.borrow_and_update());
        let Some(size) = size else {
            return Ok(());
        };
        self.text(&ToClient::Size { columns: size.columns(), rows: size.rows() }).await
    }

    async fn tell_observers(&mut self) -> Result<(), Stop> {
        let Some(count) = self.news.observers.as_mut().map(|observers| *observers.borrow_and_update()) else {
            return Ok(());
        };
        self.text(&ToClient::Observers { count }).await
    }

    async fn tell_life(&mut self) -> Result<(), Stop> {
        let view = *self.life.borrow_and_update();
        self.text(&ToClient::Life(LifeMessage::at(&view, self.view.terminals.clock.now()))).await
    }

    /// The rest of the output, then the end.
    async fn finish(&mut self) -> Result<SocketClose, Stop> {
        let Status::Ended(ended) = self.status.borrow().clone() else {
            return Ok(SocketClose::Internal);
        };
        let deadline = Instant::now() + LAST_OUTPUT_TIMEOUT;
        if self.overtaken.is_wanted() {
            let written = *self.written.borrow_and_update();
            self.leave_out(written).await?;
        }
        loop {
            // Less may have been written where the recording failed.
            let end = ended.output_length.min(*self.written.borrow());
            self.send_output(end).await?;
            if self.sent >= end {
                break;
            }
            match timeout_at(deadline, self.news.rendered.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        self.text(&ToClient::Ended(EndedMessage::from(&ended))).await?;
        Ok(SocketClose::Ended)
    }

    async fn text(&mut self, message: &ToClient) -> Result<(), Stop> {
        self.send(Message::Text(message.encode().into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Stop> {
        Ok(self.sink.send(message).await?)
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
