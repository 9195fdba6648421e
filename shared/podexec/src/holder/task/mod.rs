//! The holder's owner task: waits for what comes from either side, and does what the holder decides.

mod dying;
mod uplink;

use std::future::Future;
use std::time::Instant;

use bytes::Bytes;
use kube::Client;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::id::WriterId;
use podlatch_protocol::request::AfterExit;
use podlatch_protocol::session::{Opened, ToAgent, ToRelay};
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;

use self::dying::{Dying, progress};
use self::uplink::{Uplink, receive};
use super::halves::Halves;
use super::handle::{Command, HolderHandle, Link};
use super::start::{Opening, start};
use super::{Due, Holder};
use crate::cluster::Cluster;
use crate::exec::{ProcessEnd, ReadEvent};
use crate::reap::Remains;

/// Why a process could not be started.
pub type OpenError = Refusal;

/// A holder that is ready to run.
pub struct Started {
    /// Talks to the task.
    pub handle: HolderHandle,
    /// UID of the pod that the process runs in.
    pub pod_uid: String,
    /// The task; to be spawned by the caller, who tracks it.
    pub task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Starts a process and prepares its holder, if Kubernetes allows it to who asks. The link gets `Opened` first. Helper tasks are
/// spawned on `tracker`. Not cancel safe: a cancelled start may leave a process behind.
pub async fn open(cluster: &Cluster, opening: Opening, link: Link, tracker: TaskTracker) -> Result<Started, OpenError> {
    let (resolved, process) = start(cluster, &opening).await?;
    let Opening { open: request, debug, .. } = opening;
    let (commands_tx, commands) = mpsc::channel(4);
    let Halves { events, stdin, resize, written } =
        Halves::start(process.reader, process.writer, request.size, &tracker);
    let mut holder = Holder::new(request.grace, request.credit, request.lease, Instant::now());
    holder.handle_output(process.first_output);
    let pod_uid = resolved.pod_uid.clone();
    let opened =
        Opened { container: resolved.container.clone(), pod_uid: resolved.pod_uid.clone(), process: process.id };
    let owner = Owner {
        holder,
        remains: Remains {
            session: request.session,
            process: process.id,
            namespace: request.target.namespace,
            pod: request.target.pod,
            container: resolved.container,
        },
        pod_uid: resolved.pod_uid,
        // A debug container ends when its processes are ended, and by nothing else.
        after_exit: if debug.is_some() { AfterExit::EndAll } else { request.after_exit },
        client: cluster.own().clone(),
        tracker,
        commands,
        uplink: Uplink::new(link, vec![ToRelay::Opened(opened)]),
        events,
        stdin: Some(stdin),
        resize,
        written,
        dying: None,
        process_end: None,
    };
    Ok(Started { handle: HolderHandle { commands: commands_tx }, pod_uid, task: Box::pin(owner.run()) })
}

struct Owner {
    holder: Holder,
    remains: Remains,
    pod_uid: String,
    after_exit: AfterExit,
    client: Client,
    tracker: TaskTracker,
    commands: mpsc::Receiver<Command>,
    uplink: Uplink,
    events: mpsc::Receiver<ReadEvent>,
    /// Gone when the process has ended.
    stdin: Option<mpsc::Sender<(WriterId, Bytes)>>,
    resize: watch::Sender<TerminalSize>,
    written: mpsc::Receiver<(WriterId, u64)>,
    dying: Option<Dying>,
    process_end: Option<ProcessEnd>,
}

/// What the owner woke up for.
enum Wake {
    Command(Option<Command>),
    FromRelay(Option<ToAgent>),
    MaySend,
    Process(Option<ReadEvent>),
    MayType,
    Written(WriterId, u64),
    Time,
    Dying,
}

/// What a step of the owner leads to.
#[derive(PartialEq, Eq)]
enum Next {
    GoOn,
    Forget,
}

impl Owner {
    async fn run(mut self) {
        while self.step().await == Next::GoOn {}
    }

    /// Waits for one thing and deals with it.
    async fn step(&mut self) -> Next {
        if let Some(size) = self.holder.next_resize() {
            self.resize.send_replace(size);
        }
        match self.wake().await {
            Wake::Command(Some(Command::Attach { have, credit, link })) => self.attach(have, credit, link),
            Wake::Command(Some(Command::End(cause))) => self.end(cause),
            // Every handle is gone: nobody can attach any more.
            Wake::Command(None) => return Next::Forget,
            Wake::FromRelay(Some(message)) => return self.handle(message),
            Wake::FromRelay(None) => self.detach(),
            Wake::MaySend => self.send(),
            Wake::Process(event) => self.handle_event(event).await,
            Wake::MayType => self.type_on(),
            Wake::Written(writer, length) => {
                let applied = self.holder.input_written(writer, length);
                self.uplink.note_applied(applied, Instant::now());
            }
            Wake::Time => return self.handle_time(Instant::now()),
            Wake::Dying => self.finish_dying(),
        }
        Next::GoOn
    }

