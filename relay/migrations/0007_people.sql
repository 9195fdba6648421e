-- People, groups and logins. A suspended account or membership keeps its rows: evidence names it.

ALTER TABLE organisations ADD COLUMN suspended_at BIGINT;
ALTER TABLE users ADD COLUMN suspended_at BIGINT;
ALTER TABLE memberships ADD COLUMN suspended_at BIGINT;

-- A login is what a person proves themselves with: a browser's cookie, or an API token (kind 'token'), whose row has a name,
-- scopes (a JSON list) and whatever end its maker gave it. Sessions and tickets point at either.
ALTER TABLE login_sessions ADD COLUMN kind TEXT NOT NULL DEFAULT 'browser' CHECK (kind IN ('browser', 'token'));
ALTER TABLE login_sessions ADD COLUMN name TEXT;
ALTER TABLE login_sessions ADD COLUMN scopes TEXT;
-- How it began: 'link', 'password', 'passkey', 'oidc', 'token'.
ALTER TABLE login_sessions ADD COLUMN method TEXT NOT NULL DEFAULT 'link';
ALTER TABLE login_sessions ADD COLUMN last_used_at BIGINT;
CREATE INDEX login_sessions_by_user ON login_sessions (organisation_id, user_id);

CREATE TABLE user_groups (
    id                 UUID    NOT NULL PRIMARY KEY,
    organisation_id    UUID    NOT NULL REFERENCES organisations (id),
    name               TEXT    NOT NULL,
    -- What Kubernetes is told of its members where the person is impersonated: a JSON list of names.
    kubernetes_groups  TEXT    NOT NULL DEFAULT '[]',
    created_at         BIGINT  NOT NULL,
    UNIQUE (organisation_id, name)
);

CREATE TABLE group_members (
    group_id         UUID    NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    user_id          UUID    NOT NULL REFERENCES users (id),
    -- Who says so: 'manual', or 'oidc' (then the next sign-in may say otherwise).
    source           TEXT    NOT NULL CHECK (source IN ('manual', 'oidc')),
    created_at       BIGINT  NOT NULL,
    PRIMARY KEY (group_id, user_id, source)
);
CREATE INDEX group_members_by_user ON group_members (organisation_id, user_id);

-- Labels by which access rules name clusters: a JSON object of text to text.
ALTER TABLE clusters ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
