//! What the audit log says of a session's life.

use podlatch_protocol::close::EndCause;
use podlatch_protocol::id::{OrganisationId, SessionId};
use podlatch_protocol::request::Program;
use podlatch_protocol::session::{Cleanup, Opened};
use podlatch_protocol::terminal::TerminalSize;

use super::row::EndColumns;
use crate::clock::UnixMillis;
use crate::domain::audit::{Action, NewEvent, Origin, Outcome};
use crate::domain::name::ReasonText;
use crate::domain::session::{NewSession, SessionEnd};

/// A session was asked for.
pub(super) fn asked(new: &NewSession) -> NewEvent {
    let event = NewEvent::in_session(Action::SessionOpen, new.organisation, new.id, new.started_at)
        .detail("columns", new.size.columns())
        .detail("rows", new.size.rows())
        .detail("expires_at", new.expires_at.to_string())
        .detail("reason", new.reason.as_ref().map(ReasonText::as_str))
        .detail("access", new.access.action.slug())
        .detail("rules", ids(new.access.basis.rules.keys()))
        .detail("approvals", ids(new.access.basis.approvals.iter()));
    match &new.program {
        Program::Shell => event.detail("program", "shell"),
        // The words behind it may hold a secret.
        Program::Command(words) => event
            .detail("program", words.first().map_or("", String::as_str))
            .detail("arguments", words.len().saturating_sub(1)),
    }
}

/// By what it was allowed; nothing where there is nothing.
fn ids<I: ToString>(ids: impl Iterator<Item = I>) -> Option<String> {
    let ids: Vec<_> = ids.map(|id| id.to_string()).collect();
    (!ids.is_empty()).then(|| ids.join(" "))
}

/// Its process runs.
pub(super) fn started((organisation, id): (OrganisationId, SessionId), opened: &Opened, now: UnixMillis) -> NewEvent {
    NewEvent::in_session(Action::SessionStarted, organisation, id, now)
        .detail("pod_uid", opened.pod_uid.as_str())
        .detail("process", opened.process)
}

/// Whether the process of a session that is over ever ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Yes,
    No,
}

/// It is over, or did not come to be.
pub(super) fn ended(
    (organisation, id): (OrganisationId, SessionId),
    end: &SessionEnd,
    columns: &EndColumns<'_>,
    ran: Ran,
) -> NewEvent {
    let action = match ran {
        Ran::Yes => Action::SessionEnd,
        Ran::No => Action::SessionRefused,
    };
    let outcome = match (ran, end.ended.cause, end.ended.cleanup) {
        (Ran::No, EndCause::NotOpened, _) => Outcome::Refused,
        // Processes may be left in the pod.
        (Ran::No, ..) | (Ran::Yes, _, Cleanup::Unconfirmed) => Outcome::Failed,
        (Ran::Yes, ..) => Outcome::Success,
    };
    let origin = match end.ended.cause {
        EndCause::Exited | EndCause::ClosedByUser | EndCause::NotOpened => Origin::session_user(),
        _ => Origin::system(),
    };
    let event = NewEvent::in_session(action, organisation, id, end.at).by(origin).outcome(outcome);
    event
        .detail("cause", columns.cause.as_str())
        .detail("exit", columns.outcome)
        .detail("exit_code", columns.exit_code)
        .detail("reason", columns.failure)
        .detail("cleanup", columns.cleanup)
        .detail("output_bytes", columns.output_length)
}

/// Its terminal got another size.
pub(super) fn resized(
    (organisation, id): (OrganisationId, SessionId),
    size: TerminalSize,
    now: UnixMillis,
) -> NewEvent {
    NewEvent::in_session(Action::Resize, organisation, id, now)
        .detail("columns", size.columns())
        .detail("rows", size.rows())
}

/// It became idle, or somebody typed again.
pub(super) fn idle(
    (organisation, id): (OrganisationId, SessionId),
    idle_since: Option<UnixMillis>,
    now: UnixMillis,
) -> NewEvent {
    let event = NewEvent::in_session(Action::SessionIdle, organisation, id, now).detail("idle", idle_since.is_some());
    match idle_since {
        Some(_) => event.by(Origin::system()),
        None => event,
    }
}

/// What it had left behind is gone after all.
pub(super) fn cleaned_up((organisation, id): (OrganisationId, SessionId), now: UnixMillis) -> NewEvent {
    NewEvent::in_session(Action::SessionCleanup, organisation, id, now)
        .by(Origin::system())
        .detail("cleanup", "confirmed")
}
