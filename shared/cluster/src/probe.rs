//! What a credential can do in a cluster: asked of Kubernetes itself, by self subject access reviews.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt};
use tokio::time::timeout;

/// How long Kubernetes may take for one answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Namespaces that are asked about one by one, where a right does not hold everywhere.
const MAX_NAMESPACES: u32 = 20;

/// Longest message of Kubernetes that is passed on, in characters.
const MAX_MESSAGE: usize = 300;

/// What the terminals need, and what else is of use. Ordered by importance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To list the namespaces.
    ListNamespaces,
    /// To look at a pod, before a terminal is opened in it.
    GetPods,
    /// To list pods.
    ListPods,
    /// To see changes of pods.
    WatchPods,
    /// To open a terminal.
    CreateExec,
    /// To open one over a WebSocket, where the cluster asks for that right too.
    GetExec,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::ListNamespaces, Self::GetPods, Self::ListPods, Self::WatchPods, Self::CreateExec, Self::GetExec];

    /// The verb and the resource, as Kubernetes names them.
    pub const fn verb_and_resource(self) -> (&'static str, &'static str) {
        match self {
            Self::ListNamespaces => ("list", "namespaces"),
            Self::GetPods => ("get", "pods"),
            Self::ListPods => ("list", "pods"),
            Self::WatchPods => ("watch", "pods"),
            Self::CreateExec => ("create", "pods/exec"),
            Self::GetExec => ("get", "pods/exec"),
        }
    }

    const fn is_namespaced(self) -> bool {
        !matches!(self, Self::ListNamespaces)
    }
}

/// Where something is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// In the whole cluster.
    Everywhere,
    /// In these namespaces, of those that were asked about.
    In(Vec<String>),
    /// Nowhere that was asked about.
    Nowhere,
}

/// Kubernetes gave no answer of use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It does not know the credential.
    #[error("Kubernetes does not accept the credential: {0}")]
    Unauthenticated(String),
    /// It refuses the question.
    #[error("Kubernetes refuses: {0}")]
    Refused(String),
    /// It is no Kubernetes, or not reached.
    #[error("no answer of Kubernetes: {0}")]
    NoAnswer(String),
}

/// The cluster's version. Cancel safe.
pub async fn version(client: &Client) -> Result<String, ProbeError> {
    let version = answer(client.apiserver_version()).await?;
    Ok(cut(&version.git_version))
}

/// Where the credential may do what. Cancel safe.
pub async fn rights(client: &Client) -> Result<Vec<(Need, Allowed)>, ProbeError> {
    let mut rights = Vec::new();
    let mut namespaces = None;
    for need in Need::ALL {
        let allowed = if may(client, need, None).await? {
            Allowed::Everywhere
        } else if need.is_namespaced() {
            if namespaces.is_none() {
                namespaces = Some(some_namespaces(client).await);
            }
            allowed_in(client, need, namespaces.as_deref().unwrap_or_default()).await?
        } else {
            Allowed::Nowhere
        };
        rights.push((need, allowed));
    }
    Ok(rights)
}

async fn allowed_in(client: &Client, need: Need, namespaces: &[String]) -> Result<Allowed, ProbeError> {
    let mut allowed = Vec::new();
    for namespace in namespaces {
        if may(client, need, Some(namespace)).await? {
            allowed.push(namespace.clone());
        }
    }
    Ok(if allowed.is_empty() { Allowed::Nowhere } else { Allowed::In(allowed) })
}

/// The namespaces to ask about; without the right to list them, the one that every cluster has.
async fn some_namespaces(client: &Client) -> Vec<String> {
    let api: Api<Namespace> = Api::all(client.clone());
    let listed = answer(api.list(&ListParams::default().limit(MAX_NAMESPACES))).await;
    let names = listed.map(|list| list.items.iter().map(ResourceExt::name_any).collect());
    names.unwrap_or_else(|_| vec!["default".to_owned()])
}

async fn may(client: &Client, need: Need, namespace: Option<&str>) -> Result<bool, ProbeError> {
    let (verb, resource) = need.verb_and_resource();
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(of, sub)| (of, Some(sub)));
    let attributes = ResourceAttributes {
        namespace: namespace.map(str::to_owned),
        verb: Some(verb.to_owned()),
        group: Some(String::new()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..Default::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let reviewed = answer(api.create(&PostParams::default(), &review)).await?;
    Ok(reviewed.status.is_some_and(|status| status.allowed))
}

async fn answer<T>(asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T, ProbeError> {
    match timeout(ANSWER, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
            Err(ProbeError::Unauthenticated(cut(&status.message)))
        }
        Ok(Err(kube::Error::Api(status))) => Err(ProbeError::Refused(cut(&status.message))),
        // What stands in other errors may be the answer of a server that is no Kubernetes, which nobody is shown.
        Ok(Err(_)) => Err(ProbeError::NoAnswer("what answers there is no Kubernetes API".to_owned())),
        Err(_) => Err(ProbeError::NoAnswer(format!("nothing within {} seconds", ANSWER.as_secs()))),
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_MESSAGE).collect()
}
