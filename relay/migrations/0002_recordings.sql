-- How long an organisation keeps recordings, in days; NULL is for ever.
ALTER TABLE organisations ADD COLUMN recording_retention_days BIGINT;

-- Recordings that are stored whole. `head` is the hash of the last entry of a recording's manifest, which proves the others.
CREATE TABLE recordings (
    session_id       UUID    NOT NULL PRIMARY KEY REFERENCES sessions (id),
    organisation_id  UUID    NOT NULL REFERENCES organisations (id),
    truncation       TEXT,
    segments         BIGINT  NOT NULL,
    bytes            BIGINT  NOT NULL,
    duration_ms      BIGINT  NOT NULL,
    head             TEXT    NOT NULL,
    sealed_at        BIGINT  NOT NULL,
    -- Nobody may see it from here on; its objects are removed after that.
    deleted_at       BIGINT,
    removed_at       BIGINT
);
CREATE INDEX recordings_kept ON recordings (organisation_id, sealed_at) WHERE deleted_at IS NULL;
CREATE INDEX recordings_to_remove ON recordings (deleted_at) WHERE removed_at IS NULL AND deleted_at IS NOT NULL;
