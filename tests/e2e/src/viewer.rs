//! A terminal client that behaves as the console's does: numbers its input, keeps what is not applied, drops what it has
//! seen, says what it has rendered, and comes back after every failure until the session has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::header::ORIGIN;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::api::{Api, ApiProblem, OpenedSession};

/// How long anything may take that a test waits for.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Input in one frame, in bytes.
const INPUT_FRAME_BYTES: usize = 16 * 1024;

/// Input that may be ahead of what was applied, in bytes.
const INPUT_WINDOW_BYTES: u64 = 256 * 1024;

/// A slow viewer renders a piece this often.
const RENDER_STEP: Duration = Duration::from_millis(20);

/// Such steps in a second.
const RENDER_STEPS: u64 = 50;

/// Between two attempts to come back.
const AGAIN: Duration = Duration::from_millis(100);

/// A connected terminal WebSocket.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What the viewer has seen so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Every output byte since the first, or since the last snapshot.
    pub output: Arc<Vec<u8>>,
    /// Offset of the first of them.
    pub offset: u64,
    /// How much longer the output was than what is there of it: an interrupt overtook the rest.
    pub left_out: u64,
    /// Output below this offset was rendered.
    pub rendered: u64,
    /// Input below this was applied.
    pub applied: u64,
    /// How often it was attached.
    pub attachments: u32,
    /// What the relay last said of the agent.
    pub agent: Option<String>,
    /// How many people watch, as the relay last said.
    pub observers: u64,
    /// What the relay last said of the session's life.
    pub life: Option<Value>,
    /// The end, once there was one.
    pub ended: Option<Value>,
    /// Why the last connection was lost, for reports.
    pub lost: Option<String>,
}

impl Seen {
    /// Offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.offset + self.output.len() as u64 + self.left_out
    }

    /// The output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// How fast a viewer renders what it gets, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// At once.
    AtOnce,
    /// So many bytes a second.
    BytesPerSecond(u64),
    /// Not at all, which stops the flow.
    Stopped,
}

enum Command {
    Type(Bytes),
    Send(Message),
    Cut,
    Reload,
    Rendering(Rendering),
    Sleep(oneshot::Receiver<()>),
}

