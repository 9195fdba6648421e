//! `admin list`: what there is, of every organisation.

use std::fmt;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::answer::{Answer, plain};
use super::{Desk, lookup};
use crate::clock::UnixMillis;
use crate::domain::organisation::Organisation;
use crate::store::{Cursor, Page, PageRequest, SessionFilter, StateFilter, StoreError};

/// What to list.
#[derive(Debug, Clone, Subcommand)]
pub enum ListCommand {
    /// Organisations
    Organisations,
    /// People, with what they are in which organisation
    People(OrganisationFilter),
    /// Clusters that are not revoked
    Clusters(OrganisationFilter),
    /// Agents of a cluster
    Agents {
        /// The cluster, by name or id
        #[arg(long, value_name = "NAME|ID")]
        cluster: String,
    },
    /// Sessions that are not over
    Sessions(OrganisationFilter),
}

/// Whose.
#[derive(Debug, Clone, Args)]
pub struct OrganisationFilter {
    /// Only this organisation's, by name or id
    #[arg(long, value_name = "NAME|ID")]
    organisation: Option<String>,
}

pub(super) async fn run(desk: &Desk, command: ListCommand) -> anyhow::Result<Box<dyn Answer>> {
    Ok(match command {
        ListCommand::Organisations => Box::new(organisations(desk).await?),
        ListCommand::People(filter) => Box::new(people(desk, &filter).await?),
        ListCommand::Clusters(filter) => Box::new(clusters(desk, &filter).await?),
        ListCommand::Agents { cluster } => Box::new(agents(desk, &cluster).await?),
        ListCommand::Sessions(filter) => Box::new(sessions(desk, &filter).await?),
    })
}

/// Rows of one kind.
#[derive(Debug, Serialize)]
struct Listed<R> {
    items: Vec<R>,
}

#[derive(Debug, Serialize)]
struct OrganisationRow {
    id: String,
    name: String,
    created_at: UnixMillis,
}

#[derive(Debug, Serialize)]
struct PersonRow {
    id: String,
    email: String,
    name: String,
    organisation: String,
    role: &'static str,
    /// `active`; `suspended` in this organisation; or `account_suspended`, on the whole relay.
    status: &'static str,
    joined_at: UnixMillis,
    last_seen_at: Option<UnixMillis>,
}

#[derive(Debug, Serialize)]
struct ClusterRow {
    id: String,
    name: String,
    organisation: String,
    last_seen_at: Option<UnixMillis>,
    agent_version: Option<String>,
}

#[derive(Debug, Serialize)]
struct AgentRow {
    id: String,
    status: &'static str,
    generation: u32,
    enrolled_at: UnixMillis,
    last_seen_at: Option<UnixMillis>,
    agent_version: String,
    certificate_expires_at: UnixMillis,
}

#[derive(Debug, Serialize)]
struct SessionRow {
    id: String,
    organisation: String,
    cluster: String,
    target: String,
    user: String,
    login_session: String,
    state: &'static str,
    started_at: UnixMillis,
}

async fn organisations(desk: &Desk) -> anyhow::Result<Listed<OrganisationRow>> {
    let items = all_organisations(desk).await?;
    let row = |organisation: Organisation| OrganisationRow {
        id: organisation.id.to_string(),
        name: organisation.name.to_string(),
        created_at: organisation.created_at,
    };
    Ok(Listed { items: items.into_iter().map(row).collect() })
}

async fn people(desk: &Desk, filter: &OrganisationFilter) -> anyhow::Result<Listed<PersonRow>> {
    let mut items = Vec::new();
    for organisation in chosen(desk, filter).await? {
        let found = all(async |page| desk.store.list_people(organisation.id, page).await).await?;
        items.extend(found.into_iter().map(|person| PersonRow {
            id: person.user.id.to_string(),
            email: person.user.email.to_string(),
            name: person.user.name.to_string(),
            organisation: organisation.name.to_string(),
            role: person.role.slug(),
            status: person.status(),
            joined_at: person.joined_at,
            last_seen_at: person.last_seen_at,
        }));
    }
    Ok(Listed { items })
}

async fn clusters(desk: &Desk, filter: &OrganisationFilter) -> anyhow::Result<Listed<ClusterRow>> {
    let mut items = Vec::new();
    for organisation in chosen(desk, filter).await? {
        let found = all(async |page| desk.store.list_clusters(organisation.id, page).await).await?;
        items.extend(found.into_iter().map(|overview| ClusterRow {
            id: overview.cluster.id.to_string(),
            name: overview.cluster.name.to_string(),
            organisation: organisation.name.to_string(),
            last_seen_at: overview.last_agent.as_ref().map(|agent| agent.seen_at),
            agent_version: overview.last_agent.map(|agent| agent.agent_version),
        }));
    }
    Ok(Listed { items })
}

