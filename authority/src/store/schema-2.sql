-- The keys that certify in formats other than X.509, each for one format only.
CREATE TABLE format_ca (
    name       TEXT    PRIMARY KEY,
    public     BLOB    NOT NULL,
    sealed_key BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The first serial number of an SSH certificate that was not given out yet.
CREATE TABLE ssh_serial (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    next INTEGER NOT NULL CHECK (next > 0)
) STRICT;

INSERT INTO ssh_serial VALUES (1, 1);
