//! A session's stream to its agent: opened or re-attached here, read by a task of its own that records what it reads.

use std::time::Duration;

use bytes::Bytes;
use podlatch_link::framing::{FrameReader, FrameWriter, ReadError};
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::frame::{Frame, FrameKind};
use podlatch_protocol::identity::Identity;
use podlatch_protocol::limits::DEBUG_START;
use podlatch_protocol::request::{Attach, MarkNonce, OpenExact, OpenWith, Reap, ReapReply, Request};
use podlatch_protocol::session::{Attached, Cleanup, Ended, InputApplied, Opened, Output, ToRelay};
use quinn::VarInt;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::commands;
use super::describe::knows_labels;
use super::marks::{Held, MarkFilter, Passed};
use crate::clock::Clock;
use crate::recording::{Piece, Recording};
use crate::tunnel::AgentHandle;

/// How long an agent may take to start a process: the container's own limit is 20 s, and the pod is looked up first.
const OPEN_TIMEOUT: Duration = Duration::from_secs(35);

/// How long an agent may take to hand a session over.
const ATTACH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an agent may take to kill what is left: five seconds, and the way there and back.
const REAP_TIMEOUT: Duration = Duration::from_secs(8);

/// How long output that may be the beginning of a mark is held back, where programs write the same: a moment that nobody
/// sees, and longer than the parts of one write are apart.
const HELD_PERHAPS: Duration = Duration::from_millis(50);

/// The same, where nobody but a shell with marks writes it.
const HELD_SURELY: Duration = Duration::from_secs(10);

/// The code of a stream that the relay breaks off. Agents look at none.
const BROKEN_OFF: VarInt = VarInt::from_u32(0);

/// News from the stream that may wait for the owner.
const NEWS: usize = 16;

/// The writing half, with its news.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) writer: FrameWriter<SendHalf>,
    pub(super) news: mpsc::Receiver<News>,
}

impl Link {
    /// Takes back what was sent and has not arrived. Output still comes until the agent ends the stream.
    pub(super) fn break_off(&mut self) {
        self.writer.buffer().clear();
        // Fails only where the stream is over already.
        let _over = self.writer.get_mut().reset(BROKEN_OFF);
    }
}

/// What the owner hears of the stream.
#[derive(Debug)]
pub(super) enum News {
    Applied(InputApplied),
    Ended(Ended),
    /// The stream is over; nothing more is recorded from it. Output below `received`, a source offset, was submitted to the
    /// recording. Always the last.
    Closed {
        received: u64,
        fault: Option<Fault>,
    },
}

/// Why a stream must not be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The agent broke the protocol.
    Protocol,
    /// Output is missing.
    Gap,
}

/// Asks the agent to start the process; with a UID, in that very pod.
pub(super) async fn open(
    agent: &AgentHandle,
    with: OpenWith,
    pod_uid: Option<String>,
) -> Result<(Opened, HalfOpen), Refusal> {
    let limit = if with.debug.is_some() { OPEN_TIMEOUT + DEBUG_START } else { OPEN_TIMEOUT };
    // What every agent understands is asked in the way that every agent understands.
    let request = match (with, pod_uid) {
        (open, Some(pod_uid)) => {
            // Another replica may have said what the pod is.
            knows_labels(agent)?;
            Request::OpenExact(Box::new(OpenExact { open, pod_uid }))
        }
        (OpenWith { open, identity: Identity::Agent, debug: None }, None) => Request::Open(open),
        (with, None) => Request::OpenWith(Box::new(with)),
    };
    let (first, half) = ask(agent, request, limit).await?;
    match first {
        ToRelay::Opened(opened) => Ok((opened, half)),
        ToRelay::Refused(refusal) => Err(refusal),
        _ => Err(senseless(&"it answered with something else")),
    }
}

/// Asks the agent to hand the session over.
pub(super) async fn attach(agent: &AgentHandle, attach: Attach) -> Result<(Attached, HalfOpen), Refusal> {
    let (first, half) = ask(agent, Request::Attach(attach), ATTACH_TIMEOUT).await?;
    match first {
        ToRelay::Attached(attached) => Ok((attached, half)),
        ToRelay::Refused(refusal) => Err(refusal),
        _ => Err(senseless(&"it answered with something else")),
    }
}

/// Asks the agent to kill what a session left behind.
pub(super) async fn reap(agent: &AgentHandle, reap: Reap) -> Cleanup {
    let answer = timeout(REAP_TIMEOUT, async {
        let (_writer, mut reader) = agent.request(&Request::Reap(reap)).await.ok()?;
        let frame = reader.next().await.ok()??;
        (frame.kind == FrameKind::REAP_REPLY).then_some(())?;
        codec::decode::<ReapReply>(&frame.body).ok()
    });
    answer.await.ok().flatten().map_or(Cleanup::Unconfirmed, |reply| reply.cleanup)
}

/// A stream whose first answer was taken.
#[derive(Debug)]
pub(super) struct HalfOpen {
    writer: FrameWriter<SendHalf>,
    reader: FrameReader<RecvHalf>,
}

