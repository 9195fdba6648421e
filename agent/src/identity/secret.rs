//! The identity as a Kubernetes Secret.

use std::collections::BTreeMap;

use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use secrecy::{ExposeSecret, SecretString};

use super::{IdentityStore, StoreFuture, StoredIdentity};

/// Keeps the identity in a Secret. Where the Secret exists already, `get` and `update` on it are enough.
#[derive(Clone)]
pub struct SecretStore {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

impl std::fmt::Debug for SecretStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretStore({}/{})", self.namespace, self.name)
    }
}

const PRIVATE_KEY: &str = "tls.key";
const CERTIFICATE: &str = "tls.crt";
const CA: &str = "ca.crt";
const RELAY_PIN: &str = "relay-pin";
const ENROLLED_WITH: &str = "enrolled-with";

impl SecretStore {
    /// Keeps it in the Secret `name` of `namespace`.
    pub fn new(client: kube::Client, namespace: String, name: String) -> Self {
        Self { api: Api::namespaced(client, &namespace), namespace, name }
    }

    async fn read(&self) -> anyhow::Result<Option<StoredIdentity>> {
        let secret = self
            .api
            .get_opt(&self.name)
            .await
            .with_context(|| format!("{} could not be read; the agent needs \"get\" on it", self.location()))?;
        secret.and_then(|secret| secret.data).map_or(Ok(None), |data| parse(&data, &self.location()))
    }

    async fn write(&self, identity: &StoredIdentity) -> anyhow::Result<()> {
        self.replace(to_data(identity)).await.with_context(|| {
            format!(
                "{} could not be written; the agent needs \"get\" and \"update\" on it, and \"create\" where it does not exist",
                self.location()
            )
        })
    }

    /// Reads, changes and writes back: the installer's labels stay, and a second writer is noticed by the resource version.
    async fn replace(&self, data: BTreeMap<String, ByteString>) -> Result<(), kube::Error> {
        let options = PostParams::default();
        if let Some(mut secret) = self.api.get_opt(&self.name).await? {
            secret.data = Some(data);
            return self.api.replace(&self.name, &options, &secret).await.map(drop);
        }
        let mut secret = Secret { data: Some(data), ..Secret::default() };
        secret.metadata.name = Some(self.name.clone());
        self.api.create(&options, &secret).await.map(drop)
    }
}

impl IdentityStore for SecretStore {
    fn load(&self) -> StoreFuture<'_, Option<StoredIdentity>> {
        Box::pin(self.read())
    }

    fn save<'a>(&'a self, identity: &'a StoredIdentity) -> StoreFuture<'a, ()> {
        Box::pin(self.write(identity))
    }

    fn location(&self) -> String {
        format!("the Secret {}/{}", self.namespace, self.name)
    }
}

fn to_data(identity: &StoredIdentity) -> BTreeMap<String, ByteString> {
    let entry = |key: &str, value: &str| (key.to_owned(), ByteString(value.as_bytes().to_vec()));
    BTreeMap::from([
        entry(PRIVATE_KEY, identity.private_key.expose_secret()),
        entry(CERTIFICATE, &identity.certificate),
        entry(CA, &identity.ca),
        entry(RELAY_PIN, &identity.relay_pin),
        entry(ENROLLED_WITH, &identity.enrolled_with),
    ])
}

/// An empty Secret, as an installer makes it, holds no identity; a half one is damaged.
fn parse(data: &BTreeMap<String, ByteString>, location: &str) -> anyhow::Result<Option<StoredIdentity>> {
    if !data.contains_key(PRIVATE_KEY) {
        return Ok(None);
    }
    let text = |key: &str| {
        let value = data.get(key).and_then(|value| String::from_utf8(value.0.clone()).ok());
        value.with_context(|| {
            format!("{location} is damaged: {key} is missing; empty it and enrol with a new join token")
        })
    };
    Ok(Some(StoredIdentity {
        private_key: SecretString::from(text(PRIVATE_KEY)?),
        certificate: text(CERTIFICATE)?,
        ca: text(CA)?,
        relay_pin: text(RELAY_PIN)?,
        enrolled_with: text(ENROLLED_WITH)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::identity;

    #[test]
    fn an_identity_survives_a_secret_and_a_half_one_is_an_error() {
        let stored = identity().stored().clone();
        let mut data = to_data(&stored);
        let again = parse(&data, "here").expect("parses").expect("is there");
        assert_eq!(again.private_key.expose_secret(), stored.private_key.expose_secret());
        assert_eq!((again.certificate, again.ca), (stored.certificate, stored.ca));
        data.remove(CA);
        assert!(parse(&data, "here").expect_err("is damaged").to_string().contains("ca.crt"));
        assert!(parse(&BTreeMap::new(), "here").expect("is empty").is_none());
    }
}
