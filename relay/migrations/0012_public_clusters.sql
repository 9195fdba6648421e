-- Clusters that the relay reaches by itself. The credential is sealed (auth/seal.rs) and goes with the cluster's revocation;
-- the revision counts its changes, so that every relay notices them.
CREATE TABLE public_clusters (
    cluster_id       UUID    NOT NULL PRIMARY KEY REFERENCES clusters (id),
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    server           TEXT    NOT NULL,
    -- PEM; NULL trusts the web's authorities.
    ca               TEXT,
    tls_name         TEXT,
    credential_kind  TEXT    NOT NULL CHECK (credential_kind IN ('token', 'client_certificate')),
    credential       TEXT    NOT NULL,
    revision         BIGINT  NOT NULL,
    changed_at       BIGINT  NOT NULL
);
