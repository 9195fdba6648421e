-- Audit events. Triggers that each engine writes in its own words refuse to change or delete one (relay/src/store/audit/guard.rs).
-- Names are what they were at the time: evidence does not change when somebody is renamed.

CREATE TABLE audit_events (
    id               UUID    NOT NULL PRIMARY KEY,
    -- The nil UUID where the event belongs to no organisation.
    organisation_id  UUID    NOT NULL,
    position         BIGINT  NOT NULL,
    session_id       UUID,
    sequence         BIGINT,
    at               BIGINT  NOT NULL,
    action           TEXT    NOT NULL,
    outcome          TEXT    NOT NULL CHECK (outcome IN ('success', 'refused', 'failed')),
    actor_kind       TEXT    NOT NULL CHECK (actor_kind IN ('user', 'unknown', 'system', 'agent', 'operator')),
    actor_id         UUID,
    actor_name       TEXT    NOT NULL,
    user_id          UUID,
    user_name        TEXT,
    cluster_id       UUID,
    cluster_name     TEXT,
    namespace        TEXT,
    pod              TEXT,
    container        TEXT,
    command          TEXT,
    client_ip        TEXT,
    user_agent       TEXT,
    details          TEXT    NOT NULL,
    dedupe_key       TEXT,
    UNIQUE (organisation_id, position),
    UNIQUE (session_id, sequence),
    UNIQUE (session_id, dedupe_key)
);
CREATE INDEX audit_events_by_time ON audit_events (organisation_id, at, position);

-- The last position of each organisation's log. Its row is locked by every append until that commits, so positions become
-- visible in their order.
CREATE TABLE audit_positions (
    organisation_id  UUID    NOT NULL PRIMARY KEY,
    position         BIGINT  NOT NULL
);

-- The last sequence number of each session.
CREATE TABLE audit_sequences (
    session_id  UUID    NOT NULL PRIMARY KEY,
    sequence    BIGINT  NOT NULL
);

-- How far each receiver of the audit stream has got in each organisation's log.
CREATE TABLE audit_sinks (
    sink             TEXT    NOT NULL,
    organisation_id  UUID    NOT NULL,
    position         BIGINT  NOT NULL,
    PRIMARY KEY (sink, organisation_id)
);
