-- One text for SQLite and Postgres. UUID and BYTEA are plain blobs to SQLite, whose columns take what they are given;
-- every time is a BIGINT of milliseconds since the Unix epoch; every token is stored as its SHA-256.

CREATE TABLE organisations (
    id          UUID    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL
);

CREATE TABLE users (
    id          UUID    NOT NULL PRIMARY KEY,
    email       TEXT    NOT NULL UNIQUE,
    name        TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL
);

CREATE TABLE memberships (
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    user_id          UUID    NOT NULL REFERENCES users (id),
    role             TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'auditor', 'member')),
    created_at       BIGINT  NOT NULL,
    PRIMARY KEY (organisation_id, user_id)
);
CREATE INDEX memberships_by_user ON memberships (user_id);

CREATE TABLE sign_in_links (
    hash             BYTEA   NOT NULL PRIMARY KEY,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    user_id          UUID    NOT NULL REFERENCES users (id),
    expires_at       BIGINT  NOT NULL,
    used_at          BIGINT
);

CREATE TABLE login_sessions (
    id               UUID    NOT NULL PRIMARY KEY,
    hash             BYTEA   NOT NULL UNIQUE,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    user_id          UUID    NOT NULL REFERENCES users (id),
    created_at       BIGINT  NOT NULL,
    expires_at       BIGINT  NOT NULL,
    revoked_at       BIGINT,
    client_ip        TEXT    NOT NULL,
    user_agent       TEXT    NOT NULL
);

CREATE TABLE clusters (
    id               UUID    NOT NULL PRIMARY KEY,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    name             TEXT    NOT NULL,
    cluster_type     TEXT    NOT NULL CHECK (cluster_type IN ('private', 'public')),
    created_at       BIGINT  NOT NULL,
    revoked_at       BIGINT
);
-- A revoked cluster's name may be given again.
CREATE UNIQUE INDEX clusters_by_name ON clusters (organisation_id, name) WHERE revoked_at IS NULL;

CREATE TABLE join_tokens (
    hash             BYTEA   NOT NULL PRIMARY KEY,
    id               UUID    NOT NULL UNIQUE,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    cluster_id       UUID    NOT NULL REFERENCES clusters (id),
    created_at       BIGINT  NOT NULL,
    expires_at       BIGINT  NOT NULL,
    used_at          BIGINT
);

CREATE TABLE agents (
    id                          UUID    NOT NULL PRIMARY KEY,
    organisation_id             UUID    NOT NULL REFERENCES organisations (id),
    cluster_id                  UUID    NOT NULL REFERENCES clusters (id),
    status                      TEXT    NOT NULL CHECK (status IN ('active', 'revoked')),
    public_key_sha256           BYTEA   NOT NULL,
    previous_public_key_sha256  BYTEA,
    generation                  BIGINT  NOT NULL,
    enrolled_at                 BIGINT  NOT NULL,
    last_seen_at                BIGINT,
    agent_version               TEXT    NOT NULL,
    kubernetes_version          TEXT    NOT NULL,
    certificate_expires_at      BIGINT  NOT NULL
);
CREATE INDEX agents_by_cluster ON agents (cluster_id);

CREATE TABLE sessions (
    id                UUID    NOT NULL PRIMARY KEY,
    organisation_id   UUID    NOT NULL REFERENCES organisations (id),
    cluster_id        UUID    NOT NULL REFERENCES clusters (id),
    agent_id          UUID    REFERENCES agents (id),
    user_id           UUID    NOT NULL REFERENCES users (id),
    login_session_id  UUID    NOT NULL REFERENCES login_sessions (id),
    namespace         TEXT    NOT NULL,
    pod               TEXT    NOT NULL,
    asked_container   TEXT,
    program           TEXT    NOT NULL,
    state             TEXT    NOT NULL CHECK (state IN ('opening', 'live', 'ended')),
    client_ip         TEXT    NOT NULL,
    user_agent        TEXT    NOT NULL,
    started_at        BIGINT  NOT NULL,
    container         TEXT,
    pod_uid           TEXT,
    process           BIGINT,
    ended_at          BIGINT,
    end_cause         TEXT,
    outcome           TEXT    CHECK (outcome IN ('exited', 'failed', 'unknown')),
    exit_code         BIGINT,
    failure           TEXT,
    cleanup           TEXT    CHECK (cleanup IN ('not_wanted', 'confirmed', 'unconfirmed')),
    output_length     BIGINT
);
CREATE INDEX sessions_by_organisation ON sessions (organisation_id, id);
CREATE INDEX sessions_by_user ON sessions (organisation_id, user_id, id);
CREATE INDEX sessions_unfinished ON sessions (cluster_id, agent_id) WHERE state <> 'ended';

CREATE TABLE tickets (
    hash              BYTEA   NOT NULL PRIMARY KEY,
    organisation_id   UUID    NOT NULL REFERENCES organisations (id),
    session_id        UUID    NOT NULL REFERENCES sessions (id),
    user_id           UUID    NOT NULL REFERENCES users (id),
    login_session_id  UUID    NOT NULL REFERENCES login_sessions (id),
    expires_at        BIGINT  NOT NULL,
    used_at           BIGINT
);
CREATE INDEX tickets_by_expiry ON tickets (expires_at);
