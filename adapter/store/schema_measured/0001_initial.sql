-- Measurements in a file of their own: a city's day is written without anybody waiting behind it.
-- Which loads are seen stands in the gateway's file (table load), whose commit shows their rows.

-- the highest load whose rows are all here, on disk
CREATE TABLE newest (load INTEGER NOT NULL) STRICT;
INSERT INTO newest VALUES (0);

CREATE TABLE channel (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    component TEXT NOT NULL,
    kind TEXT NOT NULL,
    same_quantity TEXT NOT NULL,
    source TEXT NOT NULL,
    seconds INTEGER NOT NULL,
    quantity TEXT NOT NULL,
    unit TEXT NOT NULL,
    tou TEXT NOT NULL,
    sqi TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX channel_key
    ON channel (device, component, kind, same_quantity, source, seconds, endpoint, unit);
CREATE INDEX channel_endpoint ON channel (endpoint, kind);
CREATE INDEX channel_component ON channel (component);

CREATE TABLE conversion (
    id INTEGER PRIMARY KEY,
    words TEXT NOT NULL UNIQUE
) STRICT;

-- at: time of the register, or END of the interval. Of one (channel, at) the last visible row
-- counts, those before it are its earlier revisions; n tells several of one load apart.
CREATE TABLE measured (
    channel INTEGER NOT NULL,
    at INTEGER NOT NULL,
    load INTEGER NOT NULL,
    n INTEGER NOT NULL,
    value TEXT,
    head_end_value TEXT,
    condition INTEGER NOT NULL,
    statuses TEXT NOT NULL,
    conversion INTEGER NOT NULL,
    PRIMARY KEY (channel, at, load, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX measured_load ON measured (load);
