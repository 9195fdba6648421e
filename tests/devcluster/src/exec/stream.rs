//! One exec over one WebSocket: channels in, channels out, the status last.
//!
//! The directions never wait for each other, so a process that does not read never stops its output. Output waits for
//! the client: what the client does not take stays in the terminal, and the process waits. A client that goes away leaves
//! the process running with its terminal open, as container runtimes do.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::process::Child;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Subprotocol;
use super::descriptor::Descriptor;
use super::outcome::Outcome;
use crate::cluster::objects::random_hex;
use crate::container::{Container, ExecFailure, ExecSpec, Spawned, SpawnedIo, exit_code};
use crate::faults::Freezer;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
/// In v5: the byte that follows names the channel that is closed.
const CLOSE: u8 = 255;
/// How much output is read at a time; what real kubelets use.
const READ_BYTES: usize = 32 * 1024;
/// Frames that wait for a slow client: a terminal's come to some megabytes, as much as stands in the sockets between a real
/// runtime, kubelet and API server.
const QUEUE_LEN: usize = 256;
/// How long a client may take to answer the closing.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<Upgraded>>;
type Sink = SplitSink<Socket, Message>;

/// Everything that one exec needs beside its socket.
pub(super) struct Stream {
    pub(super) container: Container,
    pub(super) spec: ExecSpec,
    pub(super) subprotocol: Subprotocol,
    pub(super) freezer: Freezer,
    pub(super) delay: Duration,
    /// How long it may carry no data.
    pub(super) idle: Option<Duration>,
    /// Cancelled when the connection is to be cut.
    pub(super) cut: CancellationToken,
    /// Cancelled when the cluster ends.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

/// The process's ends of the streams.
struct Pipes {
    stdin: Option<Arc<Descriptor>>,
    /// Set for a terminal only.
    terminal: Option<Arc<Descriptor>>,
    outputs: Vec<(u8, Arc<Descriptor>)>,
}

/// The client is gone; its process is not.
struct ClientGone;

#[derive(Deserialize)]
struct Resize {
    #[serde(rename = "Width")]
    width: u16,
    #[serde(rename = "Height")]
    height: u16,
}

impl Stream {
    /// Runs to the end of the process or of the connection.
    pub(super) async fn run(self, socket: Socket) {
        let (cut, stop) = (self.cut.clone(), self.stop.clone());
        tokio::select! {
            () = cut.cancelled() => (),
            () = stop.cancelled() => (),
            () = self.serve(socket) => (),
        }
    }

    async fn serve(mut self, socket: Socket) {
        let (mut sink, source) = socket.split();
        // Real servers open channel 1 before anything is known about the process.
        if sink.send(frame(STDOUT, &[])).await.is_err() {
            return;
        }
        tokio::time::sleep(self.delay).await;
        self.freezer.thawed().await;
        match self.start().await {
            Ok((child, pipes)) => self.carry(child, pipes, sink, source).await,
            Err(outcome) => finish(sink, source, &self.status(&outcome)).await,
        }
    }

    async fn start(&self) -> Result<(Child, Pipes), Outcome> {
        let not_started = |reason: String| Outcome::NotStarted { exec_id: random_hex(), reason };
        let Spawned { child, io } = match self.container.exec(self.spec.clone()).await {
            Ok(spawned) => spawned,
            Err(ExecFailure::Refused { reason }) => return Err(not_started(reason)),
            Err(gone @ ExecFailure::ContainerGone) => return Err(not_started(gone.to_string())),
        };
        let pipes = pipes_of(io).map_err(|error| not_started(error.to_string()))?;
        Ok((child, pipes))
    }

    async fn carry(mut self, child: Child, pipes: Pipes, mut sink: Sink, mut source: SplitStream<Socket>) {
        let exit = self.own_process(child, &pipes);
        let gone = CancellationToken::new();
        let _gone_at_the_end = gone.clone().drop_guard();
        let (frames, frame_rx) = mpsc::channel(QUEUE_LEN);
        for (channel, output) in &pipes.outputs {
            let pump = pump_output(*channel, Arc::clone(output), frames.clone(), self.freezer.clone());
            let gone = gone.clone();
            self.tasks.spawn(async move { gone.run_until_cancelled(pump).await });
        }
        drop(frames);
        let mut input = Input {
            subprotocol: self.subprotocol,
            stdin: pipes.stdin,
            terminal: pipes.terminal,
            freezer: self.freezer.clone(),
        };
        let data = Notify::new();
        let ended = tokio::select! {
            () = input.run(&mut source, &data) => Err(ClientGone),
            ended = send_output(&mut sink, frame_rx, exit, &data) => ended,
            () = idle_for(self.idle, &data) => Err(ClientGone),
        };
        if let Ok(code) = ended {
            self.freezer.thawed().await;
            finish(sink, source, &self.status(&Outcome::Exited { code })).await;
        }
    }

    /// Waits for the process in a task that outlives the client, and holds its output open as long: a process whose
    /// output nobody takes waits, it is not killed.
    fn own_process(&self, mut child: Child, pipes: &Pipes) -> oneshot::Receiver<i32> {
        let (exit_tx, exit) = oneshot::channel();
        let held: Vec<_> = pipes.outputs.iter().map(|(_, output)| Arc::clone(output)).collect();
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            if let Some(status) = stop.run_until_cancelled(child.wait()).await {
                // Nobody listens when the client is gone.
                let _ = exit_tx.send(status.map_or(255, exit_code));
            }
            drop(held);
        });
        exit
    }

    fn status(&self, outcome: &Outcome) -> Vec<u8> {
        outcome.to_json(self.subprotocol, &self.spec.command)
    }
}

