//! What a viewer sends: input, what it has rendered, sizes, the end.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use podlatch_protocol::close::SocketClose;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::warn;

use super::message::FromClient;
use super::overtaken::Typed;
use super::{Shown, Socket, View};

/// Silence of a client, which is pinged every 15 s, after which it is taken for gone.
const SILENCE: Duration = Duration::from_secs(50);

/// Reads until the client leaves, breaks the protocol, or falls silent. Cancel safe as far as the session is concerned.
pub(super) async fn read(
    view: &View<'_>,
    mut stream: SplitStream<&mut Socket>,
    rendered: watch::Sender<u64>,
    typed: watch::Sender<Typed>,
) -> SocketClose {
    let Shown { handle, traffic, .. } = &view.shown;
    loop {
        let message = match next(&mut stream).await {
            Ok(message) => message,
            Err(close) => return close,
        };
        match message {
            FromClient::Input { offset, bytes } => {
                traffic.note_input(bytes.len());
                typed.send_if_modified(|typed| typed.handle(offset, &bytes));
                handle.input(view.writer, offset, bytes).await;
            }
            FromClient::Rendered { offset } => {
                note_rendered(&rendered, offset);
                handle.rendered(view.viewer, offset).await;
            }
            FromClient::Resize(size) => handle.resize(size).await,
            FromClient::Window { bytes } => handle.window(view.viewer, bytes).await,
            FromClient::Close => {
                if let Err(error) = Box::pin(view.end()).await {
                    warn!(session.id = %handle.id, %error, "a session was not ended, because that could not be audited");
                    return SocketClose::Internal;
                }
            }
        }
    }
}

/// Reads what somebody sends who only watches: how far they have drawn, which is nobody else's matter. Knows no session, so
/// nothing of it can reach one. Cancel safe.
pub(super) async fn read_observer(mut stream: SplitStream<&mut Socket>, rendered: watch::Sender<u64>) -> SocketClose {
    loop {
        match next(&mut stream).await {
            Ok(FromClient::Rendered { offset }) => note_rendered(&rendered, offset),
            // A terminal says them by itself.
            Ok(FromClient::Resize(_) | FromClient::Window { .. }) => {}
            Ok(FromClient::Input { .. } | FromClient::Close) => return SocketClose::ReadOnly,
            Err(close) => return close,
        }
    }
}

fn note_rendered(rendered: &watch::Sender<u64>, offset: u64) {
    rendered.send_if_modified(|current| std::mem::replace(current, offset.max(*current)) < offset);
}

/// The client's next message. Cancel safe.
async fn next(stream: &mut SplitStream<&mut Socket>) -> Result<FromClient, SocketClose> {
    loop {
        let message = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) if !is_lost(&error) => return Err(SocketClose::ProtocolError),
            Ok(Some(Err(_)) | None) | Err(_) => return Err(SocketClose::TooSlow),
        };
        let decoded = match message {
            Message::Binary(bytes) => FromClient::decode_binary(bytes),
            Message::Text(text) => FromClient::decode_text(&text),
            Message::Close(_) => return Err(SocketClose::GoingAway),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        return decoded.map_err(|_| SocketClose::ProtocolError);
    }
}

/// Whether the connection broke, rather than the client its promises.
const fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    )
}