/// A browser that is asleep until this is dropped.
#[derive(Debug)]
pub struct Nap(#[expect(dead_code, reason = "its end is what counts")] oneshot::Sender<()>);

/// A person at a terminal.
#[derive(Debug)]
pub struct Viewer {
    /// The session's id.
    pub session: String,
    commands: mpsc::Sender<Command>,
    seen: watch::Receiver<Seen>,
    /// Bytes typed by this writer.
    typed: AtomicU64,
    task: JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    /// Attaches to an opened session; returns when the relay has taken the ticket.
    pub async fn attach(api: Api, opened: OpenedSession) -> anyhow::Result<Self> {
        let (commands, receiver) = mpsc::channel(64);
        let (sender, seen) = watch::channel(Seen::default());
        let session = opened.id.clone();
        let client = Client {
            api,
            session: opened.id,
            writer: rand::random(),
            seen: sender,
            commands: receiver,
            begun: false,
            have: 0,
            rendering: Rendering::AtOnce,
            rendered: 0,
            unapplied: BytesMut::new(),
            applied: 0,
            sent: 0,
        };
        let task = tokio::spawn(client.run(Some(opened.ticket)));
        let mut viewer = Self { session, commands, seen, typed: AtomicU64::new(0), task };
        viewer.wait("being attached", |seen| seen.attachments > 0 || seen.ended.is_some()).await?;
        Ok(viewer)
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Types.
    pub async fn type_text(&self, text: &str) {
        self.type_bytes(Bytes::copy_from_slice(text.as_bytes())).await;
    }

    /// Types bytes.
    pub async fn type_bytes(&self, bytes: Bytes) {
        self.typed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.send(Command::Type(bytes)).await;
    }

    /// Sends a raw message.
    pub async fn send_raw(&self, message: Message) {
        self.send(Command::Send(message)).await;
    }

    /// Sends a control message.
    pub async fn send_json(&self, value: &Value) {
        self.send_raw(Message::text(value.to_string())).await;
    }

    /// Breaks the connection without a word; the viewer comes back by itself.
    pub async fn cut(&self) {
        self.send(Command::Cut).await;
    }

    /// What a reloaded tab does: a new writer that has seen nothing. What it sees then replaces what was seen.
    pub async fn reload(&self) {
        self.typed.store(0, Ordering::Relaxed);
        self.send(Command::Reload).await;
    }

    /// Renders at another pace from now on.
    pub async fn set_rendering(&self, rendering: Rendering) {
        self.send(Command::Rendering(rendering)).await;
    }

    /// What a computer does whose lid is closed: the connection stays open, and nobody reads or writes.
    pub async fn sleep(&self) -> Nap {
        let (awake, until) = oneshot::channel();
        self.send(Command::Sleep(until)).await;
        Nap(awake)
    }

    async fn send(&self, command: Command) {
        // An error means that the session has ended, which the test will see.
        let _ended = self.commands.send(command).await;
    }

    /// Waits until something was seen.
    pub async fn wait(&mut self, what: &str, until: impl FnMut(&Seen) -> bool) -> anyhow::Result<Seen> {
        if let Ok(Ok(seen)) = timeout(PATIENCE, self.seen.wait_for(until)).await {
            return Ok(seen.clone());
        }
        let seen = self.seen();
        let text = seen.text();
        let tail: String = text.chars().rev().take(600).collect::<Vec<_>>().into_iter().rev().collect();
        bail!(
            "waited in vain for {what}; ended: {:?}, agent: {:?}, the output ends in {tail:?}",
            seen.ended,
            seen.agent
        )
    }

    /// Waits for a text in the output.
    pub async fn wait_for(&mut self, text: &str) -> anyhow::Result<Seen> {
        let wanted = text.as_bytes().to_vec();
        self.wait(text, |seen| seen.output.windows(wanted.len()).any(|window| window == wanted)).await
    }

    /// Waits until everything that was typed was handed to the process.
    pub async fn all_applied(&mut self) -> anyhow::Result<()> {
        let typed = self.typed.load(Ordering::Relaxed);
        self.wait("the input to be applied", |seen| seen.applied >= typed).await.map(drop)
    }

    /// Runs a command line in the shell and returns what it printed, up to a mark that is printed after it.
    pub async fn run(&mut self, line: &str) -> anyhow::Result<String> {
        let from = self.seen().output.len();
        // The mark is put together by the shell, so that its echo is not taken for it.
        let mark = format!("end-{from}-of");
        self.type_text(&format!("{line}; echo end-{from}\"\"-of\r")).await;
        let wanted = mark.as_bytes().to_vec();
        let seen = self
            .wait(line, |seen| {
                seen.output.get(from..).is_some_and(|new| new.windows(wanted.len()).any(|w| w == wanted))
            })
            .await?;
        let text = String::from_utf8_lossy(&seen.output[from..]).into_owned();
        let printed = text.split(&mark).next().unwrap_or_default();
        // A line that is typed ahead of the prompt is echoed twice.
        let printed = printed.rsplit_once("-of\r\n").map_or(printed, |(_, printed)| printed);
        Ok(without_escapes(printed).trim().to_owned())
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> anyhow::Result<Value> {
        let seen = self.wait("the end", |seen| seen.ended.is_some()).await?;
        seen.ended.context("just seen")
    }
}

/// A text without carriage returns and the control sequences of a prompt.
pub fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\r' => {}
            '\u{1b}' if rest.next_if_eq(&'[').is_some() => {
                while rest.next().is_some_and(|parameter| !parameter.is_ascii_alphabetic()) {}
            }
            other => plain.push(other),
        }
    }
    plain
}

struct Client {
    api: Api,
    session: String,
    writer: u64,
    seen: watch::Sender<Seen>,
    commands: mpsc::Receiver<Command>,
    /// Whether a screen was ever begun: without one, nothing is claimed to be on it.
    begun: bool,
    have: u64,
    rendering: Rendering,
    rendered: u64,
    /// Input from `applied` on.
    unapplied: BytesMut,
    applied: u64,
    sent: u64,
}

enum Outcome {
    Again,
    Ended,
}

