-- The tables that schema-1.sql to schema-7.sql make in SQLite; the comments are there.
CREATE TABLE notme_store (
    application BIGINT NOT NULL,
    version     BIGINT NOT NULL
);

CREATE TABLE authority (
    id           BIGINT PRIMARY KEY CHECK (id = 1),
    trust_domain TEXT   NOT NULL,
    operator     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    sealing      TEXT   NOT NULL,
    key_changes  BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE epoch (
    number     BIGINT PRIMARY KEY CHECK (number > 0),
    state      TEXT   NOT NULL CHECK (state IN ('prepared', 'active', 'retired')),
    used_from  BIGINT,
    retired_at BIGINT,
    CHECK ((state = 'prepared') = (used_from IS NULL)),
    CHECK ((state = 'retired') = (retired_at IS NOT NULL)),
    CHECK (retired_at > used_from)
);

CREATE UNIQUE INDEX epoch_in_use ON epoch (state) WHERE state <> 'retired';

CREATE TABLE ca (
    name        TEXT   NOT NULL,
    epoch       BIGINT NOT NULL REFERENCES epoch (number),
    certificate BYTEA  NOT NULL,
    sealed_key  BYTEA,
    handover    TEXT,
    PRIMARY KEY (name, epoch)
);

CREATE TABLE format_ca (
    name       TEXT   NOT NULL,
    epoch      BIGINT NOT NULL REFERENCES epoch (number),
    public     BYTEA  NOT NULL,
    sealed_key BYTEA,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, epoch)
);

CREATE TABLE token (
    digest          BYTEA  PRIMARY KEY CHECK (length(digest) = 32),
    agent           TEXT   NOT NULL,
    principal       TEXT   NOT NULL,
    scopes          TEXT   NOT NULL,
    uses            BIGINT NOT NULL CHECK (uses > 0),
    used            BIGINT NOT NULL DEFAULT 0 CHECK (used BETWEEN 0 AND uses),
    session_seconds BIGINT NOT NULL CHECK (session_seconds > 0),
    created_at      BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    revoked_at      BIGINT
);

CREATE TABLE session (
    id          BYTEA  PRIMARY KEY CHECK (length(id) = 16),
    identity    TEXT   NOT NULL,
    principal   TEXT   NOT NULL,
    agent       TEXT   NOT NULL,
    scopes      TEXT   NOT NULL,
    auth_method TEXT   NOT NULL,
    mtls        BYTEA  NOT NULL,
    signing     BYTEA  NOT NULL,
    started_at  BIGINT NOT NULL,
    ends_at     BIGINT NOT NULL,
    token       BYTEA  REFERENCES token (digest),
    revoked_at  BIGINT
);

CREATE INDEX session_by_token ON session (token) WHERE token IS NOT NULL;
CREATE INDEX session_by_end ON session (ends_at);

CREATE TABLE session_certificate (
    sha256    BYTEA  PRIMARY KEY CHECK (length(sha256) = 32),
    session   BYTEA  NOT NULL REFERENCES session (id),
    not_after BIGINT NOT NULL
);

CREATE INDEX session_certificate_by_session ON session_certificate (session);

CREATE TABLE nonce (
    session    BYTEA  NOT NULL REFERENCES session (id),
    nonce      BYTEA  NOT NULL CHECK (length(nonce) = 16),
    kept_until BIGINT NOT NULL,
    PRIMARY KEY (session, nonce)
);

CREATE TABLE issued (
    id                 BIGINT PRIMARY KEY,
    session            BYTEA  NOT NULL,
    kind               TEXT   NOT NULL,
    serial             BYTEA  NOT NULL CHECK (length(serial) = 16),
    kid                TEXT   NOT NULL,
    certificate_sha256 BYTEA  NOT NULL,
    payload_sha256     BYTEA,
    activity           TEXT,
    issued_at          BIGINT NOT NULL,
    not_after          BIGINT NOT NULL,
    epoch              BIGINT NOT NULL
);

CREATE TABLE ssh_serial (
    id   BIGINT PRIMARY KEY CHECK (id = 1),
    next BIGINT NOT NULL CHECK (next > 0)
);

INSERT INTO ssh_serial VALUES (1, 1);

CREATE TABLE revocation (
    number      BIGINT PRIMARY KEY,
    kind        TEXT   NOT NULL,
    value       TEXT   NOT NULL,
    since       BIGINT NOT NULL,
    reason      TEXT   NOT NULL,
    recorded_at BIGINT NOT NULL,
    UNIQUE (kind, value)
);

CREATE TABLE ca_bundle (
    id        BIGINT PRIMARY KEY CHECK (id = 1),
    seqno     BIGINT NOT NULL CHECK (seqno >= 0),
    key_id    TEXT,
    issued_at BIGINT,
    json      BYTEA
);

INSERT INTO ca_bundle VALUES (1, 0);

CREATE TABLE spent_token (
    digest     BYTEA  PRIMARY KEY CHECK (length(digest) = 32),
    kept_until BIGINT NOT NULL
);

CREATE INDEX spent_token_by_end ON spent_token (kept_until);

CREATE TABLE trust (
    seqno          BIGINT PRIMARY KEY CHECK (seqno > 0),
    payload_sha256 BYTEA  NOT NULL CHECK (length(payload_sha256) = 32),
    envelope       BYTEA  NOT NULL
);

CREATE TABLE audit (
    number BIGINT PRIMARY KEY CHECK (number > 0),
    row    TEXT   NOT NULL,
    hash   BYTEA  NOT NULL CHECK (length(hash) = 32)
);

CREATE TABLE audit_head (
    id       BIGINT PRIMARY KEY CHECK (id = 1),
    number   BIGINT NOT NULL CHECK (number > 0),
    time     BIGINT NOT NULL,
    envelope BYTEA  NOT NULL
);
