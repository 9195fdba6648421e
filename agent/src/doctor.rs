//! `podlatch-agent doctor`: looks at everything that the agent needs, and says what is wrong and what to do.

use std::fmt;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use podlatch_link::disconnect::Disconnect;
use podlatch_protocol::version::{ENROLMENT_ALPN, TUNNEL_ALPN};
use tokio::time::timeout;

use crate::config::CommonArgs;
use crate::identity::Identity;
use crate::tls::{Credentials, client_config};
use crate::tunnel::dial::dial;
use crate::tunnel::explain::explain;
use crate::{identity_store, kubernetes};
use podlatch_cluster::rights::{DebugImages, Impersonation, Rights};

/// How long the relay has to turn a certificate down. It says nothing when it takes it.
const VERDICT: Duration = Duration::from_secs(1);

/// How long Kubernetes may take for one answer.
const KUBERNETES: Duration = Duration::from_secs(10);

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    Good(String),
    Bad(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(text) => write!(f, "ok    {text}"),
            Self::Bad(text) => write!(f, "FAIL  {text}"),
        }
    }
}

/// Prints what is found; `false` if anything is wrong. Cancel safe.
pub async fn run(args: &CommonArgs) -> anyhow::Result<bool> {
    let mut findings = vec![relay(args).await];
    match kubernetes::client(args.kubeconfig.as_deref()).await {
        Ok(client) => {
            findings.extend(identity(args, &client).await);
            findings.extend(cluster(args, &client).await);
        }
        Err(error) => findings.push(Finding::Bad(format!("{error:#}"))),
    }
    for finding in &findings {
        println!("{finding}");
    }
    Ok(!findings.iter().any(|finding| matches!(finding, Finding::Bad(_))))
}

async fn relay(args: &CommonArgs) -> Finding {
    let tls = match client_config(args.ca_pin, Credentials::None, ENROLMENT_ALPN) {
        Ok(tls) => tls,
        Err(error) => return Finding::Bad(format!("TLS cannot be set up: {error}")),
    };
    match dial(&args.relay, tls, 0).await {
        Ok(dialled) => {
            let address = dialled.connection.remote_address();
            Disconnect::Done.close(&dialled.connection);
            Finding::Good(format!("the relay answers at {address} (UDP) and shows the pinned CA"))
        }
        Err(explanation) => Finding::Bad(explanation.sentence),
    }
}

