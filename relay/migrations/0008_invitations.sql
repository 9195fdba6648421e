-- Invitations, and logins that belong together.

-- A person who signed in once and is in several organisations has a login in each. They stem from one, which is itself the
-- root, and end with it.
ALTER TABLE login_sessions ADD COLUMN root_id UUID;
UPDATE login_sessions SET root_id = id;
CREATE INDEX login_sessions_by_root ON login_sessions (root_id);

CREATE TABLE invitations (
    id               UUID    NOT NULL PRIMARY KEY,
    hash             BYTEA   NOT NULL UNIQUE,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    email            TEXT    NOT NULL,
    role             TEXT    NOT NULL CHECK (role IN ('owner', 'admin', 'auditor', 'member')),
    -- The groups that the person joins with it: a JSON list of ids. One that is gone by then is left out.
    group_ids        TEXT    NOT NULL DEFAULT '[]',
    -- Null where the operator invited.
    invited_by       UUID    REFERENCES users (id),
    created_at       BIGINT  NOT NULL,
    expires_at       BIGINT  NOT NULL,
    used_at          BIGINT,
    revoked_at       BIGINT
);
CREATE INDEX invitations_by_organisation ON invitations (organisation_id, id);
