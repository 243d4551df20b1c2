-- The number of the last signed CA bundle. It only rises.
CREATE TABLE ca_bundle (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    seqno INTEGER NOT NULL CHECK (seqno >= 0)
) STRICT;

INSERT INTO ca_bundle VALUES (1, 0);

-- Tokens of others that were used, by digest: each opens something once.
CREATE TABLE spent_token (
    digest     BLOB    PRIMARY KEY CHECK (length(digest) = 32),
    kept_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Some live for hours; forgetting them must not take a look at each.
CREATE INDEX spent_token_by_end ON spent_token (kept_until);
