-- Times are microseconds since 1970 (UTC). Bodies are JSON of the values they are named after.
-- A partial index serves a query only if the query repeats the index's own term.

CREATE TABLE command (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,
    content TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    wake INTEGER,
    version INTEGER NOT NULL,
    activity BLOB NOT NULL
) STRICT;
CREATE INDEX command_due ON command (wake, id) WHERE wake IS NOT NULL;
CREATE INDEX command_state ON command (state, id);
CREATE INDEX command_kind ON command (kind, id);

-- What never changes, apart: an update writes its whole row again, and thousands of meters with it.
CREATE TABLE asked (
    number INTEGER PRIMARY KEY,
    request BLOB NOT NULL,
    targets BLOB NOT NULL
) STRICT;

CREATE TABLE target (
    device TEXT NOT NULL,
    command TEXT NOT NULL,
    PRIMARY KEY (device, command)
) STRICT, WITHOUT ROWID;

-- due: when the exchange's work may be claimed, moved on by leases; wake: as the exchange has it
CREATE TABLE exchange (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    position INTEGER NOT NULL,
    operation TEXT NOT NULL,
    priority INTEGER NOT NULL,
    work TEXT NOT NULL,
    state TEXT NOT NULL,
    wake INTEGER,
    due INTEGER,
    token TEXT,
    sent INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX exchange_of_command ON exchange (command, position);
CREATE UNIQUE INDEX exchange_token ON exchange (token) WHERE token IS NOT NULL;
CREATE INDEX exchange_claim ON exchange (work, priority, operation, due, id) WHERE due IS NOT NULL;
CREATE INDEX exchange_sending ON exchange (id) WHERE state = 'sending';

-- only where an exchange has many; few stay in its body
CREATE TABLE exchange_endpoints (
    number INTEGER PRIMARY KEY,
    endpoints BLOB NOT NULL
) STRICT;

CREATE TABLE completion (
    id TEXT PRIMARY KEY,
    command TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome (
    command TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (command, endpoint)
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
    name TEXT PRIMARY KEY,
    command TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_command ON lane (command);

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation TEXT NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    exchange TEXT,
    remote TEXT NOT NULL,
    reason TEXT NOT NULL,
    command TEXT,
    token TEXT,
    wake INTEGER,
    hash BLOB NOT NULL
) STRICT;
CREATE INDEX inbox_parked ON inbox (wake, id) WHERE state = 'parked';
CREATE INDEX inbox_token ON inbox (token) WHERE state = 'parked';
CREATE INDEX inbox_state ON inbox (state, id);

-- apart from its row, so that moving the row does not rewrite the message
CREATE TABLE inbox_raw (
    id INTEGER PRIMARY KEY,
    raw BLOB NOT NULL
) STRICT;

CREATE TABLE publication (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE sink_cursor (
    sink TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- append-only; digest covers the row and the digest before it
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    subject TEXT NOT NULL,
    note BLOB NOT NULL,
    digest TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, seq);

CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    exchange TEXT NOT NULL,
    at INTEGER NOT NULL,
    outbound INTEGER NOT NULL,
    operation TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX message_exchange ON message (exchange, id);

CREATE TABLE debit (
    id INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    at INTEGER NOT NULL,
    command TEXT
) STRICT;
CREATE INDEX debit_window ON debit (bucket, at);

CREATE TABLE measurement (
    id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    ends_at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX measurement_device ON measurement (device, ends_at, id);

CREATE TABLE device (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE device_group (
    name TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (name, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_group_device ON device_group (device);

CREATE TABLE service_point (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE install_event (
    device TEXT NOT NULL,
    service_point TEXT NOT NULL,
    installed_at INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (device, removed, installed_at, service_point)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX install_key ON install_event (device, service_point, installed_at);
