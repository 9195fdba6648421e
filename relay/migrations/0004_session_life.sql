-- How long sessions may live. A time that is null says nothing; all times are in milliseconds.

ALTER TABLE organisations ADD COLUMN session_max BIGINT;
ALTER TABLE organisations ADD COLUMN idle_after BIGINT;
ALTER TABLE organisations ADD COLUMN idle_close BIGINT;

ALTER TABLE clusters ADD COLUMN session_max BIGINT;
ALTER TABLE clusters ADD COLUMN idle_after BIGINT;
ALTER TABLE clusters ADD COLUMN idle_close BIGINT;

ALTER TABLE sessions ADD COLUMN reason TEXT;
ALTER TABLE sessions ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN idle_after BIGINT NOT NULL DEFAULT 300000;
ALTER TABLE sessions ADD COLUMN idle_close BIGINT;
ALTER TABLE sessions ADD COLUMN last_activity_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN idle_since BIGINT;
UPDATE sessions SET expires_at = started_at + 28800000, last_activity_at = started_at;

CREATE INDEX sessions_by_cluster ON sessions (organisation_id, cluster_id, id);
CREATE INDEX sessions_unconfirmed ON sessions (cluster_id) WHERE cleanup = 'unconfirmed';

-- The terminal's size: another one is an audit event, the same one again is not.
ALTER TABLE sessions ADD COLUMN terminal_columns BIGINT;
ALTER TABLE sessions ADD COLUMN terminal_rows BIGINT;

-- Viewers that are attached. Whoever is in here when the relay starts was torn off by its end.
CREATE TABLE viewers (
    id               BIGINT  NOT NULL PRIMARY KEY,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    session_id       UUID    NOT NULL REFERENCES sessions (id),
    user_id          UUID    NOT NULL REFERENCES users (id),
    client_ip        TEXT    NOT NULL,
    user_agent       TEXT    NOT NULL,
    connected_at     BIGINT  NOT NULL
);
