//! Reading the log: pages for people, runs of events for those who follow it.
//!
//! No statement looks at more than a bounded number of events, and none sorts: each goes along one index, in the log's order,
//! from where the one before ended. Between two of them the connection is free for others. Only where a filter names a time,
//! one more reads that time's entries of an index: where it begins or ends in the log.

use podlatch_protocol::id::OrganisationId;

use super::filter::AuditFilter;
use super::lead::Order;
use super::search::Span;
use crate::clock::UnixMillis;
use crate::domain::audit::Event;
use crate::store::engine::fetch_optional;
use crate::store::rows::number;
use crate::store::{Store, StoreError};

/// How many steps one page may take. What is left is found from the page's cursor on.
const MAX_STEPS: u32 = 10;

/// A page of the log, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPage {
    /// The events.
    pub items: Vec<Event>,
    /// The position below which the log goes on; `None` where nothing is left. A page may hold fewer events than asked for
    /// and go on all the same.
    pub next: Option<u64>,
}

/// A run of the log, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRun {
    /// The events.
    pub items: Vec<Event>,
    /// Everything up to this position has been looked at.
    pub reached: u64,
    /// Whether there is nothing behind it at this moment.
    pub at_end: bool,
}

impl Store {
    /// Events, newest first: at most `limit` of those below position `before`. Cancel safe.
    pub async fn list_audit(
        &self,
        filter: &AuditFilter,
        before: Option<u64>,
        limit: u16,
    ) -> Result<AuditPage, StoreError> {
        let mut items = Vec::new();
        let Some(search) = self.audit_search(filter).await? else {
            return Ok(AuditPage { items, next: None });
        };
        let before = before.and_then(|before| i64::try_from(before).ok()).unwrap_or(i64::MAX);
        let mut left = Span { above: 0, up_to: self.audit_top(filter).await?.min(before - 1) };
        for step in 0..MAX_STEPS {
            // A page that is full at once need not know where the time begins.
            if step == 1 {
                left.above = self.audit_bottom(filter).await?;
            }
            if left.is_empty() {
                break;
            }
            let wanted = i64::from(limit) - i64::try_from(items.len()).unwrap_or(i64::MAX);
            let (found, span) = self.audit_step(&search, left, Order::NewestFirst, wanted).await?;
            let is_full = i64::try_from(found.len()).is_ok_and(|found| found >= wanted);
            items.extend(found);
            // A full answer has not looked at everything: the log goes on below the last one found.
            left.up_to = match items.last() {
                Some(last) if is_full => i64::try_from(last.position).unwrap_or(i64::MAX) - 1,
                _ => span.above,
            };
            if is_full {
                break;
            }
        }
        let next = if left.is_empty() { None } else { Some(number("audit_events.position", left.up_to + 1)?) };
        Ok(AuditPage { items, next })
    }

    /// Events, oldest first: at most `limit` of those behind position `after`. Cancel safe.
    pub async fn audit_run(&self, filter: &AuditFilter, after: u64, limit: u16) -> Result<AuditRun, StoreError> {
        let last = i64::try_from(self.audit_position(filter.organisation).await?).unwrap_or(i64::MAX);
        let left = Span { above: i64::try_from(after).unwrap_or(i64::MAX), up_to: last };
        let search = if left.is_empty() { None } else { self.audit_search(filter).await? };
        let Some(search) = search else {
            let reached = number("audit_events.position", left.above.max(last))?;
            return Ok(AuditRun { items: Vec::new(), reached, at_end: true });
        };
        let (items, span) = self.audit_step(&search, left, Order::OldestFirst, i64::from(limit)).await?;
        let reached = match items.last() {
            Some(item) if items.len() >= usize::from(limit) => item.position,
            _ => number("audit_events.position", span.up_to)?,
        };
        Ok(AuditRun { at_end: i64::try_from(reached).is_ok_and(|reached| reached >= last), items, reached })
    }

    /// The last position of an organisation's log; 0 where it is empty. Cancel safe.
    pub async fn audit_position(&self, organisation: OrganisationId) -> Result<u64, StoreError> {
        let row = fetch_optional!(
            self.reader(),
            (i64,),
            "SELECT position FROM audit_positions WHERE organisation_id = $1",
            organisation.as_uuid(),
        )?;
        row.map_or(Ok(0), |(position,)| number("audit_positions.position", position))
    }

    /// The position behind which a filter's time begins: where an export may start. Cancel safe.
    pub async fn audit_beginning(&self, filter: &AuditFilter) -> Result<u64, StoreError> {
        number("audit_events.position", self.audit_bottom(filter).await?)
    }

    /// The last position at which a filter can find anything. Only where its time ends is it looked for: along the index of
    /// times, which the `+ 0` tells PostgreSQL, whose planner would go through the log for one that is near its end.
    async fn audit_top(&self, filter: &AuditFilter) -> Result<i64, StoreError> {
        let Some(to) = filter.to else {
            return self.audit_end(filter).await;
        };
        let row = fetch_optional!(
            self.reader(),
            (Option<i64>,),
            "SELECT MAX(position + 0) FROM audit_events WHERE organisation_id = $1 AND at >= $2 AND at < $3",
            filter.organisation.as_uuid(),
            filter.from.map_or(i64::MIN, UnixMillis::get),
            to.get(),
        )?;
        Ok(row.and_then(|(last,)| last).unwrap_or(0))
    }

    /// The position behind which a filter can find anything; the end of the log if it can find nothing.
    async fn audit_bottom(&self, filter: &AuditFilter) -> Result<i64, StoreError> {
        let Some(from) = filter.from else { return Ok(0) };
        let row = fetch_optional!(
            self.reader(),
            (Option<i64>,),
            "SELECT MIN(position + 0) FROM audit_events WHERE organisation_id = $1 AND at >= $2 AND at < $3",
            filter.organisation.as_uuid(),
            from.get(),
            filter.to.map_or(i64::MAX, UnixMillis::get),
        )?;
        match row.and_then(|(first,)| first) {
            Some(first) => Ok(first - 1),
            None => self.audit_end(filter).await,
        }
    }

    async fn audit_end(&self, filter: &AuditFilter) -> Result<i64, StoreError> {
        Ok(i64::try_from(self.audit_position(filter.organisation).await?).unwrap_or(i64::MAX))
    }
}
