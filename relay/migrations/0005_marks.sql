-- What the marks of a session's shell carry to be believed. Apart from the sessions, which are listed: this is a secret.
CREATE TABLE session_marks (
    session_id  UUID  NOT NULL PRIMARY KEY REFERENCES sessions (id),
    nonce       TEXT  NOT NULL
);
