//! Starts a session's process in its container: allowed by Kubernetes, behind the prelude where there is a shell.

use std::time::Duration;

use bytes::Bytes;
use kube::Client;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::debug::DebugImage;
use podlatch_protocol::request::{Open, Program};
use tokio::time::timeout;

use crate::cluster::{Acting, Cluster};
use crate::debug;
use crate::exec::{self, ExecReader, ExecRequest, ExecWriter, ProcessEnd, ReadEvent, Streams};
use crate::pod::{self, ResolvedContainer};
use crate::prelude::{self, Filter, Filtered, Report};
use crate::review::{Purpose, review};

/// How long the container may take from the upgrade to the prelude's report.
const START_TIMEOUT: Duration = Duration::from_secs(20);

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

/// Finds the container, or adds one, and starts the process in it. All of it as whom the session is opened.
pub(super) async fn start(cluster: &Cluster, opening: &Opening) -> Result<(ResolvedContainer, Process), Refusal> {
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

/// A process that runs.
pub(super) struct Process {
    pub(super) reader: ExecReader,
    pub(super) writer: ExecWriter,
    /// Where the prelude told it.
    pub(super) id: Option<u32>,
    /// What it has written so far.
    pub(super) first_output: Bytes,
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
                ReadEvent::End(end) => return self.ended_early(end, &filter.flush()).await,
            }
        }
    }

    /// The process is over, and the prelude did not report: what it said instead is in `output`.
    async fn ended_early(&self, end: ProcessEnd, output: &[u8]) -> Result<Process, Refusal> {
        match end {
            ProcessEnd::Failed(failure) if failure.program_is_missing() => self.without_shell().await,
            ProcessEnd::Failed(failure) => Err(Refusal::new(RefusalCode::KubernetesError, failure.message)),
            ProcessEnd::Exited(_) => {
                let said = String::from_utf8_lossy(output).trim().to_owned();
                Err(Refusal::new(RefusalCode::NoShell, said))
            }
            ProcessEnd::Unknown => {
                Err(Refusal::new(RefusalCode::KubernetesError, "the connection broke while the process started"))
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
