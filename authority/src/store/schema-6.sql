-- What happened, each row naming the one before by its hash. Nothing is ever changed or taken out.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    row    TEXT    NOT NULL,
    hash   BLOB    NOT NULL CHECK (length(hash) = 32)
) STRICT;

-- The last signed statement of how far the rows went.
CREATE TABLE audit_head (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    number   INTEGER NOT NULL CHECK (number > 0),
    time     INTEGER NOT NULL,
    envelope BLOB    NOT NULL
) STRICT;
