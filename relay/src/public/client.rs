//! The client for a public cluster's API server: TLS as the cluster's access says, over the one way out.

use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use podlatch_cluster::DirectServer;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::access::{ApiServer, CaBundle, ClusterAccess, Credential, InvalidAccess};
use crate::outbound::{Connector, Dialler, Host, web_roots};

/// What the API server's audit log shows for this relay.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("podlatch-relay/", env!("CARGO_PKG_VERSION")));

/// Half of what the kernel takes in of an exec's output ahead of the person, in bytes: `podexec::client` says why so little.
const RECEIVE_BUFFER_BYTES: u32 = 160 * 1024;

/// No client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The access makes no sense.
    #[error(transparent)]
    Access(#[from] InvalidAccess),
    /// The address is none for HTTP, or TLS refuses the certificates.
    #[error("no client could be made for the API server")]
    Unusable,
}

/// A client for the API server, which dials nothing yet.
pub fn direct(dialler: &Dialler, access: &ClusterAccess) -> Result<DirectServer, ClientError> {
    let url: Uri = access.server.url.to_string().parse().map_err(|_| ClientError::Unusable)?;
    let names = FixedServerNameResolver::new(server_name(&access.server)?);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls(access)?)
        .https_only()
        .with_server_name_resolver(names)
        .enable_http1()
        .wrap_connector(Connector::new(dialler.clone().with_receive_buffer(RECEIVE_BUFFER_BYTES)));
    let token = match &access.credential {
        Credential::Token(token) => Some(token.secret().clone()),
        Credential::Certificate(_) => None,
    };
    DirectServer::new(url, token, USER_AGENT, connector).map_err(|_| ClientError::Unusable)
}

/// TLS towards the API server.
pub fn tls(access: &ClusterAccess) -> Result<ClientConfig, ClientError> {
    let roots = access.server.ca.as_ref().map_or_else(web_roots, CaBundle::roots);
    let config = ClientConfig::builder().with_root_certificates(Arc::new(roots));
    match &access.credential {
        Credential::Token(_) => Ok(config.with_no_client_auth()),
        Credential::Certificate(certificate) => {
            let (chain, key) = certificate.parts()?;
            config.with_client_auth_cert(chain, key).map_err(|_| ClientError::Unusable)
        }
    }
}

/// The name that the API server's certificate must have.
pub fn server_name(server: &ApiServer) -> Result<ServerName<'static>, ClientError> {
    let name = match (&server.tls_name, server.url.host()) {
        (Some(name), _) | (None, Host::Name(name)) => ServerName::try_from(name.as_str().to_owned()),
        (None, Host::Address(address)) => return Ok(ServerName::from(*address)),
    };
    name.map_err(|_| ClientError::Unusable)
}
