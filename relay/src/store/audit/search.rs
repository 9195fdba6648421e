//! One step through the log: the most selective of a filter's leads, and a bounded number of events along it.

use uuid::Uuid;

use super::filter::{AuditFilter, UserFilter};
use super::lead::{Lead, Order};
use super::row::EventRow;
use crate::clock::UnixMillis;
use crate::domain::access::AuditScope;
use crate::domain::audit::{Action, Event};
use crate::store::engine::{fetch_all, fetch_optional};
use crate::store::{Store, StoreError};

/// How many events one statement looks at. A filter that finds little must not keep the database busy for long.
const WINDOW: i64 = 20_000;

/// What is looked for.
#[derive(Debug)]
pub(super) struct Search<'a> {
    filter: &'a AuditFilter,
    /// Whom the filter names.
    person: Option<Uuid>,
    leads: Vec<Lead<'a>>,
}

/// Positions, the first excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) above: i64,
    pub(super) up_to: i64,
}

impl Span {
    pub(super) const fn is_empty(self) -> bool {
        self.up_to <= self.above
    }

    const fn has_many(self) -> bool {
        self.up_to.saturating_sub(self.above) > WINDOW
    }

    /// What of this one comes first, up to an edge that is within.
    const fn first_part(self, edge: i64, order: Order) -> Self {
        match order {
            Order::NewestFirst => Self { above: edge - 1, ..self },
            Order::OldestFirst => Self { up_to: edge, ..self },
        }
    }

    const fn is_longer(self, other: Self) -> bool {
        self.up_to - self.above > other.up_to - other.above
    }
}

impl Store {
    /// Prepares a search; `None` where it can find nothing: it names somebody who has no account. Whoever has one keeps it,
    /// and its address. Cancel safe.
    pub(super) async fn audit_search<'a>(&self, filter: &'a AuditFilter) -> Result<Option<Search<'a>>, StoreError> {
        let person = match &filter.user {
            None => None,
            Some(UserFilter::Id(id)) => Some(id.as_uuid()),
            Some(UserFilter::Name(name)) => {
                let account = match name.parse() {
                    Ok(address) => self.account_of(&address).await?,
                    Err(_) => None,
                };
                match account {
                    Some(id) => Some(id.as_uuid()),
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(Search { filter, person, leads: Lead::all_of(filter, person) }))
    }

    /// The next step of a search through what is left of the log: at most `limit` events, and the positions that the search
    /// went through if it found fewer. Cancel safe.
    pub(super) async fn audit_step(
        &self,
        search: &Search<'_>,
        left: Span,
        order: Order,
        limit: i64,
    ) -> Result<(Vec<Event>, Span), StoreError> {
        let (lead, span) = self.choose(search, left, order).await?;
        Ok((self.events_between(search, lead, span, order, limit).await?, span))
    }

    /// The lead whose next [`WINDOW`] events span the most positions, which is the one with the fewest events there.
    async fn choose<'a>(&self, search: &Search<'a>, left: Span, order: Order) -> Result<(Lead<'a>, Span), StoreError> {
        let mut chosen = None::<(Lead<'a>, Span)>;
        for lead in &search.leads {
            let edge = if left.has_many() { self.reach(search, *lead, left, order).await? } else { None };
            let Some(edge) = edge else {
                return Ok((*lead, left));
            };
            let span = left.first_part(edge, order);
            if chosen.is_none_or(|(_, longest)| span.is_longer(longest)) {
                chosen = Some((*lead, span));
            }
        }
        Ok(chosen.unwrap_or((Lead::Everything, left)))
    }

    /// Where the last of the next [`WINDOW`] events along a lead is; `None` where there are not as many.
    async fn reach(
        &self,
        search: &Search<'_>,
        lead: Lead<'_>,
        left: Span,
        order: Order,
    ) -> Result<Option<i64>, StoreError> {
        if lead == Lead::Everything {
            // Positions have no gaps.
            return Ok(Some(match order {
                Order::NewestFirst => left.up_to - WINDOW + 1,
                Order::OldestFirst => left.above + WINDOW,
            }));
        }
        let sql = self.reader().statement("audit_events", lead.reach_sql(order));
        let row = fetch_optional!(
            self.reader(),
            (i64,),
            sql,
            search.filter.organisation.as_uuid(),
            left.above,
            left.up_to,
            lead.id(),
            lead.name(),
            WINDOW - 1,
        )?;
        Ok(row.map(|(position,)| position))
    }

    async fn events_between(
        &self,
        search: &Search<'_>,
        lead: Lead<'_>,
        span: Span,
        order: Order,
        limit: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let filter = search.filter;
        let scope = match filter.scope {
            AuditScope::All => None,
            AuditScope::Of(user) => Some(user.as_uuid()),
        };
        let sql = self.reader().statement("audit_events", lead.events_sql(filter, order));
        let rows = fetch_all!(
            self.reader(),
            EventRow,
            sql,
            filter.organisation.as_uuid(),
            span.above,
            span.up_to,
            lead.id(),
            lead.name(),
            limit,
            scope,
            filter.cluster.map(|cluster| cluster.as_uuid()),
            search.person,
            filter.namespace.as_deref(),
            filter.pod.as_deref(),
            filter.action.map(Action::slug),
            filter.from.map(UnixMillis::get),
            filter.to.map(UnixMillis::get),
            filter.pattern().as_deref(),
            filter.session.map(|session| session.as_uuid()),
        )?;
        rows.into_iter().map(Event::try_from).collect()
    }
}
