//! How the relay dials addresses that others chose: API servers of public clusters, issuers of identities.
//!
//! One way leads out ([`Dialler`]): a host in one spelling ([`host`]) is resolved once, every answer is classified
//! ([`class`]), and the connection goes to an address that was looked at, never to a name. Only the internet is reached,
//! unless the operator allows more ([`AddressPolicy`]). No redirect is followed, no proxy is taken from the environment.
//!
//! Addresses that the operator configured (the audit webhook, the recordings store) are trusted, and dialled elsewhere.

pub mod class;
mod connector;
mod dial;
pub mod host;
mod http_client;
mod policy;

pub use class::{AddressClass, classify};
pub use connector::{Connector, web_roots, web_tls};
pub use dial::{DialError, Dialler, Pinned, Resolve, Resolving, SystemResolver};
pub use host::{DnsName, Host, HttpsUrl, InvalidUrl};
pub use http_client::{FetchError, HttpClient};
pub use policy::AddressPolicy;
