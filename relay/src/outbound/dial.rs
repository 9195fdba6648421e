//! Resolving once, looking at every answer, connecting to what was looked at.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use super::class::AddressClass;
use super::host::{DnsName, Host};
use super::policy::AddressPolicy;

/// How long a resolver may take.
const RESOLVE: Duration = Duration::from_secs(5);

/// How long one address may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// Answers that are looked at; a name with more is refused, so that none goes unseen.
const MAX_ANSWERS: usize = 32;

/// Addresses that are tried, one after the other.
const MAX_ATTEMPTS: usize = 3;

/// Nothing was connected to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// The name has no address, or the resolver does not answer.
    #[error("the name {0} could not be resolved; check its spelling, and that it is known in public DNS")]
    NotResolved(DnsName),
    /// Too many to look at.
    #[error("the name {0} has more than {MAX_ANSWERS} addresses")]
    TooManyAddresses(DnsName),
    /// One of the addresses is not to be dialled.
    #[error("{host} is not dialled, because {address} is {class}; a cluster there is reached through an agent")]
    Refused {
        /// What was asked for.
        host: Host,
        /// The address.
        address: IpAddr,
        /// What it is.
        class: AddressClass,
    },
    /// Nothing accepted the connection in time.
    #[error("nothing answered in time; a firewall may drop what comes from this relay")]
    TimedOut,
    /// Nothing listens there.
    #[error("the connection was refused: nothing listens on this port")]
    ConnectionRefused,
    /// There is no way there.
    #[error("there is no way to this address from here")]
    Unreachable,
}

/// A resolver's answer.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Turns names into addresses.
pub trait Resolve: fmt::Debug + Send + Sync {
    /// Every address of a name. Cancel safe.
    fn resolve<'a>(&'a self, name: &'a DnsName) -> Resolving<'a>;
}

