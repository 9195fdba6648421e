//! How a holder's process comes to its end: by itself, with its pod, or because it is killed.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use podlatch_protocol::close::EndCause;
use podlatch_protocol::request::AfterExit;
use podlatch_protocol::session::{Cleanup, ExitOutcome};
use tokio::sync::oneshot;
use tokio::time::{sleep_until, timeout};

use super::Owner;
use crate::exec::{ProcessEnd, ReadEvent};
use crate::reap;

/// How long the last output of a killed process is waited for.
const LAST_OUTPUT: Duration = Duration::from_millis(500);

/// How long the API server may take to say whether the pod is still there.
const POD_CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How far the killing of a session has come.
pub(super) enum Dying {
    /// The second exec is looking for its processes.
    Killing(oneshot::Receiver<Cleanup>),
    /// They are gone, or not; the last output is waited for until then.
    Draining { cleanup: Cleanup, until: tokio::time::Instant },
}

impl Owner {
    pub(super) async fn handle_event(&mut self, event: Option<ReadEvent>) {
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

    /// Ends the session with its processes; the first cause stands.
    pub(super) fn end(&mut self, cause: EndCause) {
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

    /// Takes the end where the processes are gone and the last output is read, or will not come.
    pub(super) fn finish_dying(&mut self) {
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

/// Waits for the next step of dying, and takes it. Cancel safe.
pub(super) async fn progress(dying: &mut Option<Dying>) {
    match dying {
        Some(Dying::Killing(killed)) => {
            let cleanup = killed.await.unwrap_or(Cleanup::Unconfirmed);
            *dying = Some(Dying::Draining { cleanup, until: tokio::time::Instant::now() + LAST_OUTPUT });
        }
        Some(Dying::Draining { until, .. }) => sleep_until(*until).await,
        None => std::future::pending().await,
    }
}
