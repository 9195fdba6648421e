-- A join token may be good for several agents: the replicas of one installation.
ALTER TABLE join_tokens ADD COLUMN agents BIGINT NOT NULL DEFAULT 1;
ALTER TABLE join_tokens ADD COLUMN enrolled BIGINT NOT NULL DEFAULT 0;

-- By which token, and with which key, an agent enrolled: whoever asks again with both did not get the answer.
ALTER TABLE agents ADD COLUMN join_token_hash BYTEA;
ALTER TABLE agents ADD COLUMN enrolled_key_sha256 BYTEA;
CREATE UNIQUE INDEX agents_by_enrolment ON agents (join_token_hash, enrolled_key_sha256);

-- When, and from which address, a copy of its identity was last noticed.
ALTER TABLE agents ADD COLUMN cloned_at BIGINT;
ALTER TABLE agents ADD COLUMN cloned_from TEXT;

-- What it says of itself, for people: the name of its pod or machine, and its own guard (JSON).
ALTER TABLE agents ADD COLUMN replica TEXT NOT NULL DEFAULT '';
ALTER TABLE agents ADD COLUMN guard TEXT;

-- Looked at twice a second.
CREATE INDEX agents_revoked ON agents (certificate_expires_at) WHERE status = 'revoked';
