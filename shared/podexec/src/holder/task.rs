//! The holder's owner task and its two helpers, one for each direction of the exec connection.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use podlatch_protocol::close::{EndCause, Refusal, RefusalCode};
use podlatch_protocol::debug::DebugImage;
use podlatch_protocol::id::WriterId;
use podlatch_protocol::request::{AfterExit, Open, Program};
use podlatch_protocol::session::{Cleanup, ExitOutcome, InputApplied, Opened, ToAgent, ToRelay};
use podlatch_protocol::terminal::TerminalSize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::{Due, Holder};
use crate::cluster::{Acting, Cluster};
use crate::debug;
use crate::exec::{self, ExecReader, ExecRequest, ExecWriter, PING_INTERVAL, ProcessEnd, ReadEvent, Streams};
use crate::pod::{self, ResolvedContainer};
use crate::prelude::{self, Filter, Filtered, Report};
use crate::reap::{self, Remains};
use crate::review::{Purpose, review};

/// How long the container may take from the upgrade to the prelude's report.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the last output of a killed process is waited for.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// How long the API server may take to say whether the pod is still there.
const POD_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the news that input was read may wait for output to travel with. An echo mostly follows at once, and two messages
/// would wake every station of the way twice for each keystroke. Well below the time in which a writer fills its window.
const APPLIED_DELAY: Duration = Duration::from_millis(5);

/// Why a process could not be started.
pub type OpenError = Refusal;

/// One relay's end of the session: what it gets and what it sends. Dropping it detaches.
#[derive(Debug)]
pub struct Link {
    /// To the relay. Bounded; when it is full, output waits and nothing else does.
    pub to_relay: mpsc::Sender<ToRelay>,
    /// From the relay.
    pub from_relay: mpsc::Receiver<ToAgent>,
}

/// Talks to a holder's task. Cheap to clone; the holder lives on without it.
#[derive(Debug, Clone)]
pub struct HolderHandle {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Attach { have: u64, credit: u64, link: Link },
    End(EndCause),
}

impl HolderHandle {
    /// Hands the session over to a new link, which gets `Attached` or `Refused` first. Returns the link if the session is
    /// already forgotten. Cancel safe.
    pub async fn attach(&self, have: u64, credit: u64, link: Link) -> Result<(), Link> {
        match self.commands.send(Command::Attach { have, credit, link }).await {
            Err(mpsc::error::SendError(Command::Attach { link, .. })) => Err(link),
            Ok(()) | Err(mpsc::error::SendError(Command::End(_))) => Ok(()),
        }
    }

    /// Ends the session with its processes; the first cause stands. Cancel safe.
    pub async fn end(&self, cause: EndCause) {
        // An error means that the session is forgotten, which is what was asked for.
        let _forgotten = self.commands.send(Command::End(cause)).await;
    }

    /// Returns when the session is forgotten. Cancel safe.
    pub async fn forgotten(&self) {
        self.commands.closed().await;
    }
}

/// A holder that is ready to run.
pub struct Started {
    /// Talks to the task.
    pub handle: HolderHandle,
    /// UID of the pod that the process runs in.
    pub pod_uid: String,
    /// The task; to be spawned by the caller, who tracks it.
    pub task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What to open, as whom, and where; whoever asks was found to be allowed it.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What to start.
    pub open: Open,
    /// As whom Kubernetes is asked.
    pub acting: Acting,
    /// Starts it in a container of this image, which is added to the pod beside the target's container.
    pub debug: Option<DebugImage>,
    /// Starts it in the pod of this UID and in no other of its name.
    pub pod_uid: Option<String>,
}

/// Starts a process and prepares its holder, if Kubernetes allows it to who asks. The link gets `Opened` first. Helper tasks are
/// spawned on `tracker`. Not cancel safe: a cancelled start may leave a process behind.
pub async fn open(cluster: &Cluster, opening: Opening, link: Link, tracker: TaskTracker) -> Result<Started, OpenError> {
    let (resolved, process) = start(cluster, &opening).await?;
    let Opening { open: request, debug, .. } = opening;
    let (commands_tx, commands) = mpsc::channel(4);
    let (events_tx, events) = mpsc::channel(4);
    let (stdin, stdin_rx) = mpsc::channel(1);
    let (resize, resize_rx) = watch::channel(request.size);
    let (written_tx, written) = mpsc::channel(4);
    tracker.spawn(read(process.reader, events_tx));
    tracker.spawn(write(process.writer, stdin_rx, resize_rx, written_tx));
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
        to_relay: Some(link.to_relay),
        from_relay: Some(link.from_relay),
        notices: vec![ToRelay::Opened(opened)],
        applied: Vec::new(),
        applied_due: None,
        events,
        stdin: Some(stdin),
        resize,
        written,
        dying: None,
        process_end: None,
    };
    Ok(Started { handle: HolderHandle { commands: commands_tx }, pod_uid, task: Box::pin(owner.run()) })
}

