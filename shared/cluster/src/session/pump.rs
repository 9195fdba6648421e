//! Carries a session's messages between its stream and its holder: one task for each direction, neither waits for the other.

use std::time::{Duration, Instant};

use podlatch_link::framing::{FrameReader, FrameWriter};
use podlatch_link::stream::{RecvHalf, SendHalf};
use podlatch_podexec::holder::Link;
use podlatch_protocol::close::Refusal;
use podlatch_protocol::codec;
use podlatch_protocol::frame::{self, FrameKind};
use podlatch_protocol::request::ReapReply;
use podlatch_protocol::session::{ToAgent, ToRelay};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::priority::{Demotion, Priority};
use super::refused;

/// Messages to the relay that may wait for the stream.
const TO_RELAY: usize = 8;
/// Messages from the relay that may wait for the holder, which always takes them.
const FROM_RELAY: usize = 64;
/// Frames that are gathered for one write: fewer, larger packets in a flood.
const GATHER_BYTES: usize = 64 * 1024;
/// How long a peer may take to read an answer that ends its stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A running pump, before the holder has taken its link.
pub(super) struct Pump {
    to_relay: mpsc::Sender<ToRelay>,
}

/// Starts both directions. They end when the stream or the holder does.
pub(super) fn start(send: SendHalf, recv: RecvHalf, tracker: &TaskTracker) -> (Link, Pump) {
    let (to_relay, outgoing) = mpsc::channel(TO_RELAY);
    let (incoming, from_relay) = mpsc::channel(FROM_RELAY);
    tracker.spawn(write(send, outgoing));
    tracker.spawn(read(recv, incoming));
    (Link { to_relay: to_relay.clone(), from_relay }, Pump { to_relay })
}

impl Pump {
    /// Answers with a refusal and ends the stream. Cancel safe.
    pub(super) async fn refuse(self, refusal: Refusal) {
        // An error means that the relay has gone, and nobody waits for the answer.
        let _gone = timeout(ANSWER_TIMEOUT, self.to_relay.send(refused(refusal))).await;
    }
}

/// Answers a stream with a refusal. Cancel safe.
pub(super) async fn refuse(send: SendHalf, refusal: Refusal) {
    let mut writer = FrameWriter::new(send);
    if refused(refusal).put(writer.buffer()).is_ok() {
        finish(writer).await;
    }
}

/// Answers a reaping. Cancel safe.
pub(super) async fn answer_reap(send: SendHalf, reply: &ReapReply) {
    let mut writer = FrameWriter::new(send);
    if let Ok(body) = codec::encode(reply) {
        frame::put(writer.buffer(), FrameKind::REAP_REPLY, &body);
        finish(writer).await;
    }
}

async fn finish(mut writer: FrameWriter<SendHalf>) {
    if let Ok(Ok(())) = timeout(ANSWER_TIMEOUT, writer.flush()).await {
        // Fails only where the stream is closed already.
        let _closed = writer.get_mut().finish();
    }
}

async fn write(send: SendHalf, mut outgoing: mpsc::Receiver<ToRelay>) {
    let mut writer = FrameWriter::new(send);
    let mut demotion = Demotion::new(Instant::now());
    // Fails only where the stream is closed already, which the first flush reports.
    let _closed = writer.get_mut().set_priority(Priority::Interactive.value());
    while let Some(first) = outgoing.recv().await {
        let mut next = Some(first);
        while let Some(message) = next {
            if let Err(error) = message.put(writer.buffer()) {
                warn!(%error, "a message was too large to be sent");
                return;
            }
            next = if writer.buffer().len() < GATHER_BYTES { outgoing.try_recv().ok() } else { None };
        }
        if let Some(priority) = demotion.handle_sent(writer.buffer().len(), Instant::now()) {
            let _closed = writer.get_mut().set_priority(priority.value());
        }
        if let Err(error) = writer.flush().await {
            debug!(%error, "a session's stream ended");
            return;
        }
    }
    let _closed = writer.get_mut().finish();
}

async fn read(recv: RecvHalf, incoming: mpsc::Sender<ToAgent>) {
    let mut reader = FrameReader::new(recv);
    loop {
        let frame = match reader.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => return debug!(%error, "a session's stream ended"),
        };
        match ToAgent::decode(frame) {
            Ok(Some(message)) => {
                if incoming.send(message).await.is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(error) => return warn!(%error, "a session's stream is closed because the relay broke the protocol"),
        }
    }
}
