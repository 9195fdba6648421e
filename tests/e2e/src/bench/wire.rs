//! The two ways to a terminal in a pod, behind one interface. Both cost the measuring process as little as they can.

use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use podlatch_podexec::exec::{self, ExecReader, ExecRequest, ExecWriter, ReadEvent, Streams};
use podlatch_podexec::pod;
use podlatch_protocol::target::PodTarget;
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::api::{Api, OpenedSession};
use crate::cluster::Cluster;
use crate::stack::Stack;
use crate::viewer::{PATIENCE, Rendering, Socket, attach, connect, frame, window};

/// What a program prints when it can be measured.
pub(super) const READY: &str = "ready";

/// A terminal: bytes go in, bytes come out.
pub(super) trait Wire {
    /// Types, in one message.
    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()>;

    /// The next piece of output; an error at the end.
    async fn receive(&mut self) -> anyhow::Result<Bytes>;

    /// Says that everything received was rendered, where somebody wants to know.
    async fn acknowledge(&mut self) -> anyhow::Result<()>;

    /// Waits until the program has printed [`READY`].
    async fn ready(&mut self) -> anyhow::Result<()> {
        let mut output = Vec::new();
        while !output.ends_with(READY.as_bytes()) {
            let next = timeout(PATIENCE, self.receive()).await;
            let so_far = || format!("the program is not ready; it said {:?}", String::from_utf8_lossy(&output));
            let next = next.with_context(so_far)?.with_context(so_far)?;
            output.extend_from_slice(&next);
            self.acknowledge().await?;
        }
        Ok(())
    }
}

/// Straight to the API server.
pub(super) struct Direct {
    reader: ExecReader,
    writer: ExecWriter,
}

impl Direct {
    pub(super) async fn start(cluster: &Cluster, target: &PodTarget, script: &str) -> anyhow::Result<Self> {
        let client = cluster.client().await?;
        let resolved = pod::resolve(&client, target).await?;
        let request = ExecRequest {
            namespace: target.namespace.clone(),
            pod: target.pod.clone(),
            container: resolved.container,
            command: ["sh", "-c", script].map(str::to_owned).to_vec(),
            streams: Streams::Terminal,
        };
        let (reader, writer) = exec::start(&client, &request).await?;
        Ok(Self { reader, writer })
    }
}

impl Wire for Direct {
    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.writer.input(bytes).await?)
    }

    async fn receive(&mut self) -> anyhow::Result<Bytes> {
        match self.reader.next().await {
            ReadEvent::Output(bytes) | ReadEvent::Errors(bytes) => Ok(bytes),
            ReadEvent::End(end) => bail!("the program ended: {end:?}"),
        }
    }

    async fn acknowledge(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Through relay and agent, as the console does it.
pub(super) struct Line {
    socket: Socket,
    typed: u64,
    received: u64,
}

impl Line {
    pub(super) async fn start(stack: &Stack, target: &PodTarget, script: &str) -> anyhow::Result<Self> {
        let opened = stack.api.open(&stack.cluster_id, target, Some(&["sh", "-c", script])).await?;
        Self::attach(&stack.api, &opened).await
    }

    /// Attaches to a new session; returns when the relay says so.
    pub(super) async fn attach(api: &Api, opened: &OpenedSession) -> anyhow::Result<Self> {
        let mut socket = connect(api, &opened.id, api.base()).await?;
        socket.send(attach(&opened.ticket, rand::random(), None)).await?;
        socket.send(window(Rendering::AtOnce)).await?;
        loop {
            match socket.next().await.context("the relay closed the socket")?? {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text)?;
                    ensure!(message["type"] == "attached", "not attached: {message}");
                    let received = message["output"].as_u64().context("no output offset")?;
                    return Ok(Self { socket, typed: 0, received });
                }
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                other => bail!("not attached: {other:?}"),
            }
        }
    }
}

impl Wire for Line {
    async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let offset = self.typed;
        self.typed += bytes.len() as u64;
        Ok(self.socket.send(frame(0x01, offset, bytes)).await?)
    }

    async fn receive(&mut self) -> anyhow::Result<Bytes> {
        loop {
            match self.socket.next().await.context("the relay closed the socket")?? {
                Message::Binary(mut message) if message.len() > 9 && message[0] == 0x11 => {
                    message.advance(1);
                    let offset = message.get_u64();
                    ensure!(offset == self.received, "output at {offset}, expected at {}", self.received);
                    self.received += message.len() as u64;
                    return Ok(message);
                }
                Message::Close(frame) => bail!("the relay closed the socket: {frame:?}"),
                _ => {}
            }
        }
    }

    async fn acknowledge(&mut self) -> anyhow::Result<()> {
        Ok(self.socket.send(frame(0x02, self.received, &[])).await?)
    }
}
