-- By whose rights terminals are opened in a cluster ('agent': by the credential that the cluster gave Podlatch; 'impersonate': by
-- those of the signed-in person), and what the person's address stands behind as a user name.
ALTER TABLE clusters ADD COLUMN kubernetes_identity TEXT NOT NULL DEFAULT 'agent'
    CHECK (kubernetes_identity IN ('agent', 'impersonate'));
ALTER TABLE clusters ADD COLUMN impersonation_prefix TEXT NOT NULL DEFAULT 'podlatch:';

-- The images that an organisation allows for debug containers.
CREATE TABLE debug_images (
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    image            TEXT    NOT NULL,
    created_at       BIGINT  NOT NULL,
    PRIMARY KEY (organisation_id, image)
);
