//! `admin set-limits`: how long the sessions of an organisation, or of one of its clusters, may live.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use super::{Desk, lookup};
use crate::config::{InvalidSessionTime, SessionTime};
use crate::domain::audit::Origin;
use crate::domain::session_limits::LimitSettings;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct SetLimitsArgs {
    /// The organisation whose sessions are meant, by name or id
    #[arg(long, value_name = "NAME|ID", required_unless_present = "cluster")]
    organisation: Option<String>,

    /// The cluster whose sessions are meant, by name or id; what is shorter, its organisation's times or its own, holds
    #[arg(long, value_name = "NAME|ID")]
    cluster: Option<String>,

    /// How long a session lives at most, or "default"
    #[arg(long, value_name = "TIME", default_value = "default")]
    session_max: Limit,

    /// After how long without anybody typing a session is flagged idle, or "default"
    #[arg(long, value_name = "TIME", default_value = "default")]
    idle_after: Limit,

    /// After how long without anybody typing a session is closed, or "default"
    #[arg(long, value_name = "TIME", default_value = "default")]
    idle_close: Limit,
}

/// A limit, or none of one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit(Option<SessionTime>);

impl FromStr for Limit {
    type Err = InvalidSessionTime;

    fn from_str(text: &str) -> Result<Self, InvalidSessionTime> {
        if text == "default" { Ok(Self(None)) } else { text.parse().map(|time| Self(Some(time))) }
    }
}

impl Limit {
    fn time(self) -> Option<Duration> {
        self.0.map(SessionTime::get)
    }
}

/// What was set.
#[derive(Debug, Serialize)]
pub(super) struct LimitsSet {
    kind: &'static str,
    id: String,
    session_max_seconds: Option<u64>,
    idle_after_seconds: Option<u64>,
    idle_close_seconds: Option<u64>,
}

pub(super) async fn run(desk: &Desk, args: SetLimitsArgs) -> anyhow::Result<LimitsSet> {
    let settings = LimitSettings {
        session_max: args.session_max.time(),
        idle_after: args.idle_after.time(),
        idle_close: args.idle_close.time(),
    };
    let by = (Origin::operator(), desk.now());
    let organisation = match &args.organisation {
        Some(named) => Some(lookup::organisation(&desk.store, named).await?),
        None => None,
    };
    let (kind, id) = match (&args.cluster, &organisation) {
        (Some(named), organisation) => {
            let cluster = lookup::cluster(&desk.store, named).await?;
            let fits = organisation.as_ref().is_none_or(|organisation| organisation.id == cluster.organisation);
            ensure!(fits, "the cluster belongs to another organisation");
            desk.store.set_cluster_limits(cluster.organisation, cluster.id, &settings, by).await?;
            ("cluster", cluster.id.to_string())
        }
        (None, Some(organisation)) => {
            desk.store.set_organisation_limits(organisation.id, &settings, by).await?;
            ("organisation", organisation.id.to_string())
        }
        (None, None) => anyhow::bail!("say whose sessions are meant: --organisation or --cluster"),
    };
    let seconds = |limit: Limit| limit.time().map(|time| time.as_secs());
    Ok(LimitsSet {
        kind,
        id,
        session_max_seconds: seconds(args.session_max),
        idle_after_seconds: seconds(args.idle_after),
        idle_close_seconds: seconds(args.idle_close),
    })
}

impl fmt::Display for LimitsSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: Option<u64>| seconds.map_or("default".to_owned(), |seconds| format!("{seconds} s"));
        let (max, idle, close) =
            (time(self.session_max_seconds), time(self.idle_after_seconds), time(self.idle_close_seconds));
        writeln!(
            f,
            "New sessions of the {} {}: at most {max}, idle after {idle}, closed after {close}.",
            self.kind, self.id
        )
    }
}
