//! What a viewer sends: input, what it has rendered, sizes, the end.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use podlatch_protocol::close::SocketClose;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::message::FromClient;
use super::{Socket, View};

/// Silence of a client, which is pinged every 15 s, after which it is taken for gone.
const SILENCE: Duration = Duration::from_secs(50);

/// Reads until the client leaves, breaks the protocol, or falls silent. Cancel safe as far as the session is concerned.
pub(super) async fn read(
    view: &View,
    mut stream: SplitStream<&mut Socket>,
    rendered: watch::Sender<u64>,
) -> SocketClose {
    loop {
        let message = match timeout(SILENCE, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(_))) => return SocketClose::ProtocolError,
            Ok(None) | Err(_) => return SocketClose::TooSlow,
        };
        let decoded = match message {
            Message::Binary(bytes) => FromClient::decode_binary(bytes),
            Message::Text(text) => FromClient::decode_text(&text),
            Message::Close(_) => return SocketClose::GoingAway,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
        };
        match decoded {
            Ok(FromClient::Input { offset, bytes }) => view.handle.input(view.writer, offset, bytes).await,
            Ok(FromClient::Rendered { offset }) => {
                rendered.send_if_modified(|current| std::mem::replace(current, offset.max(*current)) < offset);
                view.handle.rendered(view.viewer, offset).await;
            }
            Ok(FromClient::Resize(size)) => view.handle.resize(size).await,
            Ok(FromClient::Window { bytes }) => view.handle.window(view.viewer, bytes).await,
            Ok(FromClient::Close) => view.end().await,
            Err(_) => return SocketClose::ProtocolError,
        }
    }
}
