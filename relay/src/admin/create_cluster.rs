//! `admin create-cluster`: registers a private cluster, or a public one with a kubeconfig.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::{ArgAction, Args};
use podlatch_protocol::id::ClusterId;
use secrecy::SecretString;
use serde::Serialize;

use super::answer::Answer;
use super::join_command::issue;
use super::{Desk, lookup};
use crate::auth::seal::SealingKeys;
use crate::domain::audit::Origin;
use crate::domain::cluster::ClusterType;
use crate::domain::labels::Labels;
use crate::domain::name::DisplayName;
use crate::joining::MAX_REPLICAS;
use crate::public::{ClusterAccess, kubeconfig, seal};
use crate::store::{NewCluster, StoreError};

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct CreateClusterArgs {
    /// The owning organisation, by name or id
    #[arg(long, value_name = "NAME|ID")]
    organisation: String,

    /// The cluster's name
    #[arg(long, value_name = "NAME")]
    name: DisplayName,

    /// How many replicas of the agent are to join with the token
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=MAX_REPLICAS))]
    replicas: u16,
    /// The relay reaches the cluster by itself, without an agent
    #[arg(long, requires = "kubeconfig", action = ArgAction::SetTrue)]
    public: bool,

    /// How a public cluster is reached: the current context of this kubeconfig, `-` for standard input. Its credential is
    /// sealed
    #[arg(long, requires = "public", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

pub(super) async fn run(desk: &Desk, args: CreateClusterArgs) -> anyhow::Result<Box<dyn Answer>> {
    let organisation = lookup::organisation(&desk.store, &args.organisation).await?;
    let access = args.kubeconfig.as_deref().map(read).transpose()?;
    let new = NewCluster {
        id: desk.new_id(ClusterId::new),
        organisation: organisation.id,
        name: args.name,
        cluster_type: if access.is_some() { ClusterType::Public } else { ClusterType::Private },
        labels: Labels::default(),
    };
    let taken = |error| match error {
        StoreError::Taken(_) => {
            anyhow!("{} has a cluster {}; `admin join-token` prints how to join it", organisation.name, new.name)
        }
        other => other.into(),
    };
    let by = Origin::operator();
    let Some(access) = access else {
        let cluster = desk.store.create_cluster(&new, &by, desk.now()).await.map_err(taken)?;
        return Ok(Box::new(issue(desk, &cluster, args.replicas).await?));
    };
    let keys = SealingKeys::load_or_create(desk.sealing_key_file.as_deref(), &desk.data, &desk.entropy)?;
    let sealed = seal(&keys, (new.organisation, new.id), &access)?;
    let cluster = desk.store.create_public_cluster(&new, &sealed, &by, desk.now()).await.map_err(taken)?;
    let server = access.server.url.to_string();
    Ok(Box::new(Registered { cluster: cluster.id.to_string(), name: cluster.name.to_string(), server }))
}

/// A public cluster that was registered.
#[derive(Debug, Serialize)]
struct Registered {
    cluster: String,
    name: String,
    server: String,
}

impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, name, server } = self;
        writeln!(f, "Cluster {name} ({cluster}), reached at {server}.")?;
        writeln!(f, "A relay that runs serves it within a second; the console tests the connection.")
    }
}

fn read(path: &Path) -> anyhow::Result<ClusterAccess> {
    let limit = kubeconfig::MAX_BYTES as u64 + 1;
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_string(&mut text))
    };
    read.with_context(|| format!("the kubeconfig {} could not be read", path.display()))?;
    match kubeconfig::parse(&SecretString::from(text)) {
        Ok(access) => Ok(access),
        Err(error) => bail!("the kubeconfig {} is not taken: {error}", path.display()),
    }
}
