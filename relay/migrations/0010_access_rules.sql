-- Who may open what. Rules are JSON texts that the relay parses strictly; it decides, not the database.

CREATE TABLE access_rules (
    id               UUID    NOT NULL PRIMARY KEY,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    -- 1 at first, one more with each change.
    revision         BIGINT  NOT NULL,
    settings         TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    updated_at       BIGINT  NOT NULL
);
CREATE INDEX access_rules_by_organisation ON access_rules (organisation_id, id);

-- Somebody asks for an access that another person has to approve; an approval is such a request, approved.
CREATE TABLE access_requests (
    id               UUID    NOT NULL PRIMARY KEY,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    user_id          UUID    NOT NULL REFERENCES users (id),
    cluster_id       UUID    NOT NULL REFERENCES clusters (id),
    -- Null: anywhere in the cluster.
    namespace        TEXT,
    -- Null: any pod.
    pod              TEXT,
    action           TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    -- How long it is wanted for, in milliseconds.
    duration         BIGINT  NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'withdrawn')),
    created_at       BIGINT  NOT NULL,
    decided_by       UUID    REFERENCES users (id),
    decided_at       BIGINT,
    -- Of an approval: the rules for which it counts (a JSON list of ids), and until when.
    rules            TEXT    NOT NULL DEFAULT '[]',
    expires_at       BIGINT
);
CREATE INDEX access_requests_by_organisation ON access_requests (organisation_id, id);

-- As what a session was opened, the labels that its pod had, and on what the right stood: JSON.
ALTER TABLE sessions ADD COLUMN access TEXT;