/// The operating system's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a DnsName) -> Resolving<'a> {
        Box::pin(async move {
            // The port is of no account here.
            Ok(lookup_host((name.as_str(), 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// The one way out. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Dialler {
    policy: Arc<AddressPolicy>,
    resolver: Arc<dyn Resolve>,
    receive_buffer: Option<u32>,
}

/// Addresses of one host that were all found to be fine. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned(Vec<IpAddr>);

impl Pinned {
    /// The addresses.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0
    }
}

impl Dialler {
    /// Dials what the policy permits.
    pub fn new(policy: AddressPolicy, resolver: Arc<dyn Resolve>) -> Self {
        Self { policy: Arc::new(policy), resolver, receive_buffer: None }
    }

    /// The same, with sockets that take in so many bytes ahead at most.
    #[must_use]
    pub fn with_receive_buffer(self, bytes: u32) -> Self {
        Self { receive_buffer: Some(bytes), ..self }
    }

    /// Resolves a host and looks at every answer: one that must not be dialled spoils all. Cancel safe.
    pub async fn pin(&self, host: &Host) -> Result<Pinned, DialError> {
        let addresses = match host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolve(name).await?,
        };
        for address in &addresses {
            self.policy.permit(*address).map_err(|class| DialError::Refused {
                host: host.clone(),
                address: *address,
                class,
            })?;
        }
        Ok(Pinned(addresses))
    }

    async fn resolve(&self, name: &DnsName) -> Result<Vec<IpAddr>, DialError> {
        // By definition this machine (RFC 6761 section 6.3), whatever a resolver says.
        if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let not_resolved = || DialError::NotResolved(name.clone());
        let answer = timeout(RESOLVE, self.resolver.resolve(name)).await.map_err(|_| not_resolved())?;
        let mut addresses = answer.map_err(|_| not_resolved())?;
        addresses.dedup();
        match addresses.len() {
            0 => Err(not_resolved()),
            1..=MAX_ANSWERS => Ok(addresses),
            _ => Err(DialError::TooManyAddresses(name.clone())),
        }
    }

    /// Connects to the first of the addresses that accepts. Cancel safe.
    pub async fn connect(&self, pinned: &Pinned, port: u16) -> Result<TcpStream, DialError> {
        let mut failure = DialError::Unreachable;
        for address in pinned.0.iter().take(MAX_ATTEMPTS) {
            match timeout(CONNECT, self.connect_one(SocketAddr::new(*address, port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    failure = DialError::ConnectionRefused;
                }
                Ok(Err(_)) => {}
                Err(_) => failure = DialError::TimedOut,
            }
        }
        Err(failure)
    }

    /// Resolves, looks and connects. Cancel safe.
    pub async fn dial(&self, host: &Host, port: u16) -> Result<TcpStream, DialError> {
        let pinned = self.pin(host).await?;
        self.connect(&pinned, port).await
    }

    async fn connect_one(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.set_nodelay(true)?;
        socket.connect(address).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    /// Says something else each time, as rebinding DNS does.
    #[derive(Debug, Default)]
    struct Scripted {
        answers: Vec<Vec<IpAddr>>,
        asked: AtomicUsize,
    }

    impl Scripted {
        fn new(answers: &[&[&str]]) -> Arc<Self> {
            let parse = |answer: &&[&str]| answer.iter().map(|address| address.parse().expect("an address")).collect();
            Arc::new(Self { answers: answers.iter().map(parse).collect(), asked: AtomicUsize::new(0) })
        }
    }

    impl Resolve for Scripted {
        fn resolve<'a>(&'a self, _name: &'a DnsName) -> Resolving<'a> {
            let turn = self.asked.fetch_add(1, Ordering::Relaxed);
            let answer = self.answers.get(turn).cloned();
            Box::pin(async move { answer.ok_or_else(|| io::Error::other("no answer")) })
        }
    }

    fn name() -> Host {
        "api.example.org".parse().expect("a name")
    }

    fn class_of(error: &DialError) -> Option<AddressClass> {
        match error {
            DialError::Refused { class, .. } => Some(*class),
            _ => None,
        }
    }

    #[tokio::test]
    async fn one_bad_answer_spoils_all_and_nothing_is_connected_to() {
        for (answer, class) in [
            (&["1.1.1.1", "10.0.0.1"][..], AddressClass::Private),
            (&["1.1.1.1", "2606:4700::1111", "::ffff:127.0.0.1"], AddressClass::EmbeddedV4),
            (&["169.254.169.254"], AddressClass::Metadata),
            (&["1.1.1.1", "64:ff9b::7f00:1"], AddressClass::Nat64),
        ] {
            let dialler = Dialler::new(AddressPolicy::default(), Scripted::new(&[answer]));
            let error = dialler.dial(&name(), 443).await.expect_err("is refused");
            assert_eq!(class_of(&error), Some(class), "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_so_that_a_second_answer_cannot_differ() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        let allowed = AddressPolicy::allowing(vec!["127.0.0.1".parse().expect("a block")]);
        let resolver = Scripted::new(&[&["127.0.0.1"], &["169.254.169.254"]]);
        let dialler = Dialler::new(allowed, Arc::clone(&resolver) as Arc<dyn Resolve>);
        let stream = dialler.dial(&name(), port).await.expect("connects");
        assert_eq!(stream.peer_addr().expect("is connected").ip(), Ipv4Addr::LOCALHOST);
        assert_eq!(resolver.asked.load(Ordering::Relaxed), 1);
        let error = dialler.dial(&name(), port).await.expect_err("is looked at anew");
        assert_eq!(class_of(&error), Some(AddressClass::Metadata));
    }

    #[tokio::test]
    async fn this_machine_is_known_by_its_name_without_asking() {
        let resolver = Scripted::new(&[&["1.1.1.1"]]);
        let dialler = Dialler::new(AddressPolicy::default(), Arc::clone(&resolver) as Arc<dyn Resolve>);
        for name in ["localhost", "LOCALHOST", "api.localhost"] {
            let error = dialler.pin(&name.parse().expect("a name")).await.expect_err("is refused");
            assert_eq!(class_of(&error), Some(AddressClass::Loopback), "{name}");
        }
        assert_eq!(resolver.asked.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_name_without_an_address_or_with_too_many_is_refused() {
        let many: Vec<String> = (0..=MAX_ANSWERS).map(|number| format!("1.1.1.{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let dialler = Dialler::new(AddressPolicy::default(), Scripted::new(&[&[], &many]));
        assert!(matches!(dialler.pin(&name()).await, Err(DialError::NotResolved(_))));
        assert!(matches!(dialler.pin(&name()).await, Err(DialError::TooManyAddresses(_))));
    }

    #[tokio::test]
    async fn a_port_on_which_nothing_listens_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("is bound").port();
        drop(listener);
        let allowed = AddressPolicy::allowing(vec!["127.0.0.1".parse().expect("a block")]);
        let dialler = Dialler::new(allowed, Arc::new(SystemResolver));
        let error = dialler.dial(&"127.0.0.1".parse().expect("a host"), port).await.expect_err("nothing listens");
        assert_eq!(error, DialError::ConnectionRefused);
    }
}
