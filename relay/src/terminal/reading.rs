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
use super::{Socket, View};

/// Silence of a client, which is pinged every 15 s, after which it is taken for gone.
const SILENCE: Duration = Duration::from_secs(50);

/// Reads until the client leaves, breaks the protocol, or falls silent. Cancel safe as far as the session is concerned.
pub(super) async fn read(
    view: &View<'_>,
    mut stream: SplitStream<&mut Socket>,
    rendered: watch::Sender<u64>,
) -> SocketClose {
    loop {
        let message = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) if !is_lost(&error) => return SocketClose::ProtocolError,
            Ok(Some(Err(_)) | None) | Err(_) => return SocketClose::TooSlow,
        };
        let decoded = match message {
            Message::Binary(bytes) => FromClient::decode_binary(bytes),
            Message::Text(text) => FromClient::decode_text(&text),
            Message::Close(_) => return SocketClose::GoingAway,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        match decoded {
            Ok(FromClient::Input { offset, bytes }) => {
                view.traffic.note_input(bytes.len());
                view.handle.input(view.writer, offset, bytes).await;
            }
            Ok(FromClient::Rendered { offset }) => {
                rendered.send_if_modified(|current| std::mem::replace(current, offset.max(*current)) < offset);
                view.handle.rendered(view.viewer, offset).await;
            }
            Ok(FromClient::Resize(size)) => view.handle.resize(size).await,
            Ok(FromClient::Window { bytes }) => view.handle.window(view.viewer, bytes).await,
            Ok(FromClient::Close) => {
                if let Err(error) = Box::pin(view.end()).await {
                    warn!(session.id = %view.handle.id, %error, "a session was not ended, because that could not be audited");
                    return SocketClose::Internal;
                }
            }
            Err(_) => return SocketClose::ProtocolError,
        }
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
