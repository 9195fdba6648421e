-- The right of one person to read one session's recording for some hours. Each is an audit event too.
CREATE TABLE replays (
    hash              BYTEA   NOT NULL PRIMARY KEY,
    organisation_id   UUID    NOT NULL REFERENCES organisations (id),
    session_id        UUID    NOT NULL REFERENCES sessions (id),
    user_id           UUID    NOT NULL REFERENCES users (id),
    expires_at        BIGINT  NOT NULL
);
CREATE INDEX replays_by_expiry ON replays (expires_at);
