//! Along which index the log is read: that of one of a filter's conditions, or simply in its order.

use uuid::Uuid;

use super::filter::AuditFilter;
use super::row::event_sql;
use crate::domain::access::AuditScope;
use crate::domain::audit::Action;
use crate::store::engine::Part;

/// A condition that an index answers in the log's order. The filter's others are then looked up in each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Lead<'a> {
    /// The log itself.
    Everything,
    /// One session's events.
    Session(Uuid),
    /// What a person did, and what concerns them.
    Person(Uuid),
    /// What happened in pods of a name.
    Pod(&'a str),
    /// What happened in a namespace.
    Namespace(&'a str),
    /// What happened in a cluster.
    Cluster(Uuid),
    /// One kind of event.
    Action(Action),
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Order {
    /// As people read it.
    NewestFirst,
    /// As machines do.
    OldestFirst,
}

/// Events between two positions (`$2` excluded), at most `$6`. `$4` or `$5` is what the lead names.
const EVENTS: &str = event_sql!("WHERE organisation_id = $1 AND position > $2 AND position <= $3");

/// The position of the one event, `$6` events further, between two positions.
const REACH: &str = "SELECT position FROM audit_events WHERE organisation_id = $1 AND position > $2 AND position <= $3";

const TEXT: &str =
    " AND (LOWER(COALESCE(command, '')) LIKE $15 ESCAPE '\\' OR LOWER(COALESCE(pod, '')) LIKE $15 ESCAPE '\\'
    OR LOWER(actor_name) LIKE $15 ESCAPE '\\' OR LOWER(COALESCE(user_name, '')) LIKE $15 ESCAPE '\\'
    OR LOWER(COALESCE(user_agent, '')) LIKE $15 ESCAPE '\\' OR LOWER(details) LIKE $15 ESCAPE '\\')";

impl<'a> Lead<'a> {
    /// Every lead that a filter offers; `person` is whom it names.
    pub(super) fn all_of(filter: &'a AuditFilter, person: Option<Uuid>) -> Vec<Self> {
        let scope = match filter.scope {
            AuditScope::All => None,
            AuditScope::Of(user) => Some(Self::Person(user.as_uuid())),
        };
        let offered = [
            filter.session.map(|session| Self::Session(session.as_uuid())),
            filter.pod.as_deref().map(Self::Pod),
            person.map(Self::Person),
            scope,
            filter.namespace.as_deref().map(Self::Namespace),
            filter.cluster.map(|cluster| Self::Cluster(cluster.as_uuid())),
            filter.action.map(Self::Action),
        ];
        let leads: Vec<_> = offered.into_iter().flatten().collect();
        if leads.is_empty() { vec![Self::Everything] } else { leads }
    }

    /// The statement that finds a filter's events. It holds those of its conditions that are given, and no others: what is
    /// not there does not mislead the planner.
    pub(in crate::store) fn events_sql(self, filter: &AuditFilter, order: Order) -> Vec<Part> {
        self.parts(EVENTS, &conditions(filter), &order.ending(" LIMIT $6"))
    }

    /// The statement that finds how far a number of the lead's events reach.
    pub(in crate::store) fn reach_sql(self, order: Order) -> Vec<Part> {
        self.parts(REACH, "", &order.ending(" LIMIT 1 OFFSET $6"))
    }

    fn parts(self, select: &str, conditions: &str, ending: &str) -> Vec<Part> {
        let part = |(index, lead): &(Option<&'static str>, &str)| Part {
            index: *index,
            sql: format!("{select}{lead}{conditions}"),
        };
        Part::union(self.ways().iter().map(part), ending)
    }

    /// The indexes, and what is asked of each. What a person did and what concerns them are two, and no event is in both: an
    /// event of a person's who acts for themselves says twice who it was.
    const fn ways(self) -> &'static [(Option<&'static str>, &'static str)] {
        match self {
            Self::Everything => &[(None, "")],
            Self::Session(_) => &[(Some("audit_events_by_session"), " AND session_id = $4")],
            Self::Person(_) => &[
                (Some("audit_events_by_user"), " AND user_id = $4"),
                (Some("audit_events_by_actor"), " AND actor_id = $4 AND actor_id <> user_id"),
            ],
            Self::Pod(_) => &[(Some("audit_events_by_pod"), " AND pod = $5")],
            Self::Namespace(_) => &[(Some("audit_events_by_namespace"), " AND namespace = $5")],
            Self::Cluster(_) => &[(Some("audit_events_by_cluster"), " AND cluster_id = $4")],
            Self::Action(_) => &[(Some("audit_events_by_action"), " AND action = $5")],
        }
    }

    /// What `$4` is.
    pub(super) const fn id(self) -> Option<Uuid> {
        match self {
            Self::Session(id) | Self::Person(id) | Self::Cluster(id) => Some(id),
            Self::Everything | Self::Pod(_) | Self::Namespace(_) | Self::Action(_) => None,
        }
    }

    /// What `$5` is.
    pub(super) const fn name(self) -> Option<&'a str> {
        match self {
            Self::Pod(name) | Self::Namespace(name) => Some(name),
            Self::Action(action) => Some(action.slug()),
            Self::Everything | Self::Session(_) | Self::Person(_) | Self::Cluster(_) => None,
        }
    }
}

impl Order {
    fn ending(self, limit: &str) -> String {
        let direction = match self {
            Self::NewestFirst => " DESC",
            Self::OldestFirst => "",
        };
        format!(" ORDER BY position{direction}{limit}")
    }
}

/// The plus keeps the index of times away: going along that one means to read all of the time, and to sort it.
fn conditions(filter: &AuditFilter) -> String {
    let conditions = [
        (matches!(filter.scope, AuditScope::Of(_)), " AND (actor_id = $7 OR user_id = $7)"),
        (filter.cluster.is_some(), " AND cluster_id = $8"),
        (filter.user.is_some(), " AND (actor_id = $9 OR user_id = $9)"),
        (filter.namespace.is_some(), " AND namespace = $10"),
        (filter.pod.is_some(), " AND pod = $11"),
        (filter.action.is_some(), " AND action = $12"),
        (filter.from.is_some(), " AND +at >= $13"),
        (filter.to.is_some(), " AND +at < $14"),
        (filter.text.is_some(), TEXT),
        (filter.session.is_some(), " AND session_id = $16"),
    ];
    conditions.into_iter().filter(|(is_given, _)| *is_given).map(|(_, condition)| condition).collect()
}
