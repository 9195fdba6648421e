//! A client for an API server that is reached over a connector of one's own, as one's own credential says.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use secrecy::SecretString;
use tower::util::BoxCloneService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

type ApiService = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// An API server and the credential for it. Both can be replaced while clients of it are in use: connections that stand go on,
/// new requests go the new way. Cheap to clone.
#[derive(Clone)]
pub struct DirectServer {
    service: Arc<Mutex<ApiService>>,
}

impl std::fmt::Debug for DirectServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DirectServer").finish_non_exhaustive()
    }
}

impl DirectServer {
    /// The server at `url`, reached by `connector`, which does TLS as well. Nothing is read from the environment, and no
    /// redirect is followed.
    pub fn new<C>(
        url: Uri,
        token: Option<SecretString>,
        user_agent: HeaderValue,
        connector: C,
    ) -> Result<Self, kube::Error>
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let mut config = Config::new(url);
        config.headers.push((USER_AGENT, user_agent));
        config.auth_info.token = token;
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector));
        Ok(Self { service: Arc::new(Mutex::new(BoxCloneService::new(service))) })
    }

    /// From now on this is `other`, also for the clients that there are.
    pub fn replace(&self, other: &Self) {
        let new = other.current();
        *self.service.lock().unwrap_or_else(PoisonError::into_inner) = new;
    }

    /// A client.
    pub fn client(&self) -> Client {
        Client::new(self.clone(), "default")
    }

    fn current(&self) -> ApiService {
        self.service.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Service<Request<Body>> for DirectServer {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.current().oneshot(request))
    }
}