    /// Cancel safe: every branch is.
    async fn wake(&mut self) -> Wake {
        let reading = self.process_end.is_none() && (self.holder.may_read() || self.dying.is_some());
        let now = Instant::now();
        let sending = self.has_something_to_send(now);
        let typing = self.holder.has_input(now) && self.stdin.is_some();
        let deadline = self.holder.deadline().into_iter().chain(self.uplink.deadline()).min();
        tokio::select! {
            command = self.commands.recv() => Wake::Command(command),
            message = receive(&mut self.uplink.from_relay) => Wake::FromRelay(message),
            () = room(self.uplink.to_relay.as_ref()), if sending => Wake::MaySend,
            event = self.events.recv(), if reading => Wake::Process(event),
            () = room(self.stdin.as_ref()), if typing => Wake::MayType,
            Some((writer, length)) = self.written.recv() => Wake::Written(writer, length),
            () = until(deadline) => Wake::Time,
            () = progress(&mut self.dying), if self.dying.is_some() => Wake::Dying,
        }
    }

    fn has_something_to_send(&self, now: Instant) -> bool {
        let waiting = self.uplink.has_notice() || self.holder.has_output(now) || self.holder.has_end_to_report();
        self.uplink.is_attached() && waiting
    }

    /// Sends as much as there is room for.
    fn send(&mut self) {
        let Some(to_relay) = self.uplink.to_relay.clone() else {
            return;
        };
        let now = Instant::now();
        while self.has_something_to_send(now) {
            match to_relay.try_reserve() {
                Ok(permit) => {
                    if let Some(message) = self.next_message(now) {
                        permit.send(message);
                    }
                }
                Err(mpsc::error::TrySendError::Full(())) => return,
                Err(mpsc::error::TrySendError::Closed(())) => return self.detach(),
            }
        }
    }

    /// The next message for the relay, the most urgent first.
    fn next_message(&mut self, now: Instant) -> Option<ToRelay> {
        if let Some(notice) = self.uplink.next_notice() {
            return Some(notice);
        }
        if let Some(output) = self.holder.next_output(now) {
            self.uplink.tell_applied();
            return Some(ToRelay::Output(output));
        }
        self.holder.next_end().map(ToRelay::Ended)
    }

    /// Hands the next input to the writing half.
    fn type_on(&mut self) {
        let Some(stdin) = self.stdin.clone() else {
            return;
        };
        match stdin.try_reserve() {
            Ok(permit) => {
                if let Some(input) = self.holder.next_input(Instant::now()) {
                    permit.send(input);
                }
            }
            Err(mpsc::error::TrySendError::Full(())) => {}
            Err(mpsc::error::TrySendError::Closed(())) => self.stdin = None,
        }
    }

    fn handle(&mut self, message: ToAgent) -> Next {
        match message {
            ToAgent::Input(input) => {
                // Duplicates and gaps are a reconnect's ordinary leftovers; the sender's next position is in `Attached`.
                let _ignored = self.holder.handle_input(input);
            }
            ToAgent::Resize(size) => self.holder.handle_resize(size),
            ToAgent::Recorded(offset) => self.holder.handle_recorded(offset),
            ToAgent::Credit(limit) => self.holder.handle_credit(limit),
            ToAgent::Lease(lease) => self.holder.handle_lease(lease, Instant::now()),
            // After the end, this says that the end was understood.
            ToAgent::Close(_) if self.holder.has_ended() => return Next::Forget,
            ToAgent::Close(cause) => self.end(cause),
        }
        Next::GoOn
    }

    fn attach(&mut self, have: u64, credit: u64, link: Link) {
        self.uplink.forget_notices();
        match self.holder.attach(have, credit) {
            Ok(attached) => {
                let mut first = vec![ToRelay::Attached(attached)];
                first.extend(self.holder.applied_inputs().into_iter().map(ToRelay::InputApplied));
                self.uplink = Uplink::new(link, first);
            }
            Err(error) => {
                let refusal = Refusal::new(RefusalCode::BadRequest, error.to_string());
                // The channel is new and empty; the other end may be gone already, which is as good.
                let _gone = link.to_relay.try_send(ToRelay::Refused(refusal));
            }
        }
    }

    fn detach(&mut self) {
        self.uplink.detach();
        self.holder.detach(Instant::now());
    }

    fn handle_time(&mut self, now: Instant) -> Next {
        self.uplink.handle_time(now);
        match self.holder.handle_timeout(now) {
            Due::Nothing => {}
            Due::End(cause) => self.end(cause),
            Due::Forget => return Next::Forget,
        }
        Next::GoOn
    }
}

/// Returns when the channel has room, or is closed. The owner is its only sender, so the room stays.
async fn room<T>(sender: Option<&mpsc::Sender<T>>) {
    match sender {
        Some(sender) => drop(sender.reserve().await),
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