/// Finds the container, or adds one, and starts the process in it. All of it as whom the session is opened.
async fn start(cluster: &Cluster, opening: &Opening) -> Result<(ResolvedContainer, Process), Refusal> {
    let Opening { open: request, acting, debug, pod_uid } = opening;
    let client = cluster.client(acting)?;
    let purpose = if debug.is_some() { Purpose::Debug } else { Purpose::Exec };
    let allowed = review(cluster, &client, acting, (&request.target, purpose));
    let (allowed, resolved) = tokio::join!(allowed, pod::resolve(&client, &request.target));
    // A missing right is told before a missing pod: who may not open learns nothing else.
    allowed?;
    let mut resolved = resolved?;
    if pod_uid.as_ref().is_some_and(|uid| *uid != resolved.pod_uid) {
        return Err(Refusal::new(RefusalCode::PodReplaced, ""));
    }
    if let Some(image) = debug {
        resolved.container = debug::start(&client, request, &resolved, image).await?;
    }
    let process = Start { client: &client, request, resolved: &resolved }.run().await?;
    Ok((resolved, process))
}

struct Process {
    reader: ExecReader,
    writer: ExecWriter,
    id: Option<u32>,
    first_output: Bytes,
}

struct Start<'a> {
    client: &'a Client,
    request: &'a Open,
    resolved: &'a ResolvedContainer,
}

impl Start<'_> {
    async fn run(&self) -> Result<Process, Refusal> {
        match timeout(START_TIMEOUT, self.behind_prelude()).await {
            Ok(result) => result,
            Err(_) => {
                Err(Refusal::new(RefusalCode::KubernetesError, "the container did not start the process within 20 s"))
            }
        }
    }

    async fn behind_prelude(&self) -> Result<Process, Refusal> {
        let Open { session, program, marks, .. } = self.request;
        let (mut reader, writer) = self.exec(prelude::command(*session, program, *marks)).await?;
        let mut filter = Filter::new(self.request.session);
        loop {
            match reader.next().await {
                ReadEvent::Output(bytes) => match filter.push(&bytes) {
                    Filtered::More => {}
                    Filtered::Done(Report::Started(id), first_output) => {
                        return Ok(Process { reader, writer, id: Some(id), first_output });
                    }
                    Filtered::Done(Report::NoSuchProgram, _) => return Err(self.missing()),
                    Filtered::Done(Report::Absent, first_output) => {
                        return Ok(Process { reader, writer, id: None, first_output });
                    }
                },
                ReadEvent::Errors(_) => {}
                ReadEvent::End(ProcessEnd::Failed(failure)) if failure.program_is_missing() => {
                    return self.without_shell().await;
                }
                ReadEvent::End(ProcessEnd::Failed(failure)) => {
                    return Err(Refusal::new(RefusalCode::KubernetesError, failure.message));
                }
                ReadEvent::End(ProcessEnd::Exited(_)) => {
                    let said = String::from_utf8_lossy(&filter.flush()).trim().to_owned();
                    return Err(Refusal::new(RefusalCode::NoShell, said));
                }
                ReadEvent::End(ProcessEnd::Unknown) => {
                    return Err(Refusal::new(
                        RefusalCode::KubernetesError,
                        "the connection broke while the process started",
                    ));
                }
            }
        }
    }

    /// The container has no `sh`, so no prelude can run: an asked-for program is started by itself.
    async fn without_shell(&self) -> Result<Process, Refusal> {
        let Program::Command(command) = &self.request.program else {
            return Err(self.missing());
        };
        let (mut reader, writer) = self.exec(command.clone()).await?;
        match reader.next().await {
            ReadEvent::Output(first_output) | ReadEvent::Errors(first_output) => {
                Ok(Process { reader, writer, id: None, first_output })
            }
            ReadEvent::End(ProcessEnd::Failed(failure)) if failure.program_is_missing() => Err(self.missing()),
            ReadEvent::End(ProcessEnd::Failed(failure)) => {
                Err(Refusal::new(RefusalCode::KubernetesError, failure.message))
            }
            ReadEvent::End(end) => Err(Refusal::new(
                RefusalCode::KubernetesError,
                format!("the program ended at once without output ({:?})", end.outcome()),
            )),
        }
    }

    async fn exec(&self, command: Vec<String>) -> Result<(ExecReader, ExecWriter), Refusal> {
        let request = ExecRequest {
            namespace: self.request.target.namespace.clone(),
            pod: self.request.target.pod.clone(),
            container: self.resolved.container.clone(),
            command,
            streams: Streams::Terminal,
        };
        let (reader, mut writer) = exec::start(self.client, &request).await?;
        // Before anything else: the shell should see the right size from its first prompt on.
        let _broken = writer.resize(self.request.size).await;
        Ok((reader, writer))
    }

    fn missing(&self) -> Refusal {
        match &self.request.program {
            Program::Shell => Refusal::new(RefusalCode::NoShell, ""),
            Program::Command(words) => {
                Refusal::new(RefusalCode::CommandNotFound, words.first().cloned().unwrap_or_default())
            }
        }
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

/// Writes input, sizes and pings until the owner is gone or the connection breaks.
async fn write(
    mut writer: ExecWriter,
    mut stdin: mpsc::Receiver<(WriterId, Bytes)>,
    mut resize: watch::Receiver<TerminalSize>,
    written: mpsc::Sender<(WriterId, u64)>,
) {
    let mut ping = interval(PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
            _ = ping.tick() => writer.ping().await,
        };
        if result.is_err() {
            // The reading half sees the same break and reports it.
            return;
        }
    }
}

