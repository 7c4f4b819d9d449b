-- Payloads that were taken in, and the measurements that came of them.
-- Rows of a load are seen only once the load is 'loaded': one commit shows all of a payload.

CREATE TABLE inbox_spool (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- inbox is NULL where a file was given; digest is the SHA-256 of the body
CREATE TABLE payload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inbox INTEGER UNIQUE,
    source TEXT NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    position INTEGER,
    at INTEGER NOT NULL,
    finished INTEGER,
    bytes INTEGER NOT NULL,
    digest BLOB,
    spool TEXT NOT NULL,
    counts BLOB NOT NULL,
    raw_kept INTEGER NOT NULL
) STRICT;
CREATE INDEX payload_state ON payload (state, id);
CREATE UNIQUE INDEX payload_file ON payload (digest) WHERE inbox IS NULL;

-- one attempt to take in a payload, or to process its error records again
CREATE TABLE load (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    payload INTEGER NOT NULL,
    state TEXT NOT NULL,
    started INTEGER NOT NULL
) STRICT;
CREATE INDEX load_hidden ON load (id) WHERE state <> 'loaded';
CREATE INDEX load_payload ON load (payload, id);

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
    external TEXT,
    condition INTEGER NOT NULL,
    statuses TEXT NOT NULL,
    conversion INTEGER NOT NULL,
    PRIMARY KEY (channel, at, load, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX measured_load ON measured (load);

-- what gave no measurement; body is the seed (JSON), or the XML of a part that was not understood
CREATE TABLE intake_error (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    load INTEGER NOT NULL,
    payload INTEGER NOT NULL,
    part INTEGER NOT NULL,
    position INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    why TEXT NOT NULL,
    detail TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX intake_error_state ON intake_error (state, id);
CREATE INDEX intake_error_load ON intake_error (load);

-- blocks of a device's data: which of `total` have come
CREATE TABLE block_seen (
    load INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    total INTEGER NOT NULL,
    block INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (load, endpoint, total, block, starts)
) STRICT, WITHOUT ROWID;

-- events and exceptions as they arrived, in the order of arrival; body is the seed (JSON)
CREATE TABLE arrived_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    load INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    at INTEGER NOT NULL,
    exception INTEGER NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX arrived_event_load ON arrived_event (load);

-- the head end's identifiers lead to devices, whose bodies are JSON
ALTER TABLE device ADD COLUMN endpoint TEXT GENERATED ALWAYS AS
    (CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ->> '$.endpoint' END) VIRTUAL;
ALTER TABLE device ADD COLUMN serial TEXT GENERATED ALWAYS AS
    (CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ->> '$.serial' END) VIRTUAL;
CREATE INDEX device_endpoint ON device (endpoint) WHERE endpoint IS NOT NULL;
CREATE INDEX device_serial ON device (serial) WHERE serial IS NOT NULL;