impl Client {
    async fn run(mut self, first: Option<String>) {
        let mut ticket = first;
        loop {
            let current = match ticket.take() {
                Some(ticket) => Ok(ticket),
                None => self.api.ticket(&self.session).await,
            };
            match current {
                Ok(ticket) => match self.live(&ticket).await {
                    Ok(Outcome::Ended) => return,
                    Ok(Outcome::Again) => {}
                    Err(error) => self.seen.send_modify(|seen| seen.lost = Some(format!("{error:#}"))),
                },
                Err(error) => {
                    if let Some(ApiProblem { status: 410, slug, detail }) = error.downcast_ref() {
                        let ended = json!({"cause": slug, "message": detail});
                        self.seen.send_modify(|seen| seen.ended = Some(ended));
                        return;
                    }
                }
            }
            sleep(AGAIN).await;
        }
    }

    async fn live(&mut self, ticket: &str) -> anyhow::Result<Outcome> {
        let mut socket = connect(&self.api, &self.session, self.api.base()).await?;
        let have = self.begun.then_some(self.have);
        socket.send(attach(ticket, self.writer, have)).await?;
        socket.send(window(self.rendering)).await?;
        let mut step = interval(RENDER_STEP);
        step.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = socket.next() => {
                    let Some(message) = message else { return Ok(Outcome::Again) };
                    match message? {
                        Message::Text(text) => {
                            if self.control(&serde_json::from_str(&text)?)? {
                                return Ok(Outcome::Ended);
                            }
                        }
                        Message::Binary(bytes) => self.binary(bytes)?,
                        Message::Close(frame) => bail!("closed: {frame:?}"),
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                    }
                    if self.rendering == Rendering::AtOnce {
                        self.render(self.have, &mut socket).await?;
                    }
                }
                command = self.commands.recv() => match command {
                    Some(Command::Type(bytes)) => self.unapplied.put_slice(&bytes),
                    Some(Command::Send(message)) => socket.feed(message).await?,
                    Some(Command::Cut) => return Ok(Outcome::Again),
                    Some(Command::Reload) => {
                        self.reload();
                        return Ok(Outcome::Again);
                    }
                    Some(Command::Sleep(until)) => drop(until.await),
                    Some(Command::Rendering(rendering)) => {
                        self.rendering = rendering;
                        socket.feed(window(rendering)).await?;
                        if rendering == Rendering::AtOnce {
                            self.render(self.have, &mut socket).await?;
                        }
                    }
                    None => return Ok(Outcome::Ended),
                },
                _ = step.tick(), if self.rendered < self.have => {
                    if let Rendering::BytesPerSecond(rate) = self.rendering {
                        let further = rate / RENDER_STEPS;
                        self.render(self.have.min(self.rendered + further), &mut socket).await?;
                    }
                }
            }
            if self.begun {
                self.send_input(&mut socket).await?;
            }
            socket.flush().await?;
        }
    }

    async fn render(&mut self, to: u64, socket: &mut Socket) -> anyhow::Result<()> {
        self.rendered = to;
        self.seen.send_modify(|seen| seen.rendered = to);
        socket.feed(frame(0x02, to, &[])).await?;
        Ok(())
    }

    fn reload(&mut self) {
        self.writer = rand::random();
        self.begun = false;
        (self.applied, self.sent) = (0, 0);
        self.unapplied.clear();
        self.seen.send_modify(|seen| seen.applied = 0);
    }

    async fn send_input(&mut self, socket: &mut Socket) -> anyhow::Result<()> {
        let end = self.applied + self.unapplied.len() as u64;
        let end = end.min(self.applied + INPUT_WINDOW_BYTES);
        while self.sent < end {
            let from = usize::try_from(self.sent - self.applied)?;
            let to = usize::try_from(end - self.applied)?.min(from + INPUT_FRAME_BYTES);
            socket.feed(frame(0x01, self.sent, &self.unapplied[from..to])).await?;
            self.sent += (to - from) as u64;
        }
        Ok(())
    }

    /// Returns whether the session has ended.
    fn control(&mut self, message: &Value) -> anyhow::Result<bool> {
        match message["type"].as_str().unwrap_or_default() {
            "attached" => {
                let output = message["output"].as_u64().context("no output offset")?;
                if self.begun {
                    ensure!(output <= self.have, "output would be missing: has {}, gets {output}", self.have);
                } else {
                    self.begin(output, &[]);
                }
                self.sent = message["input"].as_u64().context("no input offset")?.max(self.applied);
                self.seen.send_modify(|seen| seen.attachments += 1);
            }
            "resend" => self.sent = message["input"].as_u64().context("no input offset")?.max(self.applied),
            "agent" => {
                let state = message["state"].as_str().map(str::to_owned);
                self.seen.send_modify(|seen| seen.agent = state);
            }
            "observers" => {
                let count = message["count"].as_u64().unwrap_or_default();
                self.seen.send_modify(|seen| seen.observers = count);
            }
            "life" => self.seen.send_modify(|seen| seen.life = Some(message.clone())),
            "ended" => {
                self.seen.send_modify(|seen| seen.ended = Some(message.clone()));
                return Ok(true);
            }
            other => bail!("an unknown message: {other}"),
        }
        Ok(false)
    }

    fn binary(&mut self, mut message: Bytes) -> anyhow::Result<()> {
        ensure!(message.len() >= 9, "a short message");
        let (kind, offset) = (message.get_u8(), message.get_u64());
        match kind {
            0x11 => {
                ensure!(offset <= self.have, "a gap in the output: has {}, gets {offset}", self.have);
                let known = usize::try_from(self.have - offset)?;
                if known < message.len() {
                    let new = &message[known..];
                    self.have += new.len() as u64;
                    self.seen.send_modify(|seen| Arc::make_mut(&mut seen.output).extend_from_slice(new));
                }
            }
            0x12 => {
                let applied = offset.min(self.applied + self.unapplied.len() as u64);
                if applied > self.applied {
                    self.unapplied.advance(usize::try_from(applied - self.applied)?);
                    self.applied = applied;
                    self.sent = self.sent.max(applied);
                    self.seen.send_modify(|seen| seen.applied = applied);
                }
            }
            0x13 => self.begin(offset, &message),
            0x14 => {
                ensure!(offset >= self.have + message.len() as u64, "more is drawn than was left out");
                let left_out = offset - self.have - message.len() as u64;
                self.have = offset;
                self.rendered += left_out;
                self.seen.send_modify(|seen| {
                    Arc::make_mut(&mut seen.output).extend_from_slice(&message);
                    seen.left_out += left_out;
                });
            }
            other => bail!("an unknown kind: {other}"),
        }
        Ok(())
    }

    fn begin(&mut self, offset: u64, screen: &[u8]) {
        self.begun = true;
        (self.have, self.rendered) = (offset, offset);
        self.seen.send_modify(|seen| {
            seen.rendered = offset;
            seen.output = Arc::new(screen.to_vec());
            seen.offset = offset;
            seen.left_out = 0;
        });
    }
}

