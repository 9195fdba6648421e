//! The terminal WebSocket: one viewer of one session. Closing it detaches; the session lives on.
//!
//! Reading and writing are two loops that never wait for each other, so a browser that does not read can still type Ctrl-C.

mod leaving_out;
mod message;
mod observing;
mod overtaken;
mod reading;
mod upgrade;
mod writing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use podlatch_protocol::close::{EndCause, SocketClose};
use podlatch_protocol::id::{LoginSessionId, OrganisationId, SessionId, UserId, WriterId};
use secrecy::ExposeSecret;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use message::{EndedMessage, Verb};
pub(crate) use upgrade::{Upgraded, upgrade};

use crate::auth::token::{TokenHash, TokenKind};
use crate::clock::Clock;
use crate::domain::audit::{Action, NewEvent, Origin};
use crate::domain::organisation::ClientInfo;
use crate::domain::session::{Purpose, Ticket};
use crate::entropy::Entropy;
use crate::http::guesses::{self, Guesses, Secret};
use crate::session::{Joined, SessionHandle, Sessions, ViewerId};
use crate::store::{Departure, NewViewer, Redemption, Store, StoreError, ViewerBytes};
use message::Attach;

type Socket = WebSocketStream<Upgraded>;

/// How long a client may take to send its first message.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may take to read its last messages.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Attempts to store that a viewer has left, a second apart.
const DEPARTURE_ATTEMPTS: u32 = 3;

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
    /// Bounds how often somebody may guess at tickets.
    pub(crate) guesses: Guesses,
}

/// Who opened the socket.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    /// Where they are signed in.
    pub(crate) organisation: OrganisationId,
    /// Who they are.
    pub(crate) user: UserId,
    /// By which login.
    pub(crate) login: LoginSessionId,
    /// Where they sit.
    pub(crate) client: ClientInfo,
}

