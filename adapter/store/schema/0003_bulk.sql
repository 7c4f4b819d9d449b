-- Bulk requests: the header as JSON, and the command of each row by its line; of rows that were known
-- before too.
CREATE TABLE bulk (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE bulk_row (
    bulk TEXT NOT NULL,
    line INTEGER NOT NULL,
    command TEXT NOT NULL,
    PRIMARY KEY (bulk, line)
) STRICT, WITHOUT ROWID;
