//! Asks a cluster what a pod is.

use std::time::Duration;

use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::codec;
use podlatch_protocol::frame::FrameKind;
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::pod::{DescribeReply, PodDescription};
use podlatch_protocol::request::Request;
use podlatch_protocol::target::PodTarget;
use podlatch_protocol::version::POD_LABELS_MINOR;
use tokio::time::timeout;

use super::Sessions;
use crate::tunnel::{AgentHandle, Agents};

/// How long a person who opens something waits for it: the agent's own limit is 10 s.
const PATIENCE: Duration = Duration::from_secs(12);

impl Sessions {
    /// What a pod is, as the agent of its cluster says now. Cancel safe.
    pub(crate) async fn describe_pod(&self, cluster: ClusterId, target: &PodTarget) -> Result<PodDescription, Refusal> {
        describe(&self.shared.agents, cluster, target.clone(), PATIENCE).await
    }
}

/// What a pod is, as an agent of its cluster says within `limit`. Cancel safe.
pub(super) async fn describe(
    agents: &Agents,
    cluster: ClusterId,
    target: PodTarget,
    limit: Duration,
) -> Result<PodDescription, Refusal> {
    let agent = agents.pick(cluster).ok_or_else(|| Refusal::new(RefusalCode::AgentOffline, ""))?;
    knows_labels(&agent)?;
    let too_late = || Err(Refusal::new(RefusalCode::AgentTimeout, ""));
    tokio::select! {
        answer = timeout(limit, ask(&agent, target)) => answer.unwrap_or_else(|_| too_late()),
        () = agent.falls_silent() => too_late(),
    }
}

/// Refuses where the agent is too old to say what a pod is.
pub(super) fn knows_labels(agent: &AgentHandle) -> Result<(), Refusal> {
    if agent.hello().minor >= POD_LABELS_MINOR {
        return Ok(());
    }
    Err(Refusal::new(RefusalCode::PodLabelsUnknown, "it is older than this relay: update the agent"))
}

async fn ask(agent: &AgentHandle, target: PodTarget) -> Result<PodDescription, Refusal> {
    let asked = agent.request(&Request::Describe(target)).await;
    let (_writer, mut reader) = asked.map_err(|error| Refusal::new(error.refusal(), error.to_string()))?;
    loop {
        let frame = reader.next().await.map_err(|error| Refusal::new(RefusalCode::AgentOffline, error.to_string()))?;
        let gone = || Refusal::new(RefusalCode::AgentOffline, "the stream ended without an answer");
        let frame = frame.ok_or_else(gone)?;
        let senseless = |_| Refusal::new(RefusalCode::AgentProtocol, "");
        match frame.kind {
            FrameKind::DESCRIBE_REPLY => {
                return match codec::decode(&frame.body).map_err(senseless)? {
                    DescribeReply::Described(description) => Ok(description),
                    DescribeReply::Refused(refusal) => Err(refusal),
                };
            }
            FrameKind::REFUSED => return Err(codec::decode(&frame.body).map_err(senseless)?),
            _ => {}
        }
    }
}
