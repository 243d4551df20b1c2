CREATE TABLE authority (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    trust_domain TEXT    NOT NULL,
    operator     TEXT    NOT NULL,
    epoch        INTEGER NOT NULL CHECK (epoch > 0),
    created_at   INTEGER NOT NULL,
    sealing      TEXT    NOT NULL
) STRICT;

CREATE TABLE ca (
    name        TEXT PRIMARY KEY,
    certificate BLOB NOT NULL,
    sealed_key  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    digest          BLOB    PRIMARY KEY CHECK (length(digest) = 32),
    agent           TEXT    NOT NULL,
    principal       TEXT    NOT NULL,
    scopes          TEXT    NOT NULL,
    uses            INTEGER NOT NULL CHECK (uses > 0),
    used            INTEGER NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    session_seconds INTEGER NOT NULL CHECK (session_seconds > 0),
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    revoked_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id          BLOB    PRIMARY KEY CHECK (length(id) = 16),
    identity    TEXT    NOT NULL,
    principal   TEXT    NOT NULL,
    agent       TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,
    auth_method TEXT    NOT NULL,
    mtls        BLOB    NOT NULL,
    signing     BLOB    NOT NULL,
    started_at  INTEGER NOT NULL,
    ends_at     INTEGER NOT NULL,
    token       BLOB    REFERENCES token (digest),
    revoked_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX session_by_token ON session (token) WHERE token IS NOT NULL;

-- Which certificate opens which session.
CREATE TABLE session_certificate (
    sha256    BLOB    PRIMARY KEY CHECK (length(sha256) = 32),
    session   BLOB    NOT NULL REFERENCES session (id),
    not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nonce (
    session    BLOB    NOT NULL REFERENCES session (id),
    nonce      BLOB    NOT NULL CHECK (length(nonce) = 16),
    kept_until INTEGER NOT NULL,
    PRIMARY KEY (session, nonce)
) STRICT, WITHOUT ROWID;

-- The issuance record. Append-only, and without further indexes: every signature writes here.
CREATE TABLE issued (
    id                 INTEGER PRIMARY KEY,
    session            BLOB    NOT NULL REFERENCES session (id),
    kind               TEXT    NOT NULL,
    serial             BLOB    NOT NULL CHECK (length(serial) = 16),
    kid                TEXT    NOT NULL,
    certificate_sha256 BLOB    NOT NULL,
    payload_sha256     BLOB,
    activity           TEXT,
    issued_at          INTEGER NOT NULL,
    not_after          INTEGER NOT NULL
) STRICT;

CREATE TABLE trust (
    seqno          INTEGER PRIMARY KEY CHECK (seqno > 0),
    payload_sha256 BLOB    NOT NULL CHECK (length(payload_sha256) = 32),
    envelope       BLOB    NOT NULL
) STRICT;