impl Terminals {
    /// Serves one viewer until it leaves or the session ends. Cancel safe: the viewer has left.
    pub(crate) async fn serve(&self, mut socket: Socket, session: SessionId, person: Person) {
        // What asks the database is large, and waits elsewhere than in the memory of every viewer.
        let close = match Box::pin(self.attach(&mut socket, session, &person)).await {
            Ok((handle, attach, ticket)) => {
                self.audited_view(&mut socket, handle, attach, (ticket, person.client)).await
            }
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
        person: &Person,
    ) -> Result<(SessionHandle, Attach, Ticket), SocketClose> {
        let first = tokio::select! {
            first = timeout(ATTACH_TIMEOUT, socket.next()) => first,
            () = self.draining.cancelled() => return Err(SocketClose::GoingAway),
        };
        let Ok(Some(Ok(Message::Text(text)))) = first else {
            return Err(SocketClose::BadAttach);
        };
        let attach = Attach::decode(&text).map_err(|_| SocketClose::BadAttach)?;
        let Some(hash) = TokenHash::parse(TokenKind::Ticket, attach.ticket.expose_secret()) else {
            return Err(self.bad_ticket(person).await);
        };
        let ticket = match self.store.redeem_ticket(&hash, session, self.clock.now()).await {
            Ok(Redemption::Redeemed(ticket)) if ticket.login_session == person.login => ticket,
            Ok(_) => return Err(self.bad_ticket(person).await),
            Err(error) => {
                warn!(%error, "a ticket could not be checked");
                return Err(SocketClose::Internal);
            }
        };
        let handle = self.sessions.get(session).ok_or(SocketClose::Gone)?;
        if handle.is_over(self.clock.now()) {
            return Err(SocketClose::Gone);
        }
        Ok((handle, attach, ticket))
    }

    /// A bad ticket costs its login's person and address a try; a good one never does, whatever others tried.
    async fn bad_ticket(&self, person: &Person) -> SocketClose {
        let now = self.clock.now();
        let Err(limited) = self.guesses.bad_ticket(&person.user.to_string(), person.client.ip.parse().ok(), now) else {
            return SocketClose::BadTicket;
        };
        let event = guesses::guessing(person.organisation, Origin::user(person.user, person.client.clone()), now);
        if let Err(error) = guesses::note(&self.store, Secret::Ticket, limited, event).await {
            warn!(%error, "it could not be audited that somebody tries too many tickets");
        }
        SocketClose::TooManyTries
    }

    /// Nothing is shown before the audit log says who looks.
    async fn audited_view(
        &self,
        socket: &mut Socket,
        handle: SessionHandle,
        attach: Attach,
        (ticket, client): (Ticket, ClientInfo),
    ) -> SocketClose {
        let viewer = ViewerId(u64::from_be_bytes(self.entropy.bytes()));
        let Ticket { organisation, session, user, purpose, .. } = ticket;
        let new = NewViewer { id: viewer.0, organisation, session, user, client, purpose };
        match Box::pin(self.store.viewer_attached(&new, self.clock.now())).await {
            Ok(true) => {}
            Ok(false) => return SocketClose::Gone,
            Err(error) => {
                warn!(session.id = %session, %error, "a viewer was not served, because that could not be audited");
                return SocketClose::Internal;
            }
        }
        let traffic = Traffic::default();
        let close = match purpose {
            Purpose::Attach => self.view(socket, handle, (viewer, attach), (&new, &traffic)).await,
            Purpose::Observe => {
                let shown = Shown { terminals: self, handle, traffic: &traffic };
                Box::pin(observing::observe(socket, &shown, ticket)).await
            }
        };
        let cause = if self.draining.is_cancelled() { "relay_stopping" } else { departure_cause(close) };
        let departure = Departure { cause, bytes: Some(traffic.bytes()), at: self.clock.now() };
        Box::pin(self.note_departure(viewer, &departure)).await;
        close
    }

    /// What cannot be stored now is found when the relay starts again.
    async fn note_departure(&self, viewer: ViewerId, departure: &Departure) {
        for _ in 0..DEPARTURE_ATTEMPTS {
            match self.store.viewer_left(viewer.0, departure).await {
                Ok(_) => return,
                Err(error) => warn!(%error, "it could not be stored that a viewer has left"),
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn view(
        &self,
        socket: &mut Socket,
        handle: SessionHandle,
        (viewer, attach): (ViewerId, Attach),
        (person, traffic): (&NewViewer, &Traffic),
    ) -> SocketClose {
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
        let shown = Shown { terminals: self, handle, traffic };
        let view = View { shown, viewer, writer: attach.writer, person };
        self.run(socket, view, joined, start).await
    }

    async fn run(&self, socket: &mut Socket, view: View<'_>, joined: Joined, start: writing::Start) -> SocketClose {
        let (rendered, follow) = watch::channel(start.offset);
        let (typed, follow_typed) = watch::channel(overtaken::Typed::Nothing);
        let typing = writing::Typing { viewer: view.viewer, typed: follow_typed };
        let news = writing::News {
            input: joined.input,
            rendered: follow,
            size: None,
            observers: Some(view.shown.handle.observers.subscribe()),
            typing: Some(typing),
        };
        let (mut sink, stream) = socket.split();
        let close = tokio::select! {
            close = reading::read(&view, stream, rendered, typed) => close,
            close = writing::write(&view.shown, &mut sink, news, start) => close,
            () = self.draining.cancelled() => SocketClose::GoingAway,
        };
        // What is half written belongs before the close frame.
        let _gone = timeout(CLOSE_TIMEOUT, sink.flush()).await;
        close
    }
}

/// Why a viewer left, as a stable name for the audit log.
const fn departure_cause(close: SocketClose) -> &'static str {
    match close {
        SocketClose::Ended | SocketClose::Gone => "session_ended",
        SocketClose::GoingAway => "left",
        SocketClose::TooSlow => "connection_lost",
        SocketClose::ProtocolError | SocketClose::BadAttach | SocketClose::BadTicket | SocketClose::TooManyTries => {
            "protocol_error"
        }
        SocketClose::ReadOnly => "read_only",
        SocketClose::WatchWithdrawn => "right_withdrawn",
        SocketClose::Internal => "relay_failed",
    }
}

/// What went through a viewer's terminal, in bytes.
#[derive(Debug, Default)]
struct Traffic {
    output: AtomicU64,
    input: AtomicU64,
}

impl Traffic {
    fn note_output(&self, bytes: usize) {
        self.output.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn note_input(&self, bytes: usize) {
        self.input.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn bytes(&self) -> ViewerBytes {
        ViewerBytes { output: self.output.load(Ordering::Relaxed), input: self.input.load(Ordering::Relaxed) }
    }
}

/// A session as it is shown to somebody.
struct Shown<'a> {
    terminals: &'a Terminals,
    handle: SessionHandle,
    traffic: &'a Traffic,
}

/// One attached viewer.
struct View<'a> {
    shown: Shown<'a>,
    viewer: ViewerId,
    writer: WriterId,
    person: &'a NewViewer,
}

impl View<'_> {
    /// Ends the session for good; not before the audit log says who wanted it.
    async fn end(&self) -> Result<(), StoreError> {
        let Terminals { store, clock, .. } = self.shown.terminals;
        let NewViewer { organisation, session, user, client, .. } = self.person;
        let event = NewEvent::in_session(Action::SessionEndRequested, *organisation, *session, clock.now());
        store.append_audit(&event.by(Origin::user(*user, client.clone()))).await?;
        self.shown.handle.end(EndCause::ClosedByUser).await;
        Ok(())
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
