-- Device events, the spells that pairs of them bound, and what was not told in a storm.

-- sequence is -1 where the head end gave none; body is the event (JSON)
CREATE TABLE device_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    device TEXT,
    category TEXT NOT NULL,
    pair TEXT NOT NULL,
    last INTEGER NOT NULL,
    told INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX device_event_key ON device_event (endpoint, name, at, sequence);
CREATE INDEX device_event_pair ON device_event (endpoint, pair, at) WHERE pair <> '';
CREATE INDEX device_event_device ON device_event (device, id);
CREATE INDEX device_event_name ON device_event (name, id);

CREATE TABLE device_spell (
    endpoint TEXT NOT NULL,
    pair TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    device TEXT,
    PRIMARY KEY (endpoint, pair, started)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_spell_open ON device_spell (pair, started) WHERE ended IS NULL;
CREATE INDEX device_spell_ended ON device_spell (pair, ended) WHERE ended IS NOT NULL;

-- events whose names no table knew; body is the seed (JSON)
CREATE TABLE event_error (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    state TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_error_key ON event_error (endpoint, name, at, sequence);
CREATE INDEX event_error_state ON event_error (state, id);

-- what was told and what was not, by window; counts is name -> number not told (JSON)
CREATE TABLE event_window (
    bucket TEXT NOT NULL,
    started INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    told INTEGER NOT NULL,
    withheld INTEGER NOT NULL,
    counts BLOB NOT NULL,
    summed_up INTEGER NOT NULL,
    PRIMARY KEY (bucket, started)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_window_open ON event_window (ends) WHERE summed_up = 0;

-- how far the arrived events have been looked at
CREATE TABLE event_cursor (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    load INTEGER NOT NULL,
    arrived INTEGER NOT NULL
) STRICT;
INSERT INTO event_cursor VALUES (1, 0, 0);

-- scheduled reads that recur; body is the schedule (JSON)
CREATE TABLE read_schedule (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    wake INTEGER,
    version INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX read_schedule_due ON read_schedule (wake, id) WHERE wake IS NOT NULL;

-- windows that were issued, each with its command; body is the window (JSON)
CREATE TABLE schedule_window (
    schedule TEXT NOT NULL,
    number INTEGER NOT NULL,
    command TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (schedule, number)
) STRICT, WITHOUT ROWID;

-- arrivals by hour, the last of each, to know what silence is usual
CREATE TABLE arrival_hour (
    stream TEXT NOT NULL,
    hour INTEGER NOT NULL,
    arrivals INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (stream, hour)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription_state (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