/// How far the killing of a session has come.
enum Dying {
    /// The second exec is looking for its processes.
    Killing(oneshot::Receiver<Cleanup>),
    /// They are gone, or not; the last output is waited for until then.
    Draining { cleanup: Cleanup, until: tokio::time::Instant },
}

struct Owner {
    holder: Holder,
    remains: Remains,
    pod_uid: String,
    after_exit: AfterExit,
    client: Client,
    tracker: TaskTracker,
    commands: mpsc::Receiver<Command>,
    to_relay: Option<mpsc::Sender<ToRelay>>,
    from_relay: Option<mpsc::Receiver<ToAgent>>,
    /// Messages that go before further output.
    notices: Vec<ToRelay>,
    /// News of input that was read; it waits for output to follow, but not for long.
    applied: Vec<InputApplied>,
    applied_due: Option<Instant>,
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
                self.note_applied(applied);
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
        let deadline = self.holder.deadline().into_iter().chain(self.applied_due).min();
        tokio::select! {
            command = self.commands.recv() => Wake::Command(command),
            message = receive(&mut self.from_relay) => Wake::FromRelay(message),
            () = room(self.to_relay.as_ref()), if sending => Wake::MaySend,
            event = self.events.recv(), if reading => Wake::Process(event),
            () = room(self.stdin.as_ref()), if typing => Wake::MayType,
            Some((writer, length)) = self.written.recv() => Wake::Written(writer, length),
            () = until(deadline) => Wake::Time,
            () = progress(&mut self.dying), if self.dying.is_some() => Wake::Dying,
        }
    }

    fn has_something_to_send(&self, now: Instant) -> bool {
        let waiting = !self.notices.is_empty() || self.holder.has_output(now) || self.holder.has_end_to_report();
        self.to_relay.is_some() && waiting
    }

    /// Sends as much as there is room for.
    fn send(&mut self) {
        let Some(to_relay) = self.to_relay.clone() else {
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
        if !self.notices.is_empty() {
            return Some(self.notices.remove(0));
        }
        if let Some(output) = self.holder.next_output(now) {
            self.tell_applied();
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
        self.forget_notices();
        match self.holder.attach(have, credit) {
            Ok(attached) => {
                self.notices.push(ToRelay::Attached(attached));
                self.notices.extend(self.holder.applied_inputs().into_iter().map(ToRelay::InputApplied));
                self.to_relay = Some(link.to_relay);
                self.from_relay = Some(link.from_relay);
            }
            Err(error) => {
                let refusal = Refusal::new(RefusalCode::BadRequest, error.to_string());
                // The channel is new and empty; the other end may be gone already, which is as good.
                let _gone = link.to_relay.try_send(ToRelay::Refused(refusal));
            }
        }
    }

    fn detach(&mut self) {
        self.to_relay = None;
        self.from_relay = None;
        self.forget_notices();
        self.holder.detach(Instant::now());
    }

    fn note_applied(&mut self, applied: InputApplied) {
        if self.to_relay.is_none() {
            return;
        }
        self.applied.retain(|other| other.writer != applied.writer);
        self.applied.push(applied);
        self.applied_due.get_or_insert_with(|| Instant::now() + APPLIED_DELAY);
    }

    /// Puts the news of input that was read on the way.
    fn tell_applied(&mut self) {
        self.applied_due = None;
        self.notices.extend(self.applied.drain(..).map(ToRelay::InputApplied));
    }

    fn handle_time(&mut self, now: Instant) -> Next {
        if self.applied_due.is_some_and(|due| due <= now) {
            self.tell_applied();
        }
        match self.holder.handle_timeout(now) {
            Due::Nothing => {}
            Due::End(cause) => self.end(cause),
            Due::Forget => return Next::Forget,
        }
        Next::GoOn
    }

    /// A link's news is nobody else's.
    fn forget_notices(&mut self) {
        self.notices.clear();
        self.applied.clear();
        self.applied_due = None;
    }

    async fn handle_event(&mut self, event: Option<ReadEvent>) {
        match event {
            Some(ReadEvent::Output(bytes) | ReadEvent::Errors(bytes)) => self.holder.handle_output(bytes),
            Some(ReadEvent::End(end)) => self.handle_process_end(end).await,
            None => self.handle_process_end(ProcessEnd::Unknown).await,
        }
    }

    async fn handle_process_end(&mut self, end: ProcessEnd) {
        self.stdin = None;
        let outcome = end.outcome();
        let ended_by_itself = matches!(end, ProcessEnd::Exited(status) if status < 128);
        self.process_end = Some(end);
        if self.dying.is_some() {
            return;
        }
        if ended_by_itself && self.after_exit == AfterExit::Leave {
            self.holder.handle_end(EndCause::Exited, outcome, Cleanup::NotWanted, Instant::now());
            return;
        }
        let cause = if self.pod_is_gone().await {
            EndCause::PodGone
        } else {
            match outcome {
                ExitOutcome::Exited(_) => EndCause::Exited,
                ExitOutcome::Failed(_) | ExitOutcome::Unknown => EndCause::ConnectionLost,
            }
        };
        if cause == EndCause::Exited && self.after_exit == AfterExit::Leave {
            self.holder.handle_end(cause, outcome, Cleanup::NotWanted, Instant::now());
        } else {
            self.end(cause);
        }
    }

    /// A process that was killed, and a connection that broke, are often a pod that was deleted.
    async fn pod_is_gone(&self) -> bool {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), self.remains.namespace.as_str());
        match timeout(POD_CHECK_TIMEOUT, api.get(self.remains.pod.as_str())).await {
            Ok(Ok(pod)) => {
                let phase = pod.status.and_then(|status| status.phase);
                pod.metadata.deletion_timestamp.is_some()
                    || pod.metadata.uid.as_deref() != Some(self.pod_uid.as_str())
                    || matches!(phase.as_deref(), Some("Succeeded" | "Failed"))
            }
            Ok(Err(kube::Error::Api(status))) => status.code == 404,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn end(&mut self, cause: EndCause) {
        if !self.holder.begin_end(cause) {
            return;
        }
        let (done, killed) = oneshot::channel();
        let (client, remains) = (self.client.clone(), self.remains.clone());
        self.tracker.spawn(async move {
            let cleanup = reap::kill(&client, &remains).await;
            // The owner is gone only when the whole agent ends.
            let _gone = done.send(cleanup);
        });
        self.dying = Some(Dying::Killing(killed));
    }

    fn finish_dying(&mut self) {
        let Some(Dying::Draining { cleanup, until }) = &self.dying else {
            return;
        };
        if self.process_end.is_none() && tokio::time::Instant::now() < *until {
            return;
        }
        let outcome = self.process_end.as_ref().map_or(ExitOutcome::Unknown, ProcessEnd::outcome);
        let cause = self.holder.ending().unwrap_or(EndCause::Exited);
        self.holder.handle_end(cause, outcome, *cleanup, Instant::now());
        self.process_end = Some(self.process_end.take().unwrap_or(ProcessEnd::Unknown));
        self.stdin = None;
        self.dying = None;
    }
}

async fn receive(from_relay: &mut Option<mpsc::Receiver<ToAgent>>) -> Option<ToAgent> {
    match from_relay {
        Some(from_relay) => from_relay.recv().await,
        None => std::future::pending().await,
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

/// Waits for the next step of dying, and takes it. Cancel safe.
async fn progress(dying: &mut Option<Dying>) {
    match dying {
        Some(Dying::Killing(killed)) => {
            let cleanup = killed.await.unwrap_or(Cleanup::Unconfirmed);
            *dying = Some(Dying::Draining { cleanup, until: tokio::time::Instant::now() + LAST_OUTPUT });
        }
        Some(Dying::Draining { until, .. }) => sleep_until(*until).await,
        None => std::future::pending().await,
    }
}
