//! Asks Kubernetes whether a session may be opened before anything is started: "may I?" (`SelfSubjectAccessReview`).
//!
//! An exec over WebSocket needs two verbs on `pods/exec`, and an API server that refuses for want of one often gives no reason.
//! Asked by the same identity that would open, each verb is answered for itself, so a person can be told what is missing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::target::{Namespace, PodName, PodTarget};
use tokio::time::timeout;

use crate::client;
use crate::cluster::{Acting, Cluster};
use crate::exec;

/// How long an allowance counts. Kubernetes decides about the exec itself all the same; this only spares questions while
/// sessions are opened one after the other.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Most allowances that are remembered; beyond it all are forgotten.
const MAX_REMEMBERED: usize = 4_096;

/// How long the API server may take to answer all questions.
const REVIEW_TIMEOUT: Duration = Duration::from_secs(10);

/// What is to be done in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Start a process in a container.
    Exec,
    /// Add a container, and start a process there.
    Debug,
}

/// A verb on a subresource of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Right {
    verb: &'static str,
    subresource: &'static str,
}

const RIGHTS: [Right; 3] = [
    Right { verb: "create", subresource: "exec" },
    Right { verb: "get", subresource: "exec" },
    Right { verb: "patch", subresource: "ephemeralcontainers" },
];

impl Purpose {
    const fn rights(self) -> &'static [Right] {
        match self {
            Self::Exec => RIGHTS.split_at(2).0,
            Self::Debug => &RIGHTS,
        }
    }
}

/// What was allowed a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Reviews {
    allowed: Mutex<HashMap<Question, Instant>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    acting: Acting,
    namespace: Namespace,
    pod: PodName,
    purpose: Purpose,
}

impl Reviews {
    fn knows(&self, question: &Question, now: Instant) -> bool {
        self.table().get(question).is_some_and(|at| now.duration_since(*at) < REMEMBERED)
    }

