//! What only the cluster knows of a pod, asked for where the access rules go by it.

use std::collections::BTreeMap;

use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::pod::PodDescription;
use podlatch_protocol::target::PodTarget;

use crate::app::App;
use crate::domain::access::decision::{
    Question, Target, allowed_in_any_pod, could_be_allowed, goes_by_labels, needs_pod,
};

/// A target about which the rules can be asked.
#[derive(Debug)]
pub(super) struct Learnt {
    /// What is known of it now.
    pub(super) target: Target,
    /// The UID of the pod of which that is known.
    pub(super) pod_uid: Option<String>,
}

/// Completes the target of a question about one pod by its labels, and by the container that is entered where none is named, where
/// rules go by them. Whoever could not be allowed it in any pod learns nothing of this one. Cancel safe.
pub(super) async fn learn(app: &App, question: &Question<'_>) -> Result<Learnt, Refusal> {
    let known = || Learnt { target: question.target.clone(), pod_uid: None };
    let wanted = needs_pod(question) || goes_by_labels(question.rules, question.target);
    let (true, true, Some(pod)) = (wanted, could_be_allowed(question), pod_of(question.target)) else {
        return Ok(known());
    };
    match app.sessions.describe_pod(question.target.cluster, &pod).await {
        Ok(description) => complete(question, description),
        // They are only kept for others' decisions.
        Err(_) if !needs_pod(question) => Ok(known()),
        // By what is known it is denied, like a pod that is there and has other labels.
        Err(refusal) if refusal.code == RefusalCode::PodNotFound && !allowed_in_any_pod(question) => Ok(known()),
        Err(refusal) => Err(refusal),
    }
}

/// The labels of a target's pod, if somebody can say them. Cancel safe.
pub(super) async fn labels_of(app: &App, target: &Target) -> Option<BTreeMap<String, String>> {
    let described = app.sessions.describe_pod(target.cluster, &pod_of(target)?).await;
    described.ok().map(|description| description.labels.into_map())
}

fn pod_of(target: &Target) -> Option<PodTarget> {
    let Target { namespace, pod, container, .. } = target;
    Some(PodTarget { namespace: namespace.clone()?, pod: pod.clone()?, container: container.clone() })
}

fn complete(question: &Question<'_>, pod: PodDescription) -> Result<Learnt, Refusal> {
    let labelled = Target { pod_labels: Some(pod.labels.into_map()), ..question.target.clone() };
    let asked = Question { target: &labelled, ..*question };
    // Rules go by the container, and nobody said which.
    if labelled.container.is_none() && needs_pod(&asked) && could_be_allowed(&asked) {
        let Some(container) = pod.default_container else {
            let names: Vec<_> = pod.containers.iter().map(ToString::to_string).collect();
            return Err(Refusal::new(RefusalCode::ContainerRequired, names.join(", ")));
        };
        let target = Target { container: Some(container), ..labelled };
        return Ok(Learnt { target, pod_uid: Some(pod.uid) });
    }
    Ok(Learnt { target: labelled, pod_uid: Some(pod.uid) })
}
