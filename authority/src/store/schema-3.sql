-- What is no longer to be trusted, in the order of the trust document. Nothing is ever taken out.
CREATE TABLE revocation (
    number      INTEGER PRIMARY KEY,
    kind        TEXT    NOT NULL,
    value       TEXT    NOT NULL,
    since       INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (kind, value)
) STRICT;
