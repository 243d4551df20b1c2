-- The keys of the authority come in epochs: all of one are prepared, used and retired together.
CREATE TABLE epoch (
    number     INTEGER PRIMARY KEY CHECK (number > 0),
    state      TEXT    NOT NULL CHECK (state IN ('prepared', 'active', 'retired')),
    used_from  INTEGER,
    retired_at INTEGER,
    CHECK ((state = 'prepared') = (used_from IS NULL)),
    CHECK ((state = 'retired') = (retired_at IS NOT NULL)),
    CHECK (retired_at > used_from)
) STRICT;

-- At most one of each.
CREATE UNIQUE INDEX epoch_in_use ON epoch (state) WHERE state <> 'retired';

INSERT INTO epoch SELECT epoch, 'active', created_at - 60, NULL FROM authority;

CREATE TABLE ca_of_epoch (
    name        TEXT    NOT NULL,
    epoch       INTEGER NOT NULL REFERENCES epoch (number),
    certificate BLOB    NOT NULL,
    -- Absent once it was destroyed.
    sealed_key  BLOB,
    -- What it signed when it retired, as JSON.
    handover    TEXT,
    PRIMARY KEY (name, epoch)
) STRICT, WITHOUT ROWID;

INSERT INTO ca_of_epoch SELECT name, epoch, certificate, sealed_key, NULL FROM ca, authority;
DROP TABLE ca;
ALTER TABLE ca_of_epoch RENAME TO ca;

CREATE TABLE format_ca_of_epoch (
    name       TEXT    NOT NULL,
    epoch      INTEGER NOT NULL REFERENCES epoch (number),
    public     BLOB    NOT NULL,
    -- Absent once it was destroyed.
    sealed_key BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (name, epoch)
) STRICT, WITHOUT ROWID;

INSERT INTO format_ca_of_epoch
    SELECT name, epoch, public, sealed_key, format_ca.created_at FROM format_ca, authority;
DROP TABLE format_ca;
ALTER TABLE format_ca_of_epoch RENAME TO format_ca;

ALTER TABLE authority DROP COLUMN epoch;
-- Rises with every change of the keys: whoever has them open sees that they are others.
ALTER TABLE authority ADD COLUMN key_changes INTEGER NOT NULL DEFAULT 0;

-- All that was issued before is of the first epoch.
ALTER TABLE issued ADD COLUMN epoch INTEGER NOT NULL DEFAULT 1;