async fn agents(desk: &Desk, cluster: &str) -> anyhow::Result<Listed<AgentRow>> {
    let cluster = lookup::cluster(&desk.store, cluster).await?;
    let found = all(async |page| desk.store.list_agents(cluster.organisation, cluster.id, page).await).await?;
    let items = found.into_iter().map(|agent| AgentRow {
        id: agent.id.to_string(),
        status: agent.status.slug(),
        generation: agent.generation,
        enrolled_at: agent.enrolled_at,
        last_seen_at: agent.last_seen_at,
        agent_version: agent.agent_version,
        certificate_expires_at: agent.certificate_expires_at,
    });
    Ok(Listed { items: items.collect() })
}

async fn sessions(desk: &Desk, filter: &OrganisationFilter) -> anyhow::Result<Listed<SessionRow>> {
    let mut items = Vec::new();
    for organisation in chosen(desk, filter).await? {
        let unfinished =
            SessionFilter { state: StateFilter::Unfinished, ..SessionFilter::all(organisation.id, desk.now()) };
        let found = all(async |page| desk.store.list_sessions(&unfinished, page).await).await?;
        items.extend(found.into_iter().map(|session| SessionRow {
            id: session.id().to_string(),
            organisation: organisation.name.to_string(),
            cluster: session.cluster_name.to_string(),
            target: session.request.target.to_string(),
            user: session.user_email.to_string(),
            login_session: session.request.login_session.to_string(),
            state: session.state.slug(),
            started_at: session.request.started_at,
        }));
    }
    Ok(Listed { items })
}

async fn chosen(desk: &Desk, filter: &OrganisationFilter) -> anyhow::Result<Vec<Organisation>> {
    match &filter.organisation {
        Some(named) => Ok(vec![lookup::organisation(&desk.store, named).await?]),
        None => Ok(all_organisations(desk).await?),
    }
}

async fn all_organisations(desk: &Desk) -> Result<Vec<Organisation>, StoreError> {
    all(async |page| desk.store.list_organisations(page).await).await
}

/// Every page of a list.
async fn all<T>(list: impl AsyncFn(PageRequest) -> Result<Page<T>, StoreError>) -> Result<Vec<T>, StoreError> {
    let (mut items, mut after): (Vec<T>, Option<Cursor>) = (Vec::new(), None);
    loop {
        let page = list(PageRequest::new(after, PageRequest::MAX_ITEMS)).await?;
        items.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(items);
        }
    }
}

/// A row as a person reads it.
trait Line {
    fn line(&self) -> String;
}

impl<R: Line> fmt::Display for Listed<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.items.is_empty() {
            return f.write_str("There are none.");
        }
        self.items.iter().try_for_each(|row| writeln!(f, "{}", plain(&row.line())))
    }
}

impl Line for OrganisationRow {
    fn line(&self) -> String {
        format!("{}  {}  since {}", self.id, self.name, self.created_at)
    }
}

impl Line for PersonRow {
    fn line(&self) -> String {
        let seen = self.last_seen_at.map_or("never signed in".to_owned(), |seen| format!("last seen {seen}"));
        let Self { id, email, organisation, role, status, joined_at, .. } = self;
        format!("{id}  {email}  {role} of {organisation}  {status}  since {joined_at}  {seen}")
    }
}

impl Line for ClusterRow {
    fn line(&self) -> String {
        let seen = self.last_seen_at.map_or("never connected".to_owned(), |seen| format!("last seen {seen}"));
        format!("{}  {}  of {}  {seen}", self.id, self.name, self.organisation)
    }
}

impl Line for AgentRow {
    fn line(&self) -> String {
        let seen = self.last_seen_at.map_or("never connected".to_owned(), |seen| format!("last seen {seen}"));
        let Self { id, status, agent_version, certificate_expires_at, .. } = self;
        format!("{id}  {status}  version {agent_version}  {seen}  certificate until {certificate_expires_at}")
    }
}

impl Line for SessionRow {
    fn line(&self) -> String {
        let Self { id, state, user, cluster, target, started_at, login_session, .. } = self;
        format!("{id}  {state}  {user}  {cluster}:{target}  since {started_at}  login {login_session}")
    }
}
