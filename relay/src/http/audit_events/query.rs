//! Which events: the query that the list, the stream and the export share.

use podlatch_protocol::id::UserId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::domain::access::audit_scope;
use crate::domain::audit::Action;
use crate::http::context::CallContext;
use crate::http::extract::TimeRange;
use crate::http::problem::{Problem, ProblemKind};
use crate::store::{AuditFilter, UserFilter};

/// Longest text that is looked for, in characters.
const MAX_TEXT: usize = 200;

/// Longest name that a filter can give, in bytes: nothing that it could match is longer.
const MAX_NAME: usize = 254;

/// Which events; what is not given does not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only of this cluster, by id.
    cluster: Option<String>,
    /// Only by or about this person, by id or address.
    user: Option<String>,
    /// Only in this namespace.
    namespace: Option<String>,
    /// Only in this pod.
    pod: Option<String>,
    /// Only in this session, by id.
    session: Option<String>,
    /// Only this action.
    #[param(example = "command_executed")]
    action: Option<String>,
    /// Only where a command, a pod, a person, a user agent or a detail contains this, in whatever case.
    text: Option<String>,
    /// Not before this time (RFC 3339).
    from: Option<String>,
    /// Before this time (RFC 3339).
    to: Option<String>,
}

impl AuditQuery {
    /// The filter that is meant, within what the caller may see.
    pub(super) fn filter(&self, context: &CallContext) -> Result<AuditFilter, Problem> {
        let TimeRange { from, to } = TimeRange::parse(given(self.from.as_deref()), given(self.to.as_deref()))?;
        let everything = AuditFilter::everything(context.actor.organisation, audit_scope(&context.actor));
        Ok(AuditFilter {
            cluster: id("cluster", given(self.cluster.as_deref()))?,
            user: given(self.user.as_deref()).map(user).transpose()?,
            namespace: name("namespace", self.namespace.as_deref())?,
            pod: name("pod", self.pod.as_deref())?,
            session: id("session", given(self.session.as_deref()))?,
            action: given(self.action.as_deref()).map(action).transpose()?,
            text: text(self.text.as_deref())?,
            from,
            to,
            ..everything
        })
    }

    /// What was asked for, for the audit log.
    pub(super) fn summary(&self) -> String {
        let parts = [
            ("cluster", &self.cluster),
            ("user", &self.user),
            ("namespace", &self.namespace),
            ("pod", &self.pod),
            ("session", &self.session),
            ("action", &self.action),
            ("text", &self.text),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", given(value.as_deref())?)));
        given.collect::<Vec<_>>().join(" ")
    }
}

/// An empty value is one that was not given: that is what forms send.
fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn id<T: std::str::FromStr>(what: &str, value: Option<&str>) -> Result<Option<T>, Problem> {
    let parsed = value.map(str::parse).transpose();
    parsed.map_err(|_| unprocessable(&format!("`{what}` must be an id: 36 characters with hyphens.")))
}

fn user(value: &str) -> Result<UserFilter, Problem> {
    match value.parse::<UserId>() {
        Ok(id) => Ok(UserFilter::Id(id)),
        Err(_) if value.len() > MAX_NAME => Err(unprocessable("`user` must be an id or an address.")),
        Err(_) => Ok(UserFilter::Name(storable("user", value)?)),
    }
}

fn name(what: &str, value: Option<&str>) -> Result<Option<String>, Problem> {
    match given(value) {
        Some(value) if value.len() > MAX_NAME => Err(unprocessable(&format!("`{what}` is too long for a name."))),
        Some(value) => storable(what, value).map(Some),
        None => Ok(None),
    }
}

fn text(value: Option<&str>) -> Result<Option<String>, Problem> {
    match given(value) {
        Some(value) if value.chars().count() > MAX_TEXT => {
            Err(unprocessable("`text` is too long: look for 200 characters at most."))
        }
        Some(value) => storable("text", value).map(Some),
        None => Ok(None),
    }
}

/// NUL stands in no stored text, and Postgres takes it in no parameter.
fn storable(what: &str, value: &str) -> Result<String, Problem> {
    if value.contains('\0') {
        Err(unprocessable(&format!("`{what}` contains a NUL character.")))
    } else {
        Ok(value.to_owned())
    }
}

fn action(value: &str) -> Result<Action, Problem> {
    Action::from_slug(value)
        .ok_or_else(|| unprocessable("There is no such `action`; the API's description lists them."))
}

fn unprocessable(detail: &str) -> Problem {
    Problem::new(ProblemKind::Unprocessable, detail)
}
