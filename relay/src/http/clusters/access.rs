//! How a public cluster is reached, as clients give it; and `PUT /api/v1/clusters/{id}/access`, which replaces it.

use axum::extract::State;
use http::StatusCode;
use podlatch_protocol::id::ClusterId;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::ToSchema;

use super::find;
use crate::app::App;
use crate::auth::seal::SealError;
use crate::domain::access::Administration;
use crate::domain::audit::Place;
use crate::domain::cluster::ClusterType;
use crate::http::context::CallContext;
use crate::http::extract::{IdPath, JsonBody};
use crate::http::problem::{Problem, ProblemDocument, ProblemKind};
use crate::public::access::{ApiServer, BearerToken, CaBundle, ClientCertificate};
use crate::public::{ClusterAccess, Credential, kubeconfig, seal, sentence};

/// How a public cluster is reached: a kubeconfig, or the fields one by one. It is sealed, and never told again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterAccessBody {
    /// A kubeconfig, whose current context counts. At most 64 KiB; no programs, no files, no proxies.
    #[schema(value_type = Option<String>)]
    pub(super) kubeconfig: Option<SecretString>,
    /// The API server's address, as https://host[:port].
    pub(super) server: Option<String>,
    /// The CA that signed the server's certificate, as PEM; without it, the web's authorities are trusted.
    pub(super) ca: Option<String>,
    /// The name in the server's certificate, where it is another than the address's.
    pub(super) tls_server_name: Option<String>,
    /// A bearer token, of a service account for one.
    #[schema(value_type = Option<String>)]
    pub(super) token: Option<SecretString>,
    /// A client certificate with its chain, as PEM.
    pub(super) client_certificate: Option<String>,
    /// Its key, as PEM.
    #[schema(value_type = Option<String>)]
    pub(super) client_key: Option<SecretString>,
}

fn refused(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Unprocessable, sentence(error))
}

impl TryFrom<ClusterAccessBody> for ClusterAccess {
    type Error = Problem;

    fn try_from(body: ClusterAccessBody) -> Result<Self, Problem> {
        if let Some(text) = &body.kubeconfig {
            return if body.has_fields() {
                Err(refused(&"give a kubeconfig or the single fields, not both"))
            } else {
                kubeconfig::parse(text).map_err(|error| refused(&error))
            };
        }
        let server = body.server.as_deref().filter(|server| !server.is_empty());
        let server = server.ok_or_else(|| refused(&"give a kubeconfig, or a server with a credential"))?;
        let present = |text: &Option<String>| text.as_deref().filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let server = ApiServer {
            url: server.parse().map_err(|error| refused(&error))?,
            ca: present(&body.ca).map(|ca| CaBundle::from_pem(&ca)).transpose().map_err(|error| refused(&error))?,
            tls_name: present(&body.tls_server_name)
                .map(|name| name.parse())
                .transpose()
                .map_err(|_| refused(&"the TLS server name is not a DNS name"))?,
        };
        let credential = match (body.token, body.client_certificate, body.client_key) {
            (Some(token), None, None) => BearerToken::new(token).map(Credential::Token),
            (None, Some(chain), Some(key)) => ClientCertificate::from_pem(&chain, key).map(Credential::Certificate),
            _ => return Err(refused(&"give a token, or a client certificate with its key")),
        };
        Ok(Self { server, credential: credential.map_err(|error| refused(&error))? })
    }
}

impl ClusterAccessBody {
    fn has_fields(&self) -> bool {
        let key = self.client_key.as_ref().is_some_and(|key| !key.expose_secret().is_empty());
        let texts = [&self.server, &self.ca, &self.tls_server_name, &self.client_certificate];
        texts.into_iter().any(Option::is_some) || self.token.is_some() || key
    }
}

/// A credential that could not be sealed.
pub(super) fn unsealed(error: SealError) -> Problem {
    tracing::error!("a cluster's credential could not be sealed: {error}");
    Problem::new(ProblemKind::Internal, "The credential could not be sealed. Tell the operator of this relay.")
}

/// Replaces where a public cluster is reached and as whom. Its sessions go on; whatever is opened from now on goes the new
/// way.
#[utoipa::path(
    put,
    path = "/clusters/{id}/access",
    operation_id = "replaceClusterAccess",
    tag = "clusters",
    params(("id" = String, Path, description = "The cluster's id")),
    request_body = ClusterAccessBody,
    responses(
        (status = 204),
        (status = "4XX", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub async fn put(
    State(app): State<App>,
    context: CallContext,
    IdPath(id): IdPath<ClusterId>,
    JsonBody(body): JsonBody<ClusterAccessBody>,
) -> Result<StatusCode, Problem> {
    let organisation = context.actor.organisation;
    let cluster = find(&app, &context, id).await?.cluster;
    context.require_administration(&app, Administration::Clusters, Place::Cluster(cluster.id)).await?;
    if cluster.cluster_type != ClusterType::Public {
        return Err(refused(&"this cluster is reached through its agent; it has no credential here"));
    }
    let access = ClusterAccess::try_from(body)?;
    let sealed = seal(&app.sealing, (organisation, cluster.id), &access).map_err(unsealed)?;
    app.store.replace_access((organisation, cluster.id), &sealed, &context.origin(), context.now).await?;
    app.public_clusters.ring();
    Ok(StatusCode::NO_CONTENT)
}