async fn identity(args: &CommonArgs, client: &kube::Client) -> Vec<Finding> {
    let store = identity_store(&args.identity, client);
    let place = store.location();
    let identity = match timeout(KUBERNETES, store.load()).await {
        Ok(Ok(Some(stored))) => Identity::new(stored),
        Ok(Ok(None)) => {
            let todo = "start the agent with a join token";
            return vec![Finding::Bad(format!("there is no identity in {place} yet; {todo}"))];
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(anyhow::anyhow!("{place} cannot be read: no answer")),
    };
    match identity {
        Ok(identity) => vec![validity(&identity, args, &place), acceptance(&identity, args).await],
        Err(error) => vec![Finding::Bad(format!("{error:#}"))],
    }
}

fn validity(identity: &Identity, args: &CommonArgs, place: &str) -> Finding {
    let remaining = identity.remaining(SystemTime::now());
    if identity.pin() != args.ca_pin {
        return Finding::Bad(format!(
            "the identity in {place} is for the relay of {}, but the pin given is {}; correct one of them",
            identity.pin(),
            args.ca_pin
        ));
    }
    if remaining.is_zero() {
        return Finding::Bad(format!(
            "the certificate in {place} has run out; create a new join token for the cluster and start the agent with it"
        ));
    }
    let (hours, minutes) = (remaining.as_secs() / 3_600, remaining.as_secs() / 60 % 60);
    Finding::Good(format!("the identity in {place} is valid for another {hours} h {minutes} min"))
}

/// Shows the certificate without a greeting, so that a running agent of the same identity is left alone.
async fn acceptance(identity: &Identity, args: &CommonArgs) -> Finding {
    let tls = match client_config(identity.pin(), Credentials::Identity(identity), TUNNEL_ALPN) {
        Ok(tls) => tls,
        Err(error) => return Finding::Bad(format!("the identity cannot be used: {error}")),
    };
    let dialled = match dial(&args.relay, tls, 0).await {
        Ok(dialled) => dialled,
        Err(explanation) => return Finding::Bad(explanation.sentence),
    };
    if let Ok(error) = timeout(VERDICT, dialled.connection.closed()).await {
        return Finding::Bad(explain(&args.relay, &error).sentence);
    }
    Disconnect::Done.close(&dialled.connection);
    Finding::Good("the relay takes this agent's certificate".to_owned())
}

async fn cluster(args: &CommonArgs, client: &kube::Client) -> Vec<Finding> {
    let version = match timeout(KUBERNETES, client.apiserver_version()).await {
        Ok(Ok(version)) => Finding::Good(format!("Kubernetes {} answers", version.git_version)),
        Ok(Err(error)) => {
            return vec![Finding::Bad(format!("Kubernetes does not answer: {error}; check the kubeconfig"))];
        }
        Err(_) => return vec![Finding::Bad("Kubernetes does not answer; check the way to its API server".to_owned())],
    };
    let mut findings = vec![version];
    match args.guard().named_namespaces() {
        None => findings.push(rights(args, client, None).await),
        Some(namespaces) => {
            for namespace in namespaces {
                findings.push(rights(args, client, Some(namespace.as_str())).await);
            }
        }
    }
    if let Rights::Impersonate(impersonation) = args.rights() {
        findings.push(groups(client, &impersonation).await);
    }
    findings
}

/// Whether the agent may give people the groups that it is set up to give. Which users it may name, nobody can ask: they are not
/// known before they sign in.
async fn groups(client: &kube::Client, impersonation: &Impersonation) -> Finding {
    let mut missing = Vec::new();
    for group in &impersonation.groups {
        let attributes = ResourceAttributes {
            verb: Some("impersonate".to_owned()),
            group: Some(String::new()),
            resource: Some("groups".to_owned()),
            name: Some(group.to_string()),
            ..ResourceAttributes::default()
        };
        match timeout(KUBERNETES, review(client, attributes)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => missing.push(group.to_string()),
            Ok(Err(error)) => return Finding::Bad(format!("rights to impersonate cannot be asked for: {error}")),
            Err(_) => return Finding::Bad("rights to impersonate cannot be asked for: no answer".to_owned()),
        }
    }
    if missing.is_empty() {
        return Finding::Good("the agent may give people the groups that it is set up to give".to_owned());
    }
    Finding::Bad(format!(
        "the agent may not impersonate the groups: {}; grant \"impersonate\" on them by a ClusterRole, as the chart does",
        missing.join(", ")
    ))
}

/// A right that the agent needs: verb, group, resource, subresource.
type Right = (&'static str, &'static str, &'static str, Option<&'static str>);

const EXEC: [Right; 2] = [("get", "", "pods", Some("exec")), ("create", "", "pods", Some("exec"))];

const DEBUG: [Right; 1] = [("patch", "", "pods", Some("ephemeralcontainers"))];

const READ: [Right; 13] = [
    ("get", "", "pods", None),
    ("list", "", "pods", None),
    ("watch", "", "pods", None),
    ("list", "apps", "deployments", None),
    ("watch", "apps", "deployments", None),
    ("list", "apps", "statefulsets", None),
    ("watch", "apps", "statefulsets", None),
    ("list", "apps", "daemonsets", None),
    ("watch", "apps", "daemonsets", None),
    ("list", "batch", "jobs", None),
    ("watch", "batch", "jobs", None),
    ("list", "batch", "cronjobs", None),
    ("watch", "batch", "cronjobs", None),
];

const NAMESPACES: [Right; 2] = [("list", "", "namespaces", None), ("watch", "", "namespaces", None)];

async fn rights(args: &CommonArgs, client: &kube::Client, namespace: Option<&str>) -> Finding {
    let place = namespace.map_or_else(|| "in every namespace".to_owned(), |name| format!("in namespace {name}"));
    let mut missing = Vec::new();
    // Whoever is told its namespaces does not list them.
    let namespaces = if namespace.is_none() { &NAMESPACES[..] } else { &[] };
    let debug = if args.debug_images == DebugImages::None { &[] } else { &DEBUG[..] };
    for right in EXEC.iter().chain(&READ).chain(namespaces).chain(debug) {
        match timeout(KUBERNETES, allowed(client, *right, namespace)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => missing.push(name_of(*right)),
            Ok(Err(error)) => return Finding::Bad(format!("rights {place} cannot be asked for: {error}")),
            Err(_) => return Finding::Bad(format!("rights {place} cannot be asked for: no answer")),
        }
    }
    judge(&place, &missing)
}

fn judge(place: &str, missing: &[String]) -> Finding {
    if missing.is_empty() {
        return Finding::Good(format!("the agent has every right that it needs {place}"));
    }
    Finding::Bad(format!(
        "{place} the agent lacks: {}; bind its service account to a Role or ClusterRole that grants this, as the chart does, or name its namespaces with --namespaces",
        missing.join(", ")
    ))
}

fn name_of((verb, group, resource, subresource): Right) -> String {
    let resource = subresource.map_or_else(|| resource.to_owned(), |sub| format!("{resource}/{sub}"));
    if group.is_empty() { format!("{verb} {resource}") } else { format!("{verb} {resource}.{group}") }
}

async fn allowed(
    client: &kube::Client,
    (verb, group, resource, subresource): Right,
    namespace: Option<&str>,
) -> Result<bool, kube::Error> {
    let attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        namespace: namespace.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    review(client, attributes).await
}

async fn review(client: &kube::Client, attributes: ResourceAttributes) -> Result<bool, kube::Error> {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..Default::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_rights_are_named_as_kubectl_names_them() {
        assert_eq!(name_of(EXEC[1]), "create pods/exec");
        assert_eq!(name_of(("list", "apps", "deployments", None)), "list deployments.apps");
        let finding = judge("in namespace shop", &[name_of(EXEC[0])]);
        assert!(matches!(&finding, Finding::Bad(text) if text.contains("get pods/exec")), "{finding}");
        assert!(matches!(judge("everywhere", &[]), Finding::Good(_)));
    }
}