async fn ask(agent: &AgentHandle, request: Request, limit: Duration) -> Result<(ToRelay, HalfOpen), Refusal> {
    let answer = timeout(limit, async {
        let (writer, mut reader) =
            agent.request(&request).await.map_err(|error| Refusal::new(error.refusal(), error.to_string()))?;
        loop {
            let frame = reader.next().await.map_err(|error| match error {
                ReadError::Oversized(_) => senseless(&error),
                ReadError::Truncated | ReadError::Io(_) => Refusal::new(RefusalCode::AgentOffline, error.to_string()),
            })?;
            let frame =
                frame.ok_or_else(|| Refusal::new(RefusalCode::AgentOffline, "the stream ended without an answer"))?;
            if let Some(message) = ToRelay::decode(frame).map_err(|error| senseless(&error))? {
                return Ok((message, HalfOpen { writer, reader }));
            }
        }
    });
    let too_late = || Err(Refusal::new(RefusalCode::AgentTimeout, ""));
    tokio::select! {
        answer = answer => answer.unwrap_or_else(|_| too_late()),
        // Known sooner than by waiting: nobody is kept before an agent that is gone.
        () = agent.falls_silent() => too_late(),
    }
}

fn senseless(error: &dyn std::fmt::Display) -> Refusal {
    warn!(%error, "an agent broke the protocol in its first answer");
    Refusal::new(RefusalCode::AgentProtocol, "")
}

impl HalfOpen {
    /// Starts the reading task, which expects output from the source offset `next` on, and takes the marks of the session's
    /// shell out of it.
    pub(super) fn start(
        self,
        (recording, next): (Recording, u64),
        marks: Option<MarkNonce>,
        clock: Clock,
        tracker: &TaskTracker,
    ) -> Link {
        let (news, receiver) = mpsc::channel(NEWS);
        let filter = MarkFilter::new(marks, next);
        let reading = Reading { reader: self.reader, recording, next, filter, passed: Vec::new(), clock, news };
        tracker.spawn(reading.run());
        Link { writer: self.writer, news: receiver }
    }
}

struct Reading {
    reader: FrameReader<RecvHalf>,
    recording: Recording,
    /// Output below this source offset was read.
    next: u64,
    filter: MarkFilter,
    passed: Vec<Passed>,
    clock: Clock,
    news: mpsc::Sender<News>,
}

impl Reading {
    async fn run(mut self) {
        let fault = self.read_all().await;
        // An error means that the owner is gone.
        // What is held back is asked for again.
        let _over = self.news.send(News::Closed { received: self.filter.source(), fault }).await;
    }

    async fn read_all(&mut self) -> Option<Fault> {
        loop {
            let frame = match self.next_frame().await {
                Ok(Some(Woken::Frame(frame))) => frame,
                Ok(Some(Woken::HeldLongEnough)) => {
                    if let Err(fault) = self.release().await {
                        return fault;
                    }
                    continue;
                }
                Err(ReadError::Oversized(error)) => {
                    warn!(%error, "an agent broke the protocol on a session's stream");
                    return Some(Fault::Protocol);
                }
                Ok(None) | Err(ReadError::Truncated | ReadError::Io(_)) => return None,
            };
            let news = match ToRelay::decode(frame) {
                Ok(Some(ToRelay::Output(output))) => {
                    if let Err(fault) = self.record(output).await {
                        return fault;
                    }
                    continue;
                }
                Ok(Some(ToRelay::InputApplied(applied))) => News::Applied(applied),
                Ok(Some(ToRelay::Ended(ended))) => {
                    if let Err(fault) = self.release().await {
                        return fault;
                    }
                    News::Ended(ended)
                }
                Ok(Some(ToRelay::Opened(_) | ToRelay::Attached(_) | ToRelay::Refused(_))) | Err(_) => {
                    warn!("an agent broke the protocol on a session's stream");
                    return Some(Fault::Protocol);
                }
                Ok(None) => continue,
            };
            if self.news.send(news).await.is_err() {
                return None;
            }
        }
    }

    /// The next frame, unless something is held back for long enough by then.
    async fn next_frame(&mut self) -> Result<Option<Woken>, ReadError> {
        let limit = match self.filter.held() {
            Held::Nothing => return Ok(self.reader.next().await?.map(Woken::Frame)),
            Held::Perhaps => HELD_PERHAPS,
            Held::Surely => HELD_SURELY,
        };
        match timeout(limit, self.reader.next()).await {
            Ok(frame) => Ok(frame?.map(Woken::Frame)),
            Err(_) => Ok(Some(Woken::HeldLongEnough)),
        }
    }

    /// Records what is new of a piece of output. The error is how the stream ends.
    async fn record(&mut self, output: Output) -> Result<(), Option<Fault>> {
        let Some(known) = self.next.checked_sub(output.offset) else {
            warn!(expected = self.next, offset = output.offset, "output is missing on a session's stream");
            return Err(Some(Fault::Gap));
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        if known >= output.bytes.len() {
            return Ok(());
        }
        let bytes = output.bytes.slice(known..);
        self.next += bytes.len() as u64;
        self.filter.push(bytes, &mut self.passed);
        self.record_passed().await
    }

    /// Records what was held back as the output that it is.
    async fn release(&mut self) -> Result<(), Option<Fault>> {
        self.filter.release(&mut self.passed);
        self.record_passed().await
    }

    async fn record_passed(&mut self) -> Result<(), Option<Fault>> {
        let at = self.clock.now();
        for passed in self.passed.drain(..) {
            let recorded = match passed {
                Passed::Output { bytes, source_end } => self.recording.append(Piece { bytes, source_end, at }).await,
                Passed::Mark { mark: Some(mark), source_end } => {
                    self.recording.mark(commands::record(mark), source_end, at).await
                }
                Passed::Mark { mark: None, source_end } => {
                    self.recording.append(Piece { bytes: Bytes::new(), source_end, at }).await
                }
            };
            // A recording that fails says so to the owner; one whose writer is gone means that the relay ends.
            recorded.map_err(|_| None)?;
        }
        Ok(())
    }
}

/// What ended a wait for the agent.
enum Woken {
    Frame(Frame),
    HeldLongEnough,
}
