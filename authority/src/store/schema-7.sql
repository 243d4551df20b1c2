-- Sessions that ended long ago are forgotten. What was issued in them stays: no reference from here.
CREATE TABLE issued_in_any (
    id                 INTEGER PRIMARY KEY,
    session            BLOB    NOT NULL,
    kind               TEXT    NOT NULL,
    serial             BLOB    NOT NULL CHECK (length(serial) = 16),
    kid                TEXT    NOT NULL,
    certificate_sha256 BLOB    NOT NULL,
    payload_sha256     BLOB,
    activity           TEXT,
    issued_at          INTEGER NOT NULL,
    not_after          INTEGER NOT NULL,
    epoch              INTEGER NOT NULL
) STRICT;

INSERT INTO issued_in_any
    SELECT id, session, kind, serial, kid, certificate_sha256, payload_sha256, activity,
           issued_at, not_after, epoch FROM issued;
DROP TABLE issued;
ALTER TABLE issued_in_any RENAME TO issued;

CREATE INDEX session_by_end ON session (ends_at);
CREATE INDEX session_certificate_by_session ON session_certificate (session);

-- The last signed CA bundle itself: all instances serve the same one.
ALTER TABLE ca_bundle ADD COLUMN key_id    TEXT;
ALTER TABLE ca_bundle ADD COLUMN issued_at INTEGER;
ALTER TABLE ca_bundle ADD COLUMN json      BLOB;
