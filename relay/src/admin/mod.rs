//! `podlatch-relay admin`: what an operator does on the database, beside a running relay or without one.

mod answer;
mod create_cluster;
mod create_organisation;
mod invite;
mod join_command;
mod join_token;
mod list;
mod lookup;
mod retention;
mod revoke;
mod set_limits;
mod set_password;
mod sign_in_link;
mod suspend;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Subcommand};

use self::answer::{Answer, Format};
use crate::clock::{Clock, UnixMillis};
use crate::config::{AddressArgs, DataArgs, PublicUrl};
use crate::data_folder;
use crate::domain::people::Suspension;
use crate::entropy::Entropy;
use crate::store::Store;

/// The flags of `admin`.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// Where the relay keeps what it knows.
    #[command(flatten)]
    pub data: DataArgs,

    /// How people and agents reach the relay.
    #[command(flatten)]
    pub addresses: AddressArgs,

    /// Print JSON, for scripts
    #[arg(long, env = "PODLATCH_JSON", global = true, value_parser = crate::config::switch(), action = clap::ArgAction::SetTrue)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum AdminCommand {
    /// Create an organisation with its first owner; prints their one-time sign-in link
    CreateOrganisation(create_organisation::CreateOrganisationArgs),
    /// Print a new one-time sign-in link for somebody
    SignInLink(sign_in_link::SignInLinkArgs),
    /// Invite somebody into an organisation; prints their one-time link
    Invite(invite::InviteArgs),
    /// Set somebody's password, read from standard input or a file; counts where the relay runs with --password-sign-in
    SetPassword(set_password::SetPasswordArgs),
    /// Register a private cluster, and print how to install its agent; or a public one (--public), with a kubeconfig
    CreateCluster(create_cluster::CreateClusterArgs),
    /// Print a new one-use join token for a cluster, and how to install its agent
    JoinToken(join_token::JoinTokenArgs),
    /// Say how long the sessions of an organisation or a cluster may live; holds for those that are opened from then on
    SetLimits(set_limits::SetLimitsArgs),
    /// Set, or only show, how long an organisation keeps recordings
    RecordingRetention(retention::RetentionArgs),
    /// List what there is
    #[command(subcommand)]
    List(list::ListCommand),
    /// Suspend somebody, or a whole organisation: logins, tokens and sessions end within seconds, until it is lifted
    #[command(subcommand)]
    Suspend(suspend::SuspendCommand),
    /// Lift a suspension
    #[command(subcommand)]
    Restore(suspend::SuspendCommand),
    /// Withdraw a right for good
    #[command(subcommand)]
    Revoke(revoke::RevokeCommand),
}

/// What every admin command works with.
struct Desk {
    data: PathBuf,
    sealing_key_file: Option<PathBuf>,
    addresses: AddressArgs,
    store: Store,
    clock: Clock,
    entropy: Entropy,
}

impl Desk {
    fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The address that people open: unless given, the one of a relay that is started without flags.
    fn public_url(&self) -> anyhow::Result<PublicUrl> {
        match &self.addresses.public_url {
            Some(url) => Ok(url.clone()),
            None => "http://127.0.0.1:8080".parse().context("the default public URL is valid"),
        }
    }

    fn new_id<I>(&self, make: fn(u64, &[u8; 10]) -> I) -> I {
        make(self.now().since_epoch(), &self.entropy.bytes())
    }
}

/// Does what the arguments say, and prints the outcome. Not cancel safe.
pub async fn run(args: AdminArgs, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    data_folder::create(&args.data.data)?;
    let database = args.data.database();
    let store = Store::open(&database).await.with_context(|| format!("cannot open {database}"))?;
    store.migrate().await?;
    let desk = Desk {
        sealing_key_file: args.data.sealing_key_file,
        data: args.data.data,
        addresses: args.addresses,
        store,
        clock: Clock::system(),
        entropy: Entropy::system(),
    };
    let format = if args.json { Format::Json } else { Format::Text };
    let answer: Box<dyn Answer> = match args.command {
        AdminCommand::CreateOrganisation(args) => Box::new(create_organisation::run(&desk, args).await?),
        AdminCommand::SignInLink(args) => Box::new(sign_in_link::run(&desk, args).await?),
        AdminCommand::Invite(args) => Box::new(invite::run(&desk, args).await?),
        AdminCommand::SetPassword(args) => Box::new(set_password::run(&desk, args).await?),
        AdminCommand::CreateCluster(args) => create_cluster::run(&desk, args).await?,
        AdminCommand::JoinToken(args) => Box::new(join_token::run(&desk, args).await?),
        AdminCommand::SetLimits(args) => Box::new(set_limits::run(&desk, args).await?),
        AdminCommand::RecordingRetention(args) => Box::new(retention::run(&desk, args).await?),
        AdminCommand::List(command) => list::run(&desk, command).await?,
        AdminCommand::Suspend(command) => Box::new(suspend::run(&desk, command, Suspension::Suspend).await?),
        AdminCommand::Restore(command) => Box::new(suspend::run(&desk, command, Suspension::Lift).await?),
        AdminCommand::Revoke(command) => Box::new(revoke::run(&desk, command).await?),
    };
    desk.store.close().await;
    answer::print(answer.as_ref(), format, out)
}
