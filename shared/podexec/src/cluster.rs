//! A cluster's API server as sessions use it: by the holder's own credential, or as a person.

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request};
use kube::Client;
use kube::client::Body;
use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::identity::Impersonated;

use crate::review::Reviews;

/// Every header of impersonation begins so.
const IMPERSONATE: &str = "impersonate-";
const USER: HeaderName = HeaderName::from_static("impersonate-user");
const GROUP: HeaderName = HeaderName::from_static("impersonate-group");

/// As whom a session is opened. Its processes are always ended by the holder's own credential: whoever lost their rights in
/// Kubernetes could otherwise not be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Acting {
    /// By the holder's own credential.
    Own,
    /// As this person.
    Person(Impersonated),
}

/// The API server of one cluster, and what it allowed a moment ago. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    pub(crate) reviews: Arc<Reviews>,
}

impl Cluster {
    /// A cluster that is reached by this client, whose credential is the holder's own.
    pub fn new(client: Client) -> Self {
        Self { client, reviews: Arc::default() }
    }

    /// The holder's own client.
    pub fn own(&self) -> &Client {
        &self.client
    }

    /// A client whose every request is made as `acting`. Needs a Tokio runtime.
    pub(crate) fn client(&self, acting: &Acting) -> Result<Client, Refusal> {
        match acting {
            Acting::Own => Ok(self.client.clone()),
            Acting::Person(person) => impersonating(&self.client, person),
        }
    }
}

fn impersonating(client: &Client, person: &Impersonated) -> Result<Client, Refusal> {
    let bad = |error: http::header::InvalidHeaderValue| Refusal::new(RefusalCode::IdentityRefused, error.to_string());
    let user = HeaderValue::from_str(person.user.as_str()).map_err(bad)?;
    let groups = person.groups.iter().map(|group| HeaderValue::from_str(group.as_str()).map_err(bad));
    let groups = groups.collect::<Result<Vec<_>, _>>()?;
    let namespace = client.default_namespace().to_owned();
    let own = client.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        name_person(request.headers_mut(), &user, &groups);
        let own = own.clone();
        async move { own.send(request).await }
    });
    Ok(Client::new(service, namespace))
}

fn name_person(headers: &mut HeaderMap, user: &HeaderValue, groups: &[HeaderValue]) {
    let others: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(IMPERSONATE)).cloned().collect();
    for name in others {
        headers.remove(name);
    }
    headers.insert(USER, user.clone());
    for group in groups {
        headers.append(GROUP, group.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use http::Response;
    use podlatch_protocol::identity::ClaimedPerson;

    use super::*;

    fn person() -> Acting {
        let groups = vec!["dev".to_owned(), "shop:ops".to_owned()];
        Acting::Person(
            Impersonated::parse(ClaimedPerson { user: "podlatch:anna".to_owned(), groups }).expect("may pass"),
        )
    }

    /// What the API server gets to see of a request with `forged` headers.
    async fn seen(acting: &Acting, forged: &[(&'static str, &'static str)]) -> HeaderMap {
        let seen = Arc::new(Mutex::new(HeaderMap::new()));
        let keep = Arc::clone(&seen);
        let service = tower::service_fn(move |request: Request<Body>| {
            *keep.lock().expect("not poisoned") = request.headers().clone();
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
        let client = Cluster::new(Client::new(service, "default")).client(acting).expect("may act");
        let mut request = Request::get("/version").body(Body::empty()).expect("valid");
        for (name, value) in forged {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        client.send(request).await.expect("answers");
        seen.lock().expect("not poisoned").clone()
    }

    #[tokio::test]
    async fn a_person_is_named_with_their_groups_and_nothing_else() {
        let forged = [("impersonate-user", "root"), ("impersonate-group", "system:masters"), ("impersonate-uid", "0")];
        let headers = seen(&person(), &forged).await;
        assert_eq!(headers.get_all("impersonate-user").iter().collect::<Vec<_>>(), ["podlatch:anna"]);
        assert_eq!(headers.get_all("impersonate-group").iter().collect::<Vec<_>>(), ["dev", "shop:ops"]);
        assert_eq!(headers.get("impersonate-uid"), None);
    }

    #[tokio::test]
    async fn nobody_is_impersonated_by_the_holder_itself() {
        assert!(seen(&Acting::Own, &[]).await.keys().all(|name| !name.as_str().starts_with(IMPERSONATE)));
    }
}