/// Opens a terminal WebSocket with the given `Origin`.
pub async fn connect(api: &Api, session: &str, origin: &str) -> anyhow::Result<Socket> {
    connect_with(api, session, origin, &[]).await
}

/// The same with more headers.
pub async fn connect_with(
    api: &Api,
    session: &str,
    origin: &str,
    headers: &[(&'static str, &str)],
) -> anyhow::Result<Socket> {
    let url = format!("{}/api/v1/sessions/{session}/terminal", api.base().replacen("http", "ws", 1));
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(ORIGIN, origin.parse()?);
    let (name, credential) = api.credential();
    request.headers_mut().insert(name, credential.parse()?);
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse()?);
    }
    // Browsers do not let small messages wait for each other either (`TCP_NODELAY`).
    let connecting = connect_async_with_config(request, None, true);
    let (socket, _response) = timeout(PATIENCE, connecting).await??;
    Ok(socket)
}

/// The first message of a viewer.
pub fn attach(ticket: &str, writer: u64, have: Option<u64>) -> Message {
    let attach = json!({
        "type": "attach", "ticket": ticket, "writer": format!("{writer:016x}"), "have": have, "columns": 80, "rows": 24,
    });
    Message::text(attach.to_string())
}

/// A binary message.
pub fn frame(kind: u8, offset: u64, bytes: &[u8]) -> Message {
    let mut message = BytesMut::with_capacity(9 + bytes.len());
    message.put_u8(kind);
    message.put_u64(offset);
    message.put_slice(bytes);
    Message::Binary(message.freeze())
}

/// Asks for the window that suits a pace: what is rendered within a tenth of a second, as the console does.
pub fn window(rendering: Rendering) -> Message {
    let bytes = match rendering {
        Rendering::AtOnce | Rendering::Stopped => 256 * 1024,
        Rendering::BytesPerSecond(rate) => rate / 10,
    };
    Message::text(json!({ "type": "window", "bytes": bytes }).to_string())
}
