-- What the audit log and the sessions are filtered by, each in the order in which it is listed: a page of what is rare is found
-- without looking at the rest. relay/src/store/plans.rs checks that the statements use them.

CREATE INDEX audit_events_by_session ON audit_events (organisation_id, session_id, position) WHERE session_id IS NOT NULL;
CREATE INDEX audit_events_by_user ON audit_events (organisation_id, user_id, position) WHERE user_id IS NOT NULL;
-- Whoever acts is nearly always the person that the event is about.
CREATE INDEX audit_events_by_actor ON audit_events (organisation_id, actor_id, position) WHERE actor_id <> user_id;
CREATE INDEX audit_events_by_cluster ON audit_events (organisation_id, cluster_id, position) WHERE cluster_id IS NOT NULL;
CREATE INDEX audit_events_by_namespace ON audit_events (organisation_id, namespace, position) WHERE namespace IS NOT NULL;
CREATE INDEX audit_events_by_pod ON audit_events (organisation_id, pod, position) WHERE pod IS NOT NULL;
CREATE INDEX audit_events_by_action ON audit_events (organisation_id, action, position);

CREATE INDEX sessions_unfinished_by_organisation ON sessions (organisation_id, id) WHERE state <> 'ended';
CREATE INDEX sessions_expired_by_organisation ON sessions (organisation_id, id) WHERE end_cause = 'expired';
