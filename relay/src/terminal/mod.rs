//! The terminal WebSocket: one viewer of one session. Closing it detaches; the session lives on.
//!
//! Reading and writing are two loops that never wait for each other, so a browser that does not read can still type Ctrl-C.

mod message;
mod reading;
mod upgrade;
mod writing;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use podlatch_protocol::close::{EndCause, SocketClose};
use podlatch_protocol::id::{LoginSessionId, SessionId, WriterId};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use message::EndedMessage;
pub(crate) use upgrade::{Upgraded, upgrade};

use crate::auth::token::{TokenHash, TokenKind};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::session::{Joined, SessionHandle, Sessions, Status, ViewerId};
use crate::store::{Redemption, Store};
use message::Attach;

type Socket = WebSocketStream<Upgraded>;

/// How long a client may take to send its first message.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to read its last messages.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Output further behind than this is not replayed; the viewer gets the screen instead.
const MAX_REPLAY_BYTES: u64 = 32 * 1024 * 1024;

/// What serving a terminal needs.
#[derive(Clone)]
pub(crate) struct Terminals {
    pub(crate) sessions: Sessions,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    /// Cancelled when the relay begins to shut down.
    pub(crate) draining: CancellationToken,
}

impl Terminals {
    /// Serves one viewer until it leaves or the session ends. Cancel safe: the viewer has left.
    pub(crate) async fn serve(&self, mut socket: Socket, session: SessionId, login: LoginSessionId) {
        let close = match self.attach(&mut socket, session, login).await {
            Ok((handle, attach)) => self.view(&mut socket, handle, attach).await,
            Err(close) => close,
        };
        let frame = CloseFrame { code: close.code().into(), reason: close.sentence().into() };
        // A client that is gone cannot be told.
        let _gone = timeout(CLOSE_TIMEOUT, async {
            let _sent = socket.close(Some(frame)).await;
            while let Some(Ok(_)) = socket.next().await {}
        })
        .await;
    }

    /// Takes the first message and redeems its ticket, which must be of the very login that opened the socket.
    async fn attach(
        &self,
        socket: &mut Socket,
        session: SessionId,
        login: LoginSessionId,
    ) -> Result<(SessionHandle, Attach), SocketClose> {
        let first = tokio::select! {
            first = timeout(ATTACH_TIMEOUT, socket.next()) => first,
            () = self.draining.cancelled() => return Err(SocketClose::GoingAway),
        };
        let Ok(Some(Ok(Message::Text(text)))) = first else {
            return Err(SocketClose::BadAttach);
        };
        let attach = Attach::decode(&text).map_err(|_| SocketClose::BadAttach)?;
        let hash = TokenHash::parse(TokenKind::Ticket, attach.ticket.expose_secret()).ok_or(SocketClose::BadTicket)?;
        match self.store.redeem_ticket(&hash, session, self.clock.now()).await {
            Ok(Redemption::Redeemed(ticket)) if ticket.login_session == login => {}
            Ok(_) => return Err(SocketClose::BadTicket),
            Err(error) => {
                warn!(%error, "a ticket could not be checked");
                return Err(SocketClose::Internal);
            }
        }
        let handle = self.sessions.get(session).ok_or(SocketClose::Gone)?;
        Ok((handle, attach))
    }

    async fn view(&self, socket: &mut Socket, handle: SessionHandle, attach: Attach) -> SocketClose {
        let viewer = ViewerId(u64::from_be_bytes(self.entropy.bytes()));
        let _leave = LeaveGuard { handle: handle.clone(), viewer };
        let Some(joined) = handle.join(viewer, attach.writer, attach.size).await else {
            return SocketClose::Gone;
        };
        let start = match writing::start(&handle, attach.have, joined.first).await {
            Ok(start) => start,
            Err(error) => {
                warn!(session.id = %handle.id, %error, "a viewer could not be served");
                return SocketClose::Internal;
            }
        };
        handle.starts(viewer, start.offset).await;
        let view = View { handle, viewer, writer: attach.writer, clock: self.clock.clone() };
        self.run(socket, view, joined, start).await
    }

    async fn run(&self, socket: &mut Socket, view: View, joined: Joined, start: writing::Start) -> SocketClose {
        let (rendered, follow) = watch::channel(start.offset);
        let (mut sink, stream) = socket.split();
        let close = tokio::select! {
            close = reading::read(&view, stream, rendered) => close,
            close = writing::write(&view, &mut sink, joined.input, follow, start) => close,
            () = self.draining.cancelled() => SocketClose::GoingAway,
        };
        // What is half written belongs before the close frame.
        let _gone = timeout(CLOSE_TIMEOUT, sink.flush()).await;
        close
    }
}

/// One attached viewer.
struct View {
    handle: SessionHandle,
    viewer: ViewerId,
    writer: WriterId,
    clock: Clock,
}

impl View {
    async fn end(&self) {
        self.handle.end(EndCause::ClosedByUser).await;
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.handle.status.clone()
    }
}

/// Leaves however the viewer ends.
struct LeaveGuard {
    handle: SessionHandle,
    viewer: ViewerId,
}

impl Drop for LeaveGuard {
    fn drop(&mut self) {
        self.handle.leave(self.viewer);
    }
}
