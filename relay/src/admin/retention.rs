//! `admin recording-retention`: how long an organisation keeps recordings.

use std::fmt;

use clap::Args;
use serde::Serialize;

use super::{Desk, lookup};
use crate::domain::audit::Origin;
use crate::domain::recording::RetentionDays;

/// The flags.
#[derive(Debug, Clone, Args)]
pub struct RetentionArgs {
    /// The organisation, by name or id
    #[arg(long, value_name = "NAME|ID")]
    organisation: String,

    /// Delete recordings this many days after their session's end
    #[arg(long, value_name = "DAYS", conflicts_with = "keep")]
    days: Option<RetentionDays>,

    /// Keep recordings for ever
    #[arg(long)]
    keep: bool,
}

/// What holds now.
#[derive(Debug, Serialize)]
pub(super) struct Retention {
    organisation: String,
    days: Option<u32>,
}

pub(super) async fn run(desk: &Desk, args: RetentionArgs) -> anyhow::Result<Retention> {
    let organisation = lookup::organisation(&desk.store, &args.organisation).await?;
    if args.keep || args.days.is_some() {
        let by = (Origin::operator(), desk.now());
        desk.store.set_recording_retention(organisation.id, args.days, by).await?;
    }
    let days = desk.store.recording_retention(organisation.id).await?.map(RetentionDays::get);
    Ok(Retention { organisation: organisation.name.to_string(), days })
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.days {
            Some(days) => writeln!(f, "{} keeps recordings for {days} days.", self.organisation),
            None => writeln!(f, "{} keeps recordings for ever.", self.organisation),
        }
    }
}
