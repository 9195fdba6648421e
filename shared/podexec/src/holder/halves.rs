//! The two helpers of a holder's task, one for each direction of the exec connection.

use bytes::Bytes;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::TaskTracker;

use crate::exec::{AWAKE_INTERVAL, ExecReader, ExecWriter, ReadEvent};

/// The owner's ends of both. The helpers end when these are dropped.
pub(super) struct Halves {
    pub(super) events: mpsc::Receiver<ReadEvent>,
    pub(super) stdin: mpsc::Sender<(WriterId, Bytes)>,
    pub(super) resize: watch::Sender<TerminalSize>,
    /// Whose input was written, and how many bytes of it.
    pub(super) written: mpsc::Receiver<(WriterId, u64)>,
}

impl Halves {
    /// Starts both helpers, for a terminal that has this size.
    pub(super) fn start(reader: ExecReader, writer: ExecWriter, size: TerminalSize, tracker: &TaskTracker) -> Self {
        let (events_tx, events) = mpsc::channel(4);
        let (stdin, stdin_rx) = mpsc::channel(1);
        let (resize, resize_rx) = watch::channel(size);
        let (written_tx, written) = mpsc::channel(4);
        tracker.spawn(read(reader, events_tx));
        tracker.spawn(write(writer, stdin_rx, resize_rx, written_tx));
        Self { events, stdin, resize, written }
    }
}

/// Reads the process until its end. Waits, and so stops reading, while the owner does not take.
async fn read(mut reader: ExecReader, events: mpsc::Sender<ReadEvent>) {
    loop {
        let event = reader.next().await;
        let last = matches!(event, ReadEvent::End(_));
        if events.send(event).await.is_err() || last {
            return;
        }
    }
}

/// Writes input and sizes, and keeps the connection awake, until the owner is gone or the connection breaks.
async fn write(
    mut writer: ExecWriter,
    mut stdin: mpsc::Receiver<(WriterId, Bytes)>,
    mut resize: watch::Receiver<TerminalSize>,
    written: mpsc::Sender<(WriterId, u64)>,
) {
    let mut awake = interval(AWAKE_INTERVAL);
    awake.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let result = tokio::select! {
            input = stdin.recv() => {
                let Some((id, bytes)) = input else { return };
                let result = writer.input(&bytes).await;
                if result.is_ok() && written.send((id, bytes.len() as u64)).await.is_err() {
                    return;
                }
                result
            }
            Ok(()) = resize.changed() => {
                let size = *resize.borrow_and_update();
                writer.resize(size).await
            }
            _ = awake.tick() => writer.keep_awake().await,
        };
        if result.is_err() {
            // The reading half sees the same break and reports it.
            return;
        }
    }
}