fn pipes_of(io: SpawnedIo) -> io::Result<Pipes> {
    match io {
        SpawnedIo::Pty(fd) => {
            let terminal = Arc::new(Descriptor::new(fd)?);
            Ok(Pipes {
                stdin: Some(Arc::clone(&terminal)),
                terminal: Some(Arc::clone(&terminal)),
                outputs: vec![(STDOUT, terminal)],
            })
        }
        SpawnedIo::Pipes { stdin, stdout, stderr } => {
            let open = |fd| Descriptor::new(fd).map(Arc::new);
            let outputs = [(STDOUT, stdout), (STDERR, stderr)];
            let outputs = outputs.into_iter().filter_map(|(channel, fd)| fd.map(|fd| Ok((channel, open(fd)?))));
            Ok(Pipes {
                stdin: stdin.map(open).transpose()?,
                terminal: None,
                outputs: outputs.collect::<io::Result<_>>()?,
            })
        }
    }
}

/// Reads one output to its end.
async fn pump_output(channel: u8, output: Arc<Descriptor>, frames: mpsc::Sender<Bytes>, mut freezer: Freezer) {
    let mut buffer = vec![0; 1 + READ_BYTES];
    buffer[0] = channel;
    loop {
        freezer.thawed().await;
        match output.read(&mut buffer[1..]).await {
            Ok(count) if count > 0 => {
                freezer.thawed().await;
                if frames.send(Bytes::copy_from_slice(&buffer[..=count])).await.is_err() {
                    return;
                }
            }
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "an exec's output cannot be read");
                return;
            }
        }
    }
}

/// Waits until no data came or went for so long.
async fn idle_for(limit: Option<Duration>, data: &Notify) {
    let Some(limit) = limit else { return std::future::pending().await };
    while tokio::time::timeout(limit, data.notified()).await.is_ok() {}
}

/// Sends all output, and gives back the exit code when the process and its output are at their end.
async fn send_output(
    sink: &mut Sink,
    mut frames: mpsc::Receiver<Bytes>,
    exit: oneshot::Receiver<i32>,
    data: &Notify,
) -> Result<i32, ClientGone> {
    while let Some(first) = frames.recv().await {
        data.notify_one();
        sink.feed(Message::Binary(first)).await.map_err(|_| ClientGone)?;
        while let Ok(next) = frames.try_recv() {
            sink.feed(Message::Binary(next)).await.map_err(|_| ClientGone)?;
        }
        sink.flush().await.map_err(|_| ClientGone)?;
    }
    exit.await.map_err(|_| ClientGone)
}

/// Sends the status, closes, and waits shortly for the client to do the same.
async fn finish(mut sink: Sink, mut source: SplitStream<Socket>, status: &[u8]) {
    let close = CloseFrame { code: CloseCode::Normal, reason: "".into() };
    let closing = async {
        sink.send(frame(STATUS, status)).await?;
        sink.send(Message::Close(Some(close))).await?;
        while source.next().await.is_some_and(|message| message.is_ok()) {}
        Ok::<_, tokio_tungstenite::tungstenite::Error>(())
    };
    if let Ok(Err(error)) = tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        tracing::debug!(%error, "an exec client went away before its status");
    }
}

/// What comes from the client.
struct Input {
    subprotocol: Subprotocol,
    stdin: Option<Arc<Descriptor>>,
    terminal: Option<Arc<Descriptor>>,
    freezer: Freezer,
}

impl Input {
    /// Takes messages until the client is gone. Dropping it closes stdin, if that is a pipe.
    async fn run(&mut self, source: &mut SplitStream<Socket>, data: &Notify) {
        while let Some(Ok(message)) = source.next().await {
            if message.is_binary() || message.is_text() {
                data.notify_one();
            }
            self.freezer.thawed().await;
            match message {
                Message::Binary(bytes) => self.take(&bytes).await,
                Message::Text(text) => self.take(text.as_bytes()).await,
                Message::Close(_) => return,
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => (),
            }
        }
    }

    /// Unknown channels, unreadable sizes and empty input mean nothing, as on a real server.
    async fn take(&mut self, message: &[u8]) {
        let Some((&channel, data)) = message.split_first() else { return };
        match channel {
            STDIN => self.write(data).await,
            RESIZE => self.resize(data),
            CLOSE if self.subprotocol == Subprotocol::V5 && data == [STDIN] => self.stdin = None,
            _ => (),
        }
    }

    async fn write(&mut self, data: &[u8]) {
        if let Some(stdin) = &self.stdin
            && let Err(error) = stdin.write_all(data).await
        {
            tracing::debug!(%error, "a process takes no more input");
            self.stdin = None;
        }
    }

    fn resize(&self, data: &[u8]) {
        if let (Some(terminal), Ok(size)) = (&self.terminal, serde_json::from_slice::<Resize>(data))
            && let Err(error) = terminal.resize(size.width, size.height)
        {
            tracing::debug!(%error, "a terminal takes no size");
        }
    }
}

fn frame(channel: u8, data: &[u8]) -> Message {
    Message::Binary([&[channel], data].concat().into())
}