    fn remember(&self, question: Question, now: Instant) {
        let mut table = self.table();
        if table.len() >= MAX_REMEMBERED {
            table.retain(|_, at| now.duration_since(*at) < REMEMBERED);
        }
        if table.len() >= MAX_REMEMBERED {
            table.clear();
        }
        table.insert(question, now);
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Question, Instant>> {
        // Nothing panics while it holds the lock; if it did, the table would still be whole.
        self.allowed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `acting`, by whose `client` it is asked, may do what `purpose` needs; where not, what is missing. Cancel safe.
pub(crate) async fn review(
    cluster: &Cluster,
    client: &Client,
    acting: &Acting,
    (target, purpose): (&PodTarget, Purpose),
) -> Result<(), Refusal> {
    let question =
        Question { acting: acting.clone(), namespace: target.namespace.clone(), pod: target.pod.clone(), purpose };
    if cluster.reviews.knows(&question, Instant::now()) {
        return Ok(());
    }
    let asked = join_all(purpose.rights().iter().map(|right| ask(client, target, *right)));
    let Ok(answers) = timeout(REVIEW_TIMEOUT, asked).await else {
        return Err(Refusal::new(RefusalCode::KubernetesUnreachable, "no answer to an access review within 10 s"));
    };
    let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
    let denied: Vec<_> = answers.into_iter().flatten().collect();
    if denied.is_empty() {
        cluster.reviews.remember(question, Instant::now());
        return Ok(());
    }
    Err(refusal(client, acting, target, &denied).await)
}

/// A right that is missing, and the reason that Kubernetes gives, if it gives one.
struct Denied {
    right: Right,
    reason: String,
}

async fn ask(client: &Client, target: &PodTarget, right: Right) -> Result<Option<Denied>, Refusal> {
    let attributes = ResourceAttributes {
        verb: Some(right.verb.to_owned()),
        group: Some(String::new()),
        resource: Some("pods".to_owned()),
        subresource: Some(right.subresource.to_owned()),
        namespace: Some(target.namespace.to_string()),
        name: Some(target.pod.to_string()),
        ..ResourceAttributes::default()
    };
    let question = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..Default::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    match reviews.create(&PostParams::default(), &question).await {
        Ok(answer) => Ok(denial(right, answer)),
        // Who may not even ask may not open: an unanswered question is no yes.
        Err(kube::Error::Api(status)) if status.code == 401 => {
            Err(Refusal::new(RefusalCode::Forbidden, client::UNAUTHENTICATED))
        }
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            Err(Refusal::new(RefusalCode::Forbidden, status.message.clone()))
        }
        Err(kube::Error::Api(status)) => Err(Refusal::new(RefusalCode::KubernetesError, status.message.clone())),
        Err(error) => Err(Refusal::new(RefusalCode::KubernetesUnreachable, client::explain(&error))),
    }
}

/// Pure. No status is no allowance.
fn denial(right: Right, answer: SelfSubjectAccessReview) -> Option<Denied> {
    let status = answer.status.unwrap_or_default();
    if status.allowed && status.denied != Some(true) {
        return None;
    }
    let reason = status.reason.or(status.evaluation_error).unwrap_or_default();
    Some(Denied { right, reason })
}

/// Says what is missing, and why in Kubernetes' own words. A review mostly gives no reason, so the first missing right is asked
/// for in earnest, in a form that starts nothing.
async fn refusal(client: &Client, acting: &Acting, target: &PodTarget, denied: &[Denied]) -> Refusal {
    let given = denied.iter().find(|denied| !denied.reason.is_empty()).map(|denied| denied.reason.clone());
    let why = match (given, denied.first()) {
        (Some(reason), _) => Some(reason),
        (None, Some(Denied { right, .. })) if right.subresource == "exec" => {
            timeout(REVIEW_TIMEOUT, exec::why_refused(client, target, right.verb)).await.ok().flatten()
        }
        (None, _) => None,
    };
    Refusal::new(RefusalCode::Forbidden, sentence(acting, target, denied, why.as_deref()))
}

/// Pure.
fn sentence(acting: &Acting, target: &PodTarget, denied: &[Denied], why: Option<&str>) -> String {
    let missing = |denied: &Denied| format!("\"{}\" on \"pods/{}\"", denied.right.verb, denied.right.subresource);
    let missing: Vec<_> = denied.iter().map(missing).collect();
    let who = match acting {
        Acting::Own => "the account that opens terminals".to_owned(),
        Acting::Person(person) => format!("the user \"{}\"", person.user),
    };
    let why = why.map(|why| format!("; Kubernetes says: {why}")).unwrap_or_default();
    format!("{who} lacks {} in the namespace \"{}\"{why}", missing.join(" and "), target.namespace)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::authorization::v1::SubjectAccessReviewStatus;

    use super::*;

    fn target() -> PodTarget {
        PodTarget { namespace: "shop".parse().expect("valid"), pod: "bb".parse().expect("valid"), container: None }
    }

    fn question(purpose: Purpose) -> Question {
        let PodTarget { namespace, pod, .. } = target();
        Question { acting: Acting::Own, namespace, pod, purpose }
    }

    #[test]
    fn an_exec_needs_both_verbs_and_a_debug_container_one_more() {
        assert_eq!(Purpose::Exec.rights().iter().map(|right| right.verb).collect::<Vec<_>>(), ["create", "get"]);
        assert_eq!(Purpose::Debug.rights().len(), 3);
    }

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        let denied = |status| {
            let answer = SelfSubjectAccessReview { status, ..SelfSubjectAccessReview::default() };
            denial(RIGHTS[0], answer).map(|denied| denied.reason)
        };
        let status = |allowed, denied, reason: Option<&str>| {
            let reason = reason.map(str::to_owned);
            Some(SubjectAccessReviewStatus { allowed, denied, reason, evaluation_error: None })
        };
        assert_eq!(denied(status(true, None, None)), None);
        assert_eq!(denied(None), Some(String::new()));
        assert_eq!(denied(status(true, Some(true), None)), Some(String::new()));
        assert_eq!(denied(status(false, None, Some("no role"))), Some("no role".to_owned()));
    }

    #[test]
    fn a_refusal_names_what_is_missing_where_and_why() {
        let denied = [Denied { right: RIGHTS[1], reason: String::new() }];
        assert_eq!(
            sentence(&Acting::Own, &target(), &denied, Some("no role")),
            r#"the account that opens terminals lacks "get" on "pods/exec" in the namespace "shop"; Kubernetes says: no role"#
        );
    }

    #[test]
    fn an_allowance_is_remembered_for_a_moment_and_for_its_own_question() {
        let (reviews, now) = (Reviews::default(), Instant::now());
        reviews.remember(question(Purpose::Exec), now);
        assert!(reviews.knows(&question(Purpose::Exec), now));
        assert!(!reviews.knows(&question(Purpose::Debug), now));
        assert!(!reviews.knows(&question(Purpose::Exec), now + REMEMBERED));
    }
}
