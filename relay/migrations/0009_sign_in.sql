-- How people sign in: passwords, passkeys, and the providers of organisations.

CREATE TABLE passwords (
    user_id     UUID    NOT NULL PRIMARY KEY REFERENCES users (id),
    -- Argon2id in the PHC form, with its parameters.
    hash        TEXT    NOT NULL,
    changed_at  BIGINT  NOT NULL
);

CREATE TABLE passkeys (
    id             UUID    NOT NULL PRIMARY KEY,
    user_id        UUID    NOT NULL REFERENCES users (id),
    credential_id  BYTEA   NOT NULL UNIQUE,
    name           TEXT    NOT NULL,
    -- The public key, the counter and what the authenticator said of itself, as JSON.
    credential     TEXT    NOT NULL,
    created_at     BIGINT  NOT NULL,
    last_used_at   BIGINT
);
CREATE INDEX passkeys_by_user ON passkeys (user_id, id);

-- What the relay must remember between the two halves of a sign-in. Taken out when it is used.
CREATE TABLE sign_in_challenges (
    hash        BYTEA   NOT NULL PRIMARY KEY,
    purpose     TEXT    NOT NULL CHECK (purpose IN ('passkey_registration', 'passkey_sign_in', 'oidc')),
    state       TEXT    NOT NULL,
    expires_at  BIGINT  NOT NULL
);
CREATE INDEX sign_in_challenges_by_expiry ON sign_in_challenges (expires_at);

CREATE TABLE sign_in_providers (
    id                 UUID    NOT NULL PRIMARY KEY,
    organisation_id    UUID    NOT NULL REFERENCES organisations (id),
    name               TEXT    NOT NULL,
    issuer             TEXT    NOT NULL,
    client_id          TEXT    NOT NULL,
    -- Sealed with the operator's key; NULL for a public client.
    client_secret      TEXT,
    -- Everything else that its administrators say about it, as JSON.
    settings           TEXT    NOT NULL,
    created_at         BIGINT  NOT NULL,
    updated_at         BIGINT  NOT NULL,
    UNIQUE (organisation_id, name)
);

-- Who somebody is at a provider. An organisation's provider speaks for that organisation alone.
CREATE TABLE user_identities (
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    issuer           TEXT    NOT NULL,
    subject          TEXT    NOT NULL,
    user_id          UUID    NOT NULL REFERENCES users (id),
    created_at       BIGINT  NOT NULL,
    last_used_at     BIGINT  NOT NULL,
    PRIMARY KEY (organisation_id, issuer, subject)
);
CREATE INDEX user_identities_by_user ON user_identities (organisation_id, user_id);
